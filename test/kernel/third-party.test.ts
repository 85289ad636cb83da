/**
 * Programs of other people, as Debian packages them: shells linked with four C libraries, SQLite, Lua, zlib and xz,
 * and the run-time libraries of C++, Go and Rust. They print what they print on qemu-aarch64, on one CPU or several,
 * and in a machine that another process has filled, with the heap tagged, where tag storage is lent and taken back
 * under them again and again.
 *
 * MTEMU_ARM64_LIBRARIES names a folder with arm64 packages unpacked in it (CI fetches them); Go and rustc are the
 * machine's own.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const FOLDER = new URL('./third-party/', import.meta.url).pathname;
const ROOT = process.env['MTEMU_ARM64_LIBRARIES'] ?? '/nowhere';
const GCC = 'aarch64-linux-gnu-gcc';
const GXX = 'aarch64-linux-gnu-g++';
const works = (tool: string) => spawnSync(tool, ['--version']).status === 0;
const qemu = ['qemu-aarch64', 'qemu-aarch64-static'].find(works);
const gcc = works(GCC);
const MINUTE = 60_000;

/** What all of these shells can by themselves: under qemu-user they cannot execve. */
const SCRIPT = `
factorial() { local n=$1; if [ $n -le 1 ]; then echo 1; else echo $(( n * $(factorial $((n - 1))) )); fi; }
factorial 8
for i in 1 2 3; do echo "$i"; done | while read x; do echo "<$x>"; done
x=abcdef; echo "\${x#ab}" "\${x%ef}" "\${#x}" "\${y:-none}"
(exit 7); echo $?
trap 'echo usr1' USR1; kill -USR1 $$
case foo in f*) echo yes;; *) echo no;; esac
lines() { while IFS= read -r l; do echo "[$l]"; done; }
lines <<X
here $x $((0x10 + 3))
X
{ echo a; echo b; } > /tmp/mtemu-shell-$$; lines < /tmp/mtemu-shell-$$; : > /tmp/mtemu-shell-$$
( echo sub; exit 3 ); echo "status $?"
i=0; while [ $i -lt 300 ]; do i=$((i + 1)); s="$s.$i"; done; echo \${#s}
( : ) & wait; echo waited
exit 9
`;

interface Subject {
  /** Whether its parts are there. */
  readonly there: boolean;
  /** The program, or how it is built to \`out\`. */
  readonly file?: string;
  readonly build?: readonly string[];
  /** What follows the name of the output. */
  readonly sources?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly status: number;
  /** Its heap can be tagged: glibc's malloc, and enough of it to reach tag storage that is lent. */
  readonly tagged: boolean;
}

const shell = (file: string): Subject => ({
  there: existsSync(join(ROOT, file)),
  file: join(ROOT, file),
  args: ['-c', SCRIPT],
  status: 9,
  tagged: false,
});

const DEBIAN = join(ROOT, 'usr/lib/aarch64-linux-gnu');
const HEADERS = ['usr/include', 'usr/include/aarch64-linux-gnu'].flatMap((path) => ['-I', join(ROOT, path)]);

function linked(name: string, libraries: readonly string[], status: number): Subject {
  const archives = libraries.map((library) => join(DEBIAN, library));
  const build = [GCC, '-O1', '-static', '-pthread', '-w', ...HEADERS, `${name}.c`, ...archives, '-lm'];
  return { there: gcc && archives.every((path) => existsSync(path)), build, args: [], status, tagged: true };
}

/** Debian's rustc: another's crates are not the ones in MTEMU_ARM64_LIBRARIES. */
const RUSTC = '/usr/bin/rustc';
const CRATES = join(ROOT, 'usr/lib/rustlib/aarch64-unknown-linux-gnu/lib');
const RUST = ['-C', 'target-feature=+crt-static', '-C', `linker=${GCC}`, '-C', 'strip=symbols', '-O'];

const SUBJECTS: Readonly<Record<string, Subject>> = {
  bash: shell('bin/bash-static'),
  'mksh-musl': shell('usr/lib/aarch64-linux-musl/bin/mksh'),
  'mksh-klibc': shell('usr/lib/klibc/bin/mksh'),
  'mksh-diet': shell('usr/lib/diet/bin/mksh'),
  sql: linked('sql', ['libsqlite3.a'], 11),
  lua: linked('lua', ['liblua5.4.a'], 12),
  compress: linked('compress', ['libz.a', 'liblzma.a'], 13),
  cxx: {
    there: works(GXX),
    build: [GXX, '-std=c++17', '-O1', '-static', '-pthread', '-w', 'cxx.cc'],
    args: [],
    status: 7,
    tagged: true,
  },
  rust: {
    there: gcc && existsSync(CRATES) && works(RUSTC),
    build: [RUSTC, '--target', 'aarch64-unknown-linux-gnu', '-L', CRATES, ...RUST, 'rustic.rs'],
    args: [],
    status: 101,
    tagged: true,
  },
  go: {
    there: spawnSync('go', ['version']).status === 0,
    build: ['go', 'build', '-trimpath', '-ldflags', '-s -w'],
    sources: ['golang.go'],
    env: { GOOS: 'linux', GOARCH: 'arm64', CGO_ENABLED: '0', GO111MODULE: 'off' },
    args: [],
    status: 2,
    tagged: false,
  },
};
const NAMES = Object.keys(SUBJECTS).filter((name) => SUBJECTS[name]!.there);
const ABSENT = Object.keys(SUBJECTS).filter((name) => !SUBJECTS[name]!.there);

