/**
 * Pointer authentication against qemu-aarch64 (QARMA5: `-cpu max,pauth-impdef=off`).
 *
 * One routine in assembly does every operation on a table of pointers and modifiers. It runs under qemu,
 * with the random keys that qemu gives the process, and on our CPU with the same keys. The committed
 * fixture, a qemu run, is made again by
 *
 *     MTEMU_UPDATE_FIXTURES=1 npx vitest run --config test/vitest.config.ts test/lab/pointer-auth
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { assemble, toFlat } from '../../src/assembler/index.js';
import { PA, Random, VA } from '../../src/base/index.js';
import { toElf } from '../../src/elf/index.js';
import { createEngine } from '../../src/engine/index.js';
import { createMachine, type Machine } from '../../src/machine/index.js';
import { hasQemu, QEMU, runDebugged } from './qemu.js';

const FILE = new URL('./fixtures/pointer-authentication.json', import.meta.url);
const KEYS = ['ia', 'ib', 'da', 'db'] as const;
const KEY_REGISTERS = [...KEYS, 'ga'].flatMap((key) => [`ap${key}keylo_el1`, `ap${key}keyhi_el1`]);

/** What the routine stores for each pair, in this order. */
const OPERATIONS = [
  ...KEYS.map((key) => `pac${key} x6, x4`),
  ...KEYS.map((key) => `aut${key} x6, x4`),
  // Signed and authenticated with the right and with another modifier.
  ...KEYS.map((key) => `pac${key} x6, x4; aut${key} x6, x4`),
  ...KEYS.map((key) => `pac${key} x6, x4; aut${key} x6, x5`),
  ...KEYS.map((key) => `pac${key[0]}z${key[1]} x6; aut${key[0]}z${key[1]} x6`),
  'xpaci x6',
  'xpacd x6',
  'pacga x6, x3, x4',
  'mov x17, x3; mov x16, x4; pacia1716; mov x6, x17',
  'mov x17, x3; mov x16, x4; pacib1716; autib1716; mov x6, x17',
  'mov x30, x3; paciaz; mov x6, x30',
  'mov x30, x3; pacibsp; mov x6, x30',
  'mov x30, x3; paciasp; autiasp; mov x6, x30',
  'mov x30, x3; pacia x30, x4; xpaclri; mov x6, x30',
] as const;

/** x0 table of pairs, x1 results, x2 count of pairs. */
const ROUTINE = `
compute:
        ldp     x3, x4, [x0], #16
        add     x5, x4, #1
${OPERATIONS.map((text) => `        mov x6, x3\n        ${text.replaceAll('; ', '\n        ')}\n        str x6, [x1], #8`).join('\n')}
        subs    x2, x2, #1
        b.ne    compute
`;

interface Fixture {
  readonly keys: Readonly<Record<string, string>>;
  readonly pairs: readonly (readonly [string, string])[];
  readonly results: readonly (readonly string[])[];
}

type Pair = readonly [pointer: bigint, modifier: bigint];

/** Canonical, tagged and corrupted pointers of both halves. */
function pairs(count: number, seed: number): Pair[] {
  const random = new Random(seed, 'pointer-authentication');
  return Array.from({ length: count }, (_, i) => {
    let pointer = random.u64();
    if (i % 4 < 3) pointer = (i & 1) === 0 ? pointer & 0xffff_ffff_ffffn : pointer | (0xffffn << 48n);
    if (i % 8 === 2) pointer |= (random.u64() & 0xffn) << 56n;
    if (i % 8 === 6) pointer ^= 1n << BigInt(48 + random.below(16));
    return [pointer, i % 5 === 0 ? BigInt(random.below(4)) : random.u64()];
  });
}

const qwords = (values: readonly bigint[]) =>
  values.map((v) => `.quad 0x${v.toString(16)}`).join('\n        ');

/** What qemu gets for the pairs, and the keys it used. */
async function underQemu(table: readonly Pair[], seed: number) {
  const program = assemble({
    name: 'pauth.s',
    text: `
        .text
        .global _start
