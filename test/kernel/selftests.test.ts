/**
 * The kernel's own selftests of arm64: mte, signal, tags, abi.
 *
 * MTEMU_KERNEL_SELFTESTS names tools/testing/selftests of a kernel source tree (CI takes it from Debian's
 * package `linux-source-6.1`); the programs are built here, outside the repository.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mtemu } from '../cli/in-process.js';
import { FullMachine } from './full-machine.js';

const SELFTESTS = process.env['MTEMU_KERNEL_SELFTESTS'];
const GCC = 'aarch64-linux-gnu-gcc';
const gcc = spawnSync(GCC, ['--version']).status === 0;

/** Programs that count with "ok" lines, and how many there are on the reference. */
const COUNTED: Readonly<Record<string, number>> = {
  'mte/check_buffer_fill': 20,
  'mte/check_child_memory': 12,
  'mte/check_ksm_options': 4,
  'mte/check_mmap_options': 22,
  'mte/check_prctl': 5,
  'mte/check_tags_inclusion': 4,
  'mte/check_user_mem': 64,
  'abi/hwcap': 28,
  'abi/ptrace': 7,
  'abi/syscall-abi': 2,
};

/** Programs that trace, the line that says that something passed, and how often it comes. */
const TRACERS: Readonly<Record<string, { readonly line: RegExp; readonly count: number }>> = {
  'breakpoints/breakpoint_test_arm64': { line: /^ok /, count: 213 },
  'ptrace/get_syscall_info': { line: /^ok /, count: 1 },
  'ptrace/peeksiginfo': { line: /^PASS$/, count: 1 },
};

/** Signal tests that need no SVE or SME. */
const SIGNAL_TESTS =
  SELFTESTS === undefined
    ? []
    : readdirSync(join(SELFTESTS, 'arm64/signal/testcases'))
        .filter((name) => /^(fake_sigreturn|mangle_pstate).*\.c$/.test(name) && !/_s[mv]e_/.test(name))
        .map((name) => name.slice(0, -2));

const LONG = ['child_memory', 'ksm_options', 'tags_inclusion', 'user_mem'].map((name) => `mte/check_${name}`);
/** Where tag storage is lent and taken back under them; what takes long is run with fewer checks. */
const IN_FULL_MACHINE = [
  ...Object.keys(COUNTED),
  'tags/tags_test',
  ...SIGNAL_TESTS.map((name) => `signal/${name}`),
].flatMap((name, index) => {
  const isLong = LONG.includes(name);
  const first = isLong ? '--engine translate' : '--engine translate --check';
  const second = isLong || index % 2 === 0 ? '--engine interpret' : '--engine evaluate';
  return (name.startsWith('signal/') ? [[first, second][index % 2]!] : [first, second]).map(
    (options) => [name, options] as const,
  );
});

/** What vm/ksm_tests wants of headers that are not there. */
const KSM_TIME = '#define NSEC_PER_SEC 1000000000L\n#define NSEC_PER_USEC 1000L\n';
const KSM_NUMA = `
static inline int numa_available(void) { return -1; }
static inline int numa_max_node(void) { return 0; }
static inline long numa_node_size(int node, long *left) { return 0; }
static inline int numa_num_configured_nodes(void) { return 1; }
static inline void *numa_alloc_onnode(unsigned long bytes, int node) { return 0; }
static inline void numa_free(void *at, unsigned long bytes) { }
`;

/** Groups that do not lie under arm64/. */
const ARCHITECTURE_FREE = ['ptrace', 'breakpoints'];

let folder = '';
let machine: FullMachine;

/** The uapi headers that the tests want newer than the C library's. */
function copyHeaders(source: string): string {
  const include = join(folder, 'include');
  mkdirSync(join(include, 'asm'), { recursive: true });
  for (const name of ['hwcap.h', 'sigcontext.h', 'ptrace.h', 'sve_context.h']) {
    const text = readFileSync(join(source, '../../../arch/arm64/include/uapi/asm', name), 'utf8');
    writeFileSync(join(include, 'asm', name), text.replaceAll('__user', ''));
  }
  return include;
}

function build(name: string, sources: readonly string[], ...options: string[]): Uint8Array {
  const group = name.split('/')[0]!;
  const at = join(SELFTESTS!, ARCHITECTURE_FREE.includes(group) ? group : `arm64/${group}`);
  const out = join(folder, name.replace('/', '_'));
  const include = ['-I..', '-I../..', '-I.', `-I${join(folder, 'include')}`];
  const flags = ['-static', '-O2', '-std=gnu99', '-D_GNU_SOURCE', '-w', ...include, ...options];
  const built = spawnSync(GCC, [...flags, ...sources, '-o', out], { cwd: at, encoding: 'utf8' });
  expect(built.stderr).toBe('');
  return readFileSync(out);
}