/** All but a few of 64 MiB and of what tag storage lends are another process's, and the heap is tagged. */
const FULL = [
  ...['--memory', '64M', '--tag-storage', 'cma', '--seed', '7'],
  ...['--env', 'GLIBC_TUNABLES=glibc.mem.tagging=3'],
];
/** MiB of ballast. */
const BALLAST: Readonly<Record<string, number>> = { go: 40, compress: 56 };
const MOST_BALLAST = 59;
/** Times that each program runs there. */
const ROUNDS = 4;
/** Short enough to be looked through after every operation. */
const CHECKED = ['lua', 'cxx'];

let folder = '';
const theirs: Record<string, string> = {};

function build(name: string): void {
  const out = join(folder, name);
  const { file, build: command, sources = [], env = {} } = SUBJECTS[name]!;
  if (file !== undefined) copyFileSync(file, out);
  if (command === undefined) return;
  const [compiler, ...args] = command;
  const options = { cwd: FOLDER, env: { ...process.env, GOCACHE: join(folder, 'go-cache'), ...env } };
  // Archives that load plug-ins warn about it in static programs.
  const built = spawnSync(compiler!, [...args, '-o', out, ...sources], { ...options, encoding: 'utf8' });
  expect([built.status, built.status === 0 || built.stderr]).toEqual([0, true]);
}

describe.skipIf(!gcc || qemu === undefined || NAMES.length === 0)(
  'third-party programs [need aarch64-linux-gnu-gcc, qemu-user and MTEMU_ARM64_LIBRARIES]',
  () => {
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'mtemu-third-party-'));
      const launcher = ['-O1', '-static', '-o', join(folder, 'launch'), 'launch.c'];
      expect(spawnSync(GCC, launcher, { cwd: FOLDER, encoding: 'utf8' }).stderr).toBe('');
      for (const name of NAMES) {
        build(name);
        const { args, status } = SUBJECTS[name]!;
        const outcome = spawnSync(qemu!, [join(folder, name), ...args], { encoding: 'utf8' });
        expect(outcome.status).toBe(status);
        expect(outcome.stdout.length).toBeGreaterThan(80);
        theirs[name] = outcome.stdout;
      }
      rmSync(join(folder, 'go-cache'), { recursive: true, force: true });
    }, 4 * MINUTE);
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    const image = (name: string) => ({ [name]: readFileSync(join(folder, name)) });
    const inFull = (name: string, rounds: number, ...options: string[]) =>
      mtemu(
        [
          ...[
            'run',
            ...FULL,
            '--env',
            `BALLAST=${BALLAST[name] ?? MOST_BALLAST}`,
            '--root',
            folder,
            '--stats',
          ],
          ...[...options, 'launch', String(rounds), `/${name}`, ...SUBJECTS[name]!.args],
        ],
        image('launch'),
      );

    it.each(NAMES)(
      '%s prints the same',
      async (name) => {
        const { args, status } = SUBJECTS[name]!;
        const ours = await mtemu(['run', name, ...args], image(name));
        expect(ours.stdout).toBe(theirs[name]);
        expect(ours.status).toBe(status);
      },
      MINUTE,
    );

    it.each(NAMES)(
      '%s prints the same on three CPUs',
      async (name) => {
        const { args, status } = SUBJECTS[name]!;
        const ours = await mtemu(['run', '--cpus', '3', '--seed', '5', name, ...args], image(name));
        expect(ours.stdout).toBe(theirs[name]);
        expect(ours.status).toBe(status);
      },
      MINUTE,
    );

    const full = async (name: string, rounds: number, ...options: string[]) => {
      const ours = await inFull(name, rounds, ...options);
      expect(ours.stdout).toBe(theirs[name]);
      expect(ours.status).toBe(SUBJECTS[name]!.status);
      const last = ours.stderr.trimEnd().split('\n').at(-1)!;
      const { tagStorage } = JSON.parse(last) as { readonly tagStorage: Readonly<Record<string, number>> };
      if (SUBJECTS[name]!.tagged) {
        // Each run takes blocks back from the data in them, and its end lends them again.
        expect(tagStorage['reserveMigrate']).toBeGreaterThanOrEqual(rounds);
        expect(tagStorage['pagesMigrated']).toBeGreaterThan(0);
      }
    };

    it.each(NAMES)('%s prints the same in a full machine', (name) => full(name, ROUNDS), MINUTE);

    it.each(NAMES.filter((name) => CHECKED.includes(name)))(
      '%s prints the same in a full machine, with the interpreter alone and checked invariants',
      (name) => full(name, 1, '--engine', 'interpret', '--check'),
      2 * MINUTE,
    );

    it.each(NAMES.filter((name) => name === 'mksh-musl'))(
      '%s prints the same in a full machine, engine evaluate',
      (name) => full(name, 1, '--engine', 'evaluate'),
      MINUTE,
    );
  },
);

describe.skipIf(ABSENT.length === 0)('third-party programs that are absent', () => {
  it.skip.each(ABSENT)('%s [needs MTEMU_ARM64_LIBRARIES or a cross compiler]', () => undefined);
});