_start: ldr     x0, =table
        ldr     x1, =results
        mov     x2, #${table.length}
        movz    x9, #0x1230
        mov     sp, x9
${ROUTINE}
        mov     x0, #1
        ldr     x1, =results
        ldr     x2, =${table.length * OPERATIONS.length * 8}
        mov     x8, #64
        svc     #0
        mov     x0, #0
        mov     x8, #93
        svc     #0
        .ltorg
        .data
        .balign 16
table:  ${qwords(table.flat())}
        .bss
        .balign 16
results: .space ${table.length * OPERATIONS.length * 8}
`,
  });
  const options = ['-cpu', 'max,pauth-impdef=off', '-seed', String(seed)];
  const { stdout, registers } = await runDebugged(toElf(program), options, KEY_REGISTERS);
  const out = new DataView(stdout.buffer, stdout.byteOffset, stdout.byteLength);
  expect(out.byteLength).toBe(table.length * OPERATIONS.length * 8);
  return { keys: registers, results: rowsOf((i) => out.getBigUint64(8 * i, true), table.length) };
}

function rowsOf(get: (i: number) => bigint, count: number): bigint[][] {
  return Array.from({ length: count }, (_, row) =>
    OPERATIONS.map((_, column) => get(row * OPERATIONS.length + column)),
  );
}

const CODE = 0x4000_0000;
const TABLE = 0x4001_0000;
const RESULTS = 0x4008_0000;

function bareMachine(): Machine {
  const machine = createMachine({
    banks: [{ base: CODE, size: 0x20_0000 }],
    features: ['FEAT_PAuth', 'FEAT_MTE'],
    hasEl2: false,
    hasEl3: false,
  });
  machine.setSupervisor({ exceptionTaken: () => {} });
  const { cpu } = machine;
  // 48-bit addresses in both halves, TBI0; EnIA, EnIB, EnDA, EnDB; translation off.
  cpu.writeRegister('tcr_el1', 16n | (16n << 16n) | (1n << 37n));
  cpu.writeRegister('sctlr_el1', (1n << 13n) | (1n << 27n) | (3n << 30n));
  return machine;
}

/** What our CPU gets. */
function onOurs(table: readonly Pair[], keys: Readonly<Record<string, bigint>>): bigint[][] {
  const machine = bareMachine();
  const { cpu, memory } = machine;
  const text = `${ROUTINE}\n        brk #0\n`;
  memory.writeBytes(
    PA(CODE),
    toFlat(assemble({ name: 'pauth.s', text }, { textBase: VA(BigInt(CODE)) }), VA(BigInt(CODE))),
  );
  table.flat().forEach((value, i) => {
    memory.write64(PA(TABLE + 8 * i), value);
  });
  for (const [name, value] of Object.entries(keys)) cpu.writeRegister(name, value);
  cpu.setLevel(1, 0);
  cpu.writeX(0, BigInt(TABLE));
  cpu.writeX(1, BigInt(RESULTS));
  cpu.writeX(2, BigInt(table.length));
  cpu.sp = 0x1230n;
  cpu.pc = BigInt(CODE);
  const stop = createEngine(machine, 'evaluate').run(cpu, 10_000_000);
  expect(stop.kind).toBe('supervisor');
  expect(cpu.readRegister('esr_el1') >> 26n).toBe(0x3cn);
  return rowsOf((i) => memory.read64(PA(RESULTS + 8 * i)), table.length);
}

/**
 * QEMU takes the half of a pointer to be signed from bit 55 only if tags are ignored in that very half,
 * the architecture (AddPAC) if they are in either. With TBI0 alone they differ for upper-half pointers
 * whose bits 63 and 55 differ.
 */
const decidesByOtherBit = (pointer: bigint) => ((pointer >> 55n) & 1n) === 1n && pointer >> 63n === 0n;
const signs = (operation: string) => /pac(?!ga)[idz]/.test(operation);