function image(name: string): Uint8Array {
  const [group, program] = name.split('/') as [string, string];
  if (group === 'mte') {
    const sources = [`${program}.c`, 'mte_common_util.c', 'mte_helper.S'];
    return build(name, sources, '-pthread', '-march=armv8.5-a+memtag');
  }
  if (group === 'signal') {
    const common = [
      'test_signals.c',
      'test_signals_utils.c',
      'testcases/testcases.c',
      'signals.S',
      'sve_helpers.c',
    ];
    return build(name, [`testcases/${program}.c`, ...common]);
  }
  return build(name, program === 'syscall-abi' ? ['syscall-abi.c', 'syscall-abi-asm.S'] : [`${program}.c`]);
}

const run = (name: string, ...options: string[]) =>
  mtemu(['run', ...options, 'selftest'], { selftest: image(name) });

describe.skipIf(SELFTESTS === undefined || !gcc)(
  'kernel selftests [need MTEMU_KERNEL_SELFTESTS and aarch64-linux-gnu-gcc]',
  () => {
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'mtemu-selftests-'));
      copyHeaders(SELFTESTS!);
      machine = new FullMachine(GCC);
    });
    afterAll(() => machine.close());

    it.each(Object.entries(COUNTED))(
      '%s passes %i',
      async (name, count) => {
        const outcome = await run(name);
        const lines = outcome.stdout.split('\n');
        expect(lines.filter((line) => line.startsWith('not ok'))).toEqual([]);
        expect(lines.filter((line) => line.startsWith('ok ')).length).toBe(count);
        expect(outcome.status).toBe(0);
      },
      60_000,
    );

    it.each(SIGNAL_TESTS)('signal/%s passes', async (name) => {
      const outcome = await run(`signal/${name}`);
      expect(outcome.stderr).toContain('PASS(1)');
      expect(outcome.status).toBe(0);
    });

    it.each(Object.entries(TRACERS))('%s passes', async (name, passes) => {
      const outcome = await run(name);
      expect(outcome.stdout.split('\n').filter((line) => passes.line.test(line)).length).toBe(passes.count);
      expect(outcome.stdout).not.toMatch(/^not ok/m);
      expect(outcome.status).toBe(0);
    });

    it.each([
      ['-M', 'merging'],
      ['-M -p 300', 'many pages'],
      ['-U', 'unmerging'],
      ['-Z -z 0', 'zero pages as others'],
      ['-Z -z 1', 'zero pages'],
    ])('vm/ksm_tests %s: %s', async (options) => {
      const folderOfStubs = join(folder, 'stubs');
      mkdirSync(join(folderOfStubs, 'include/vdso'), { recursive: true });
      writeFileSync(join(folderOfStubs, 'include/vdso/time64.h'), KSM_TIME);
      // One node: what is asked of libnuma is always answered with no.
      writeFileSync(join(folderOfStubs, 'numa.h'), KSM_NUMA);
      const at = join(SELFTESTS!, 'vm');
      const out = join(folder, 'ksm_tests');
      const flags = ['-static', '-O1', '-w', '-D_GNU_SOURCE', `-I${folderOfStubs}`, '-I.'];
      const built = spawnSync(GCC, [...flags, 'ksm_tests.c', 'vm_util.c', '-o', out], {
        cwd: at,
        encoding: 'utf8',
      });
      expect(built.stderr).toBe('');
      const outcome = await mtemu(['run', 'selftest', ...options.split(' ')], {
        selftest: readFileSync(out),
      });
      expect(outcome).toMatchObject({ status: 0, stdout: 'OK\n' });
    });

    it('mte/check_hugetlb_options finds huge pages, and no tags for them', async () => {
      const outcome = await run('mte/check_hugetlb_options');
      expect(outcome.stdout).toContain('1..0 # SKIP PROT_MTE not supported with MAP_HUGETLB mappings\n');
      expect(outcome.status).toBe(4);
    });

    it.each(['mte/check_child_memory', 'mte/check_ksm_options', 'mte/check_user_mem', 'abi/ptrace'])(
      '%s passes on four CPUs',
      async (name) => {
        const outcome = await run(name, '--cpus', '4', '--seed', '3');
        expect(outcome.stdout.split('\n').filter((line) => line.startsWith('ok ')).length).toBe(
          COUNTED[name],
        );
        expect(outcome.status).toBe(0);
      },
      60_000,
    );

    it('tags_test passes', async () => {
      expect((await run('tags/tags_test')).status).toBe(0);
    });

    it.each(IN_FULL_MACHINE)(
      '%s in a full machine, %s',
      async (name, options) => {
        const outcome = await machine.run('selftest', image(name), [], ...options.split(' '));
        const lines = outcome.stdout.split('\n');
        expect(lines.filter((line) => line.startsWith('ok ')).length).toBe(COUNTED[name] ?? 0);
        expect(lines.filter((line) => line.startsWith('not ok'))).toEqual([]);
        if (name.startsWith('signal/')) expect(outcome.stderr).toContain('PASS(1)');
        expect(outcome.status).toBe(0);
      },
      120_000,
    );
  },
);
