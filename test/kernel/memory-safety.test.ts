/**
 * Heaps and stacks that tag themselves: glibc's malloc, LLVM's Scudo, clang's -fsanitize=memtag. Each lets a
 * program pass that keeps to its blocks, and catches one that does not: at once or, asynchronous, at the next
 * kernel entry. Again where the machine is full, so that tag storage is lent and taken back, on each engine.
 *
 * MTEMU_ARM64_LIBRARIES names a folder with arm64 packages unpacked in it (CI fetches `libclang-rt-14-dev:arm64`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';

const FOLDER = new URL('./memory-safety/', import.meta.url).pathname;
const GCC = 'aarch64-linux-gnu-gcc';
const works = (tool: string) => spawnSync(tool, ['--version']).status === 0;
const gcc =
  works(GCC) &&
  spawnSync(GCC, ['-static', '-x', 'c', '-', '-o', '/dev/null'], { input: 'int main(){return 0;}' })
    .status === 0;
/** The release that the Scudo under test belongs to. */
const CLANG = 'clang-14';
const clang = works(CLANG);
const SCUDO = join(
  process.env['MTEMU_ARM64_LIBRARIES'] ?? '/nowhere',
  'usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.scudo_standalone-aarch64.a',
);

const MINUTE = 60_000;

/** Lends tag storage; with this ballast of the guest's (MiB) all free memory is in it, and tags take it back. */
const LENT = ['--memory', '64M', '--tag-storage', 'cma', '--seed', '7'];
const BALLAST = 'BALLAST=60';
/** Asynchronous checks differ in what the fault leaves behind, not in which engine meets memory that moves. */
const ENGINES = { sync: ['evaluate', 'interpret', 'auto'], async: ['auto'] };

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mtemu-safety-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function compile(compiler: string, args: readonly string[]): void {
  const built = spawnSync(compiler, ['-O1', '-w', ...args], { encoding: 'utf8', cwd: FOLDER });
  expect(built).toMatchObject({ status: 0, stderr: '' });
}

/** Links statically and gives the program. */
function link(name: string, args: readonly string[]): Uint8Array {
  const out = join(folder, name);
  compile(GCC, ['-static', '-pthread', '-o', out, ...args]);
  return readFileSync(out);
}

interface Statistics {
  readonly tagStorage: { readonly pagesMigrated: number; readonly taggedPagesAllocated: number };
}

/** What differs between the allocators and modes under test. */
interface Subject {
  readonly image: () => Uint8Array;
  readonly env: readonly string[];
  readonly mode: 'sync' | 'async';
  /** What it prints before it errs, whatever the machine. */
  readonly before: string;
  readonly safe: string;
  /** What reports of synchronous faults tell, where that is not who allocated and freed. */
  readonly history?: readonly never[];
  /** An error each, by the program's argument; what the report takes it for, where it can (synchronous) say. */
  readonly errors: Readonly<Record<string, Readonly<{ type: string; cause: string }>>>;
}

/** Who is to be told of: the program's main is among the callers. Scudo tags what it frees for its next life. */
function histories(cause: string): unknown {
  const event = (what: RegExp) => ({
    what: expect.stringMatching(what),
    backtrace: expect.arrayContaining([{ pc: expect.any(String), symbol: expect.stringMatching(/^main\+/) }]),
  });
  const beginning = event(/^(allocated|retagged)$/);
  return cause === 'use after free'
    ? [expect.objectContaining(event(/^freed$/)), expect.objectContaining(beginning)]
    : expect.arrayContaining([expect.objectContaining(beginning)]);
}

function examine(subject: Subject, safeArg: string): void {
  const { before, mode } = subject;
  const run = (options: readonly string[], env: readonly string[], ...args: string[]) =>
    mtemu(
      [
        ...['run', ...options, '--report', 'json'],
        ...[...subject.env, ...env].flatMap((entry) => ['--env', entry]),
        ...['program', ...args],
      ],
      { program: subject.image() },
    );
  const passes = async (options: readonly string[], env: readonly string[]): Promise<Statistics> => {
    const outcome = await run([...options, '--stats'], env, safeArg);
    expect(outcome.stdout).toBe(`${before}${subject.safe}`);
    expect(outcome.status).toBe(3);
    return JSON.parse(outcome.stderr) as Statistics;
  };
  const catches = async (error: string, options: readonly string[], env: readonly string[]) => {
    const outcome = await run(options, env, error);
    expect(outcome.stdout).toBe(before);
    expect(outcome.status).toBe(139);
    const { type, cause } = subject.errors[error]!;
    const report: unknown = JSON.parse(outcome.stderr.split('\n')[0]!);
    expect(report).toMatchObject({ kind: 'tag-check-fault', mode });
    // Asynchronous: the hardware has kept no more than that there was one.
    expect(report).toMatchObject(
      mode === 'sync'
        ? { access: { type }, cause: { name: cause }, history: subject.history ?? histories(cause) }
        : { access: null, cause: null, far: null, history: [] },
    );
  };
  const errors = Object.keys(subject.errors);

  it('lets pass what is right', async () => {
    await passes([], []);
  });

  it.each(errors)('catches: %s', (error) => catches(error, [], []), MINUTE);

  if (mode === 'sync') {
    it(
      'lets pass and catches the same with lent tag storage and checked invariants',
      async () => {
        await passes([...LENT, '--check'], []);
        await catches(errors[0]!, [...LENT, '--check'], []);
      },
      MINUTE,
    );
  }

  it.each(ENGINES[mode])(
    'lets pass and catches the same in a full machine, engine %s',
    async (engine) => {
      const { tagStorage } = await passes([...LENT, '--engine', engine], [BALLAST]);
      expect(tagStorage.pagesMigrated).toBeGreaterThan(0);
      expect(tagStorage.taggedPagesAllocated).toBeGreaterThan(0);
      await catches(errors[0]!, [...LENT, '--engine', engine], [BALLAST]);
    },
    MINUTE,
  );
}