function differences(table: readonly Pair[], wanted: bigint[][], found: bigint[][]): string[] {
  const out: string[] = [];
  table.forEach(([pointer, modifier], row) => {
    OPERATIONS.forEach((operation, column) => {
      if (decidesByOtherBit(pointer) && signs(operation)) return;
      const [w, f] = [wanted[row]![column]!, found[row]![column]!];
      if (w !== f) {
        out.push(
          `${operation} of ${pointer.toString(16)}, ${modifier.toString(16)}: ${f.toString(16)}, qemu ${w.toString(16)}`,
        );
      }
    });
  });
  return out;
}

const hexes = (values: readonly bigint[]) => values.map((v) => v.toString(16));
const bigints = (values: readonly string[]) => values.map((v) => BigInt(`0x${v}`));

describe('pointer authentication', () => {
  if (process.env['MTEMU_UPDATE_FIXTURES'] === '1')
    it('makes its fixture [needs qemu]', async () => {
      const table = pairs(32, 1);
      const { keys, results } = await underQemu(table, 1);
      const fixture: Fixture = {
        keys: Object.fromEntries(Object.entries(keys).map(([k, v]) => [k, v.toString(16)])),
        pairs: table.map((pair) => hexes(pair) as [string, string]),
        results: results.map(hexes),
      };
      writeFileSync(FILE, `${JSON.stringify(fixture)}\n`);
      expect(results.length).toBe(32);
    });

  it('equals what qemu got', () => {
    const fixture = JSON.parse(readFileSync(FILE, 'utf8')) as Fixture;
    const keys = Object.fromEntries(Object.entries(fixture.keys).map(([k, v]) => [k, BigInt(`0x${v}`)]));
    const table = fixture.pairs.map((pair) => bigints(pair) as unknown as Pair);
    expect(differences(table, fixture.results.map(bigints), onOurs(table, keys))).toEqual([]);
  });

  it.skipIf(!hasQemu())(`equals ${QEMU} on other pointers, modifiers and keys [needs qemu]`, async () => {
    const table = pairs(500, 2);
    const { keys, results } = await underQemu(table, 2);
    expect(differences(table, results, onOurs(table, keys))).toEqual([]);
  });
});

