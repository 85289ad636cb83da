/**
 * The programs of c-programs/ linked with musl instead of glibc: they print the same, but for what the library
 * itself words (strerror). Also with little memory, lent tag storage and checked invariants.
 *
 * MTEMU_ARM64_LIBRARIES names a folder with arm64 packages unpacked in it (CI fetches `musl-dev:arm64`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const FOLDER = new URL('./c-programs/', import.meta.url).pathname;
const ROOT = process.env['MTEMU_ARM64_LIBRARIES'] ?? '/nowhere';
const LIBRARY = join(ROOT, 'usr/lib/aarch64-linux-musl');
const HEADERS = join(ROOT, 'usr/include/aarch64-linux-musl');
const GCC = 'aarch64-linux-gnu-gcc';
const gcc = spawnSync(GCC, ['--version']).status === 0;

/**
 * musl 1.2.3 has no pthread_sigqueue; no pwritev2, nor names for its flags; and its stdio writes with writev,
 * which seccomp's strict mode kills.
 */
const NOT_FOR_MUSL = ['tracing', 'transfers', 'confined'];
const PROGRAMS = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.c'))
  .map((name) => name.slice(0, -2))
  .filter((name) => !NOT_FOR_MUSL.includes(name));
/** What takes long with checked invariants, and c-programs.test.ts runs so. */
const LONG = ['threads', 'limits'];
const PRESSED = PROGRAMS.filter((name) => !LONG.includes(name));
const ENDS: Readonly<Record<string, number>> = { stdio: 3, signals: 143, processes: 9, identities: 6 };

/** glibc's words, and musl's for the same errno. */
const WORDS: readonly (readonly [string, string])[] = [
  ['Too many levels of symbolic links', 'Symbolic link loop'],
  ['No child processes', 'No child process'],
  ['Connection timed out', 'Operation timed out'],
  ['File name too long', 'Filename too long'],
  ['Owner died', 'Previous owner died'],
  ['Too many open files', 'No file descriptors available'],
  ['Cannot allocate memory', 'Out of memory'],
  ['Numerical result out of range', 'Result not representable'],
  // Its functions of scheduling policies ask no kernel: ENOSYS (38).
  ['fifo 1\nbatch 0 3\n', 'fifo 38\nbatch -1 -1\n'],
  // It keeps one more real-time signal for itself: SIGRTMIN is 35.
  ['signal 36 code', 'signal 37 code'],
  // Where the kernel refuses a descriptor of a path alone, it goes by /proc/self/fd.
  ['fchmod a place               EBADF', 'fchmod a place               EPERM'],
  ['fchown a place               EBADF', 'fchown a place               ok'],
];
const expected = (name: string) =>
  WORDS.reduce(
    (text, [theirs, musls]) => text.replaceAll(theirs, musls),
    readFileSync(join(FOLDER, `${name}.txt`), 'utf8'),
  );

/** strerrorname_np is glibc's alone: the names out of musl's own errno.h. */
function errorNames(): string {
  const lines = readFileSync(join(HEADERS, 'bits/errno.h'), 'utf8').matchAll(/^#define (E\w+)\s+\d+$/gm);
  const cases = [...lines].map(([, name]) => `case ${name}: return "${name}";`);
  return `#include <errno.h>\nconst char *strerrorname_np(int e) { switch (e) { ${cases.join('\n')} } return 0; }\n`;
}

const images: Record<string, Uint8Array> = {};
let folder = '';

function build(name: string): Uint8Array {
  const libgcc = spawnSync(GCC, ['-print-libgcc-file-name'], { encoding: 'utf8' }).stdout.trim();
  const part = (file: string) => join(LIBRARY, file);
  const include = [HEADERS, join(dirname(libgcc), 'include'), '/usr/aarch64-linux-gnu/include'];
  const out = join(folder, name);
  const declared = ['-include', join(folder, 'names.h')];
  const args = [
    ...[
      '-O2',
      '-w',
      '-march=armv8.5-a+memtag',
      '-static',
      '-nostdinc',
      ...include.flatMap((path) => ['-isystem', path]),
      '-nostdlib',
    ],
    ...[...declared, part('crt1.o'), part('crti.o'), join(FOLDER, `${name}.c`), join(folder, 'names.c')],
    ...[part('libc.a'), libgcc, part('libc.a'), part('crtn.o'), '-o', out],
  ];
  const built = spawnSync(GCC, args, { encoding: 'utf8' });
  expect(built).toMatchObject({ status: 0, stderr: '' });
  return readFileSync(out);
}

describe.skipIf(!gcc || !existsSync(join(LIBRARY, 'libc.a')))(
  'static musl programs [need aarch64-linux-gnu-gcc and MTEMU_ARM64_LIBRARIES]',
  () => {
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'mtemu-musl-'));
      writeFileSync(join(folder, 'names.c'), errorNames());
      writeFileSync(join(folder, 'names.h'), 'const char *strerrorname_np(int);\n');
      for (const name of PROGRAMS) images[name] = build(name);
    }, 60_000);
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it.each(PROGRAMS)('%s prints what it should', async (name) => {
      const outcome = await mtemu(['run', name], images);
      expect(outcome.stdout).toBe(expected(name));
      expect(outcome.status).toBe(ENDS[name] ?? 0);
    });

    it.each(PRESSED)(
      '%s: the same with little memory, lent tag storage and checked invariants',
      async (name) => {
        const pressed = ['--memory', '64M', '--tag-storage', 'cma', '--check', '--seed', '7'];
        const outcome = await mtemu(['run', ...pressed, name], images);
        expect(outcome.stdout).toBe(expected(name));
        expect(outcome.status).toBe(ENDS[name] ?? 0);
      },
      60_000,
    );
  },
);