const HEAP = {
  before: '4482183 bytes, 0 wrong, tags nearly everywhere\nballast: 0 pages lost\n',
  safe: 'survived\n',
  errors: {
    'after-free': { type: 'store', cause: 'use after free' },
    overflow: { type: 'store', cause: 'overflow' },
    'after-free-read': { type: 'load', cause: 'use after free' },
  },
};
const MODES = ['sync', 'async'] as const;
/** SEGV_MTESERR and SEGV_MTEAERR of asm-generic/siginfo.h. */
const SI_CODE = { sync: 9, async: 8 };

/** What the program's own handler of SIGSEGV is told. */
async function toldTheHandler(image: Uint8Array, env: string): Promise<string> {
  const outcome = await mtemu(['run', '--env', env, 'program', 'after-free', 'handler'], { program: image });
  expect(outcome.status).toBe(9);
  return outcome.stdout.slice(HEAP.before.length);
}

describe.skipIf(!gcc || !existsSync(SCUDO))(
  'Scudo [needs aarch64-linux-gnu-gcc and MTEMU_ARM64_LIBRARIES]',
  () => {
    let image: Uint8Array;
    beforeAll(() => {
      image = link('scudo', [
        '-DASK_FOR_CHECKS',
        'heap.c',
        '-Wl,--whole-archive',
        SCUDO,
        '-Wl,--no-whole-archive',
      ]);
    }, MINUTE);

    describe.each(MODES)('%s', (mode) => {
      examine({ ...HEAP, image: () => image, env: [`TCF=${mode}`], mode }, 'safe');

      it('tells a handler the si_code', async () => {
        expect(await toldTheHandler(image, `TCF=${mode}`)).toBe(`signal 11, si_code ${SI_CODE[mode]}\n`);
      });
    });
  },
);

describe.skipIf(!gcc)('glibc with a tagged heap [needs aarch64-linux-gnu-gcc]', () => {
  let image: Uint8Array;
  beforeAll(() => {
    image = link('glibc', ['heap.c']);
  }, MINUTE);

  // Bit 0 of the tunable tags the heap, bit 1 asks for synchronous checks.
  describe.each([
    [1, 'async'],
    [3, 'sync'],
  ] as const)('glibc.mem.tagging=%i', (value, mode) => {
    const tunable = `GLIBC_TUNABLES=glibc.mem.tagging=${value}`;
    examine({ ...HEAP, image: () => image, env: [tunable], mode }, 'safe');

    it('tells a handler the si_code', async () => {
      expect(await toldTheHandler(image, tunable)).toBe(`signal 11, si_code ${SI_CODE[mode]}\n`);
    });
  });

  it('catches nothing where it was not asked to', async () => {
    const outcome = await mtemu(['run', 'program', 'overflow'], { program: image });
    expect(outcome.stdout).toBe(HEAP.before.replace('nearly everywhere', 'seldom') + HEAP.safe);
    expect(outcome.status).toBe(3);
  });
});

describe.skipIf(!gcc || !clang)('clang -fsanitize=memtag [needs clang 14 and aarch64-linux-gnu-gcc]', () => {
  let image: Uint8Array;
  beforeAll(() => {
    const object = join(folder, 'stack.o');
    const target = ['--target=aarch64-linux-gnu', '-march=armv8.5-a+memtag', '-fsanitize=memtag'];
    compile(CLANG, [...target, '-c', 'stack.c', '-o', object]);
    image = link('stack', [object]);
  }, MINUTE);

  describe.each(MODES)('%s', (mode) => {
    const errors = { '40': { type: 'store', cause: 'overflow' } };
    const before = 'deep 300\nballast: 0 pages lost\n';
    examine(
      // Frames tag with every call: only the last writer is known of them.
      {
        image: () => image,
        env: [`TCF=${mode}`],
        mode,
        before,
        safe: 'survived, tagged\n',
        errors,
        history: [],
      },
      '5',
    );
  });
});