describe('pointer authentication on the machine', () => {
  const KEY = {
    apiakeylo_el1: 0x1111n,
    apdakeyhi_el1: 0x2222n,
    apibkeylo_el1: 0x3333n,
    apgakeylo_el1: 0x4444n,
  };

  /** Runs text at EL1 on a bare machine with keys; gives the machine when an exception came. */
  function run(text: string, setup: (machine: Machine) => void = () => {}): Machine {
    const machine = bareMachine();
    const { cpu, memory } = machine;
    for (const [name, value] of Object.entries(KEY)) cpu.writeRegister(name, value);
    const program = assemble({ name: 't.s', text: `${text}\nbrk #0\n` }, { textBase: VA(BigInt(CODE)) });
    memory.writeBytes(PA(CODE), toFlat(program, VA(BigInt(CODE))));
    cpu.setLevel(1, 0);
    cpu.sp = BigInt(TABLE);
    cpu.writeX(0, BigInt(TABLE));
    cpu.pc = BigInt(CODE);
    setup(machine);
    createEngine(machine, 'evaluate').run(cpu, 100);
    return machine;
  }
  const classOf = (machine: Machine) => machine.cpu.readRegister('esr_el1') >> 26n;
  const BRK = 0x3cn;

  it.each([
    ['ia', 31],
    ['ib', 30],
    ['da', 27],
    ['db', 13],
  ] as const)('leaves pointers alone where SCTLR_EL1 does not enable key %s', (key, bit) => {
    const text = `mov x2, x0\npac${key} x2, x1\nmov x3, x0\naut${key} x3, x1\npacga x4, x0, x1`;
    const off = run(text, ({ cpu }) => {
      const sctlr = cpu.readRegister('sctlr_el1');
      cpu.writeRegister('sctlr_el1', sctlr & ~(1n << BigInt(bit)));
    });
    expect([off.cpu.readX(2), off.cpu.readX(3)]).toEqual([BigInt(TABLE), BigInt(TABLE)]);
    // PACGA has no switch.
    expect(off.cpu.readX(4)).not.toBe(0n);
    const on = run(text);
    expect(on.cpu.readX(2)).not.toBe(BigInt(TABLE));
    expect(on.cpu.readX(3)).not.toBe(BigInt(TABLE));
  });

  it.each([
    'adr x1, 1f; mov x2, #5; pacia x1, x2; braa x1, x2; brk #1; 1: nop',
    'adr x1, 1f; paciza x1; blraaz x1; 1: nop',
    'adr x30, 1f; pacibsp; retab; brk #1; 1: nop',
    'adr x1, 1f; msr elr_el1, x1; mov x1, #4; msr spsr_el1, x1; mrs x1, elr_el1; mov x2, sp; pacia x1, x2; msr elr_el1, x1; eretaa; brk #1; 1: nop',
    'pacdza x0; ldraa x1, [x0, #16]; ldraa x2, [x0, #8]!; xpacd x0',
  ])('goes where the right code says: %s', (text) => {
    const machine = run(text.replaceAll('; ', '\n'));
    expect(classOf(machine)).toBe(BRK);
    expect(machine.cpu.readRegister('esr_el1') & 0xffffn).toBe(0n);
  });

  it('writes the authenticated address back', () => {
    const { cpu } = run('pacdza x0\nldraa x2, [x0, #8]!', ({ memory }) => memory.write64(PA(TABLE + 8), 77n));
    expect(cpu.readX(2)).toBe(77n);
    expect(cpu.readX(0)).toBe(BigInt(TABLE + 8));
  });

  it.each([
    ['adr x1, 1f; pacia x1, x2; add x2, x2, #1; braa x1, x2; 1: nop', 0x21n],
    ['adr x30, 1f; paciasp; retab; 1: nop', 0x21n],
    ['pacdza x0; eor x0, x0, #0x20000000000000; ldraa x1, [x0]', 0x25n],
  ] as const)('makes a wrong code an address that faults: %s', (text, exceptionClass) => {
    const machine = run(text.replaceAll('; ', '\n'));
    expect(classOf(machine)).toBe(exceptionClass);
    // The error code: bits 62:61 without TBI, 54:53 with it.
    const far = machine.cpu.readRegister('far_el1');
    expect((far >> 53n) & 3n || (far >> 61n) & 3n).not.toBe(0n);
  });

  it.each([
    ['hcr_el2', 2],
    ['scr_el3', 3],
  ] as const)('is kept from EL1 by %s.API, but for stripping', (register, el) => {
    const machine = createMachine({ banks: [{ base: CODE, size: 0x1_0000 }], features: ['FEAT_PAuth'] });
    const { cpu } = machine;
    cpu.writeRegister('scr_el3', 1n | (3n << 16n));
    cpu.writeRegister('hcr_el2', 3n << 40n);
    cpu.writeRegister('sctlr_el1', 1n << 31n);
    cpu.writeRegister(register, el === 3 ? 1n : 0n);
    cpu.setLevel(1, 1);
    const trap = { exceptionClass: 9, iss: 0, target: el };
    expect(() => cpu.pac.add(0n, 0n, 'ia')).toThrow(expect.objectContaining(trap));
    expect(() => cpu.pac.generic(0n, 0n)).toThrow(expect.objectContaining(trap));
    // A key that is not enabled is not used, so there is nothing to trap.
    expect(cpu.pac.add(5n, 0n, 'ib')).toBe(5n);
    expect(cpu.pac.strip(0xff_0000_0000_0000n | 5n, false)).toBeTypeOf('bigint');
  });

  it('computes the cipher’s published vector', () => {
    // QARMA-64, sigma 2, five rounds: w0, k0, tweak and plaintext of the paper's appendix.
    const { cpu } = bareMachine();
    cpu.writeRegister('apgakeyhi_el1', 0x84be_85ce_9804_e94bn);
    cpu.writeRegister('apgakeylo_el1', 0xec28_02d4_e0a4_88e9n);
    cpu.setLevel(1, 1);
    expect(cpu.pac.generic(0xfb62_3599_da6e_8127n, 0x477d_469d_ec0b_8762n)).toBe(0xc003_b939_0000_0000n);
  });
});
