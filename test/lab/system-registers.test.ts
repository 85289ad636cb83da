/**
 * System registers on the machine: who may, what is kept, and, at EL0, what qemu-aarch64 makes of every
 * name.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  DEFAULT_FEATURES,
  explainUndefined,
  type FeatureName,
  SYSTEM_REGISTERS,
  type SystemRegister,
} from '../../isa/index.js';
import {
  FUZZ_CLASSES,
  FuzzMachine,
  fuzzedRows,
  makeCase,
  oracleProgram,
  QEMU_OPTIONS,
  readOutcomes,
} from '../../src/lab/index.js';
import { createMachine, GuestException, type Machine, type MachineConfig } from '../../src/machine/index.js';
import { hasQemu, QEMU } from './qemu.js';

function machineWith(config: Partial<MachineConfig> = {}): Machine {
  return createMachine({ banks: [{ base: 0x4000_0000, size: 0x10_0000 }], ...config });
}

type Access = 'done' | 'undefined' | `trapped to EL${number}`;

/** What an access of `direction` at `el` comes to. */
function access(
  machine: Machine,
  row: SystemRegister,
  direction: 'read' | 'write',
  el: 0 | 1 | 2 | 3,
): Access {
  const { cpu } = machine;
  cpu.setLevel(el, 1);
  try {
    if (direction === 'read') cpu.system.read(row.encoding);
    else cpu.system.write(row.encoding, 0n);
    return 'done';
  } catch (thrown) {
    if (!(thrown instanceof GuestException)) throw thrown;
    if (thrown.exceptionClass === 0) return 'undefined';
    return `trapped to EL${thrown.target ?? Math.max(el, 1)}`;
  }
}

const named = (name: string) => SYSTEM_REGISTERS.find((row) => row.name === name)!;
const IMPLEMENTED = SYSTEM_REGISTERS.filter((row) => !row.nameOnly);

describe('system register access', () => {
  it('is undefined below the level that op1 names, and in the direction a register has not', () => {
    // With every feature, and nothing trapped from above.
    const features = [...DEFAULT_FEATURES, 'FEAT_PAuth', 'FEAT_ECV'] as FeatureName[];
    const wrong: string[] = [];
    for (const row of IMPLEMENTED) {
      const machine = machineWith({ features });
      machine.cpu.writeRegister('scr_el3', 0xffff_ffff_ffff_ffffn);
      machine.cpu.writeRegister('hcr_el2', (1n << 40n) | (1n << 41n) | (1n << 56n));
      machine.cpu.writeRegister('cptr_el2', 0n);
      machine.cpu.writeRegister('cpacr_el1', 3n << 20n);
      machine.cpu.writeRegister('cnthctl_el2', 3n);
      const op1 = (row.encoding >> 11) & 7;
      const lowest = op1 === 3 ? 0 : op1 === 4 || op1 === 5 ? 2 : op1 >= 6 ? 3 : 1;
      for (const el of [1, 2, 3] as const) {
        for (const direction of ['read', 'write'] as const) {
          const got = access(machine, row, direction, el);
          const hasFeature = row.feature === undefined || machine.features.has(row.feature);
          // GIC registers without a GIC; what only the highest level writes.
          const absent = !hasFeature || /^ic[ch]_/.test(row.name) || row.name === 'isr_el1';
          if (absent) continue;
          const other = row.access === (direction === 'read' ? 'wo' : 'ro');
          const highest = row.highestWrites && direction === 'write' && el < 3;
          const wanted = el < lowest || other || highest ? 'undefined' : 'done';
          if (got !== wanted) wrong.push(`${direction} of ${row.name} at EL${el}: ${got}, not ${wanted}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('of EL2 and EL3 registers is undefined on a machine without the level', () => {
    const machine = machineWith({ hasEl2: false, hasEl3: false });
    expect(access(machine, named('hcr_el2'), 'read', 1)).toBe('undefined');
    expect(access(machine, named('scr_el3'), 'read', 1)).toBe('undefined');
    expect(machine.cpu.readRegister('id_aa64pfr0_el1') & 0xffffn).toBe(0x11n);
    expect(machineWith().cpu.readRegister('id_aa64pfr0_el1') & 0xffffn).toBe(0x1111n);
    // The counter's frequency is the highest level's to write.
    expect(access(machine, named('cntfrq_el0'), 'write', 1)).toBe('done');
    expect(access(machineWith(), named('cntfrq_el0'), 'write', 1)).toBe('undefined');
  });

  it('of SP_EL0 is undefined where it is the stack pointer in use', () => {
    const { cpu } = machineWith();
    cpu.setLevel(1, 0);
    expect(() => cpu.system.read(named('sp_el0').encoding)).toThrow(GuestException);
    cpu.setLevel(1, 1);
    expect(cpu.system.read(named('sp_el0').encoding)).toBe(0n);
  });

  it.each([
    // What traps EL1 to EL2: name, direction, register, the value that traps and one that does not.
    ['sctlr_el1', 'write', 'hcr_el2', 1n << 26n, 0n],
    ['sctlr_el1', 'read', 'hcr_el2', 1n << 30n, 0n],
    ['id_aa64pfr1_el1', 'read', 'hcr_el2', 1n << 18n, 0n],
    ['ctr_el0', 'read', 'hcr_el2', 1n << 17n, 0n],
    ['actlr_el1', 'read', 'hcr_el2', 1n << 21n, 0n],
    ['gcr_el1', 'read', 'hcr_el2', 0n, 1n << 56n],
    ['tfsr_el1', 'write', 'hcr_el2', 0n, 1n << 56n],
    ['gmid_el1', 'read', 'hcr_el2', 1n << 58n, 0n],
    ['apiakeylo_el1', 'write', 'hcr_el2', 0n, 1n << 40n],
    ['cntpct_el0', 'read', 'cnthctl_el2', 2n, 3n],
    ['cntp_cval_el0', 'write', 'cnthctl_el2', 1n, 3n],
    ['cpacr_el1', 'read', 'cptr_el2', 1n << 31n, 0n],
  ] as const)('of %s (%s) at EL1 is trapped by %s', (name, direction, control, trapping, free) => {
    const machine = machineWith({ features: [...DEFAULT_FEATURES, 'FEAT_PAuth'] });
    machine.cpu.writeRegister('scr_el3', (1n << 0n) | (3n << 16n) | (1n << 26n));
    machine.cpu.writeRegister(control, trapping);
    expect(access(machine, named(name), direction, 1)).toBe('trapped to EL2');
    machine.cpu.writeRegister(control, free);
    expect(access(machine, named(name), direction, 1)).toBe('done');
  });

  it.each([
    ['gcr_el1', 26],
    ['apdbkeyhi_el1', 16],
  ] as const)('of %s is kept to EL3 by SCR_EL3 bit %i', (name, bit) => {
    const machine = machineWith({ features: [...DEFAULT_FEATURES, 'FEAT_PAuth'] });
    // EL2 lets it through.
    machine.cpu.writeRegister('hcr_el2', (3n << 40n) | (1n << 56n));
    machine.cpu.writeRegister('scr_el3', 1n);
    expect(access(machine, named(name), 'read', 1)).toBe('trapped to EL3');
    expect(access(machine, named(name), 'read', 2)).toBe('trapped to EL3');
    machine.cpu.writeRegister('scr_el3', 1n | (1n << BigInt(bit)));
    expect(access(machine, named(name), 'read', 2)).toBe('done');
  });
});

describe('system register values', () => {
  const ONES = 0xffff_ffff_ffff_ffffn;
  const kept = (features: readonly FeatureName[], name: string): bigint => {
    const { cpu } = machineWith({ features });
    cpu.writeRegister(name, ONES);
    return cpu.readRegister(name);
  };
  const without = (feature: FeatureName) => DEFAULT_FEATURES.filter((f) => f !== feature);

  it.each([
    ['sctlr_el1', 'FEAT_MTE2', (1n << 43n) | (1n << 42n) | (0xfn << 38n) | (1n << 37n)],
    ['sctlr_el1', 'FEAT_BTI', 3n << 35n],
    ['sctlr_el2', 'FEAT_MTE2', (1n << 43n) | (3n << 40n) | (1n << 37n)],
    ['tcr_el1', 'FEAT_MTE2', 3n << 57n],
    ['tcr_el1', 'FEAT_HAFDBS', 3n << 39n],
    ['tcr_el1', 'FEAT_E0PD', 3n << 55n],
    ['hcr_el2', 'FEAT_MTE2', 7n << 56n],
    ['scr_el3', 'FEAT_MTE2', 1n << 26n],
  ] as const)('of %s have the bits of %s only with it', (name, feature, bits) => {
    // The higher MTE levels go with FEAT_MTE2.
    const fewer = without(feature).filter((f) => f !== 'FEAT_MTE3');
    expect(kept(DEFAULT_FEATURES, name) & bits).toBe(bits);
    expect(kept(fewer, name) & bits).toBe(0n);
  });

  it('never keep what no machine here has: E2H, EEL2, NV', () => {
    expect(kept(DEFAULT_FEATURES, 'hcr_el2') & ((1n << 34n) | (7n << 42n))).toBe(0n);
    expect(kept(DEFAULT_FEATURES, 'scr_el3') & (1n << 18n)).toBe(0n);
  });

  it('keep RES1 bits at one and RES0 bits at zero', () => {
    const { cpu } = machineWith();
    const wrong: string[] = [];
    for (const row of IMPLEMENTED.filter(
      (r) => r.kind === 'cell' && (r.feature === undefined || cpu.environment.has(r.feature)),
    )) {
      cpu.writeRegister(row.name, 0n);
      if (cpu.readRegister(row.name) !== BigInt.asUintN(64, row.res1)) wrong.push(`${row.name} RES1`);
      cpu.writeRegister(row.name, ONES);
      if ((cpu.readRegister(row.name) & BigInt.asUintN(64, row.res0 & ~row.res1)) !== 0n)
        wrong.push(`${row.name} RES0`);
      cpu.writeRegister(row.name, 0n);
    }
    expect(wrong).toEqual([]);
  });

  it('of unallocated identification registers are zero at EL1, undefined elsewhere in the space', () => {
    const { cpu } = machineWith();
    cpu.setLevel(1, 1);
    // ID_AA64MMFR4_EL1 and the last of the space.
    expect(cpu.system.read(0xc03c)).toBe(0n);
    expect(cpu.system.read(0xc03f)).toBe(0n);
    expect(() => cpu.system.read(0xc041)).toThrow(GuestException);
  });
});

describe('why a word is undefined', () => {
  const has = (feature: string) => (DEFAULT_FEATURES as readonly string[]).includes(feature);
  const why = (word: number, el = 0) => explainUndefined(word, { hasFeature: has, el });

  it.each([
    [0xd5380000, "'mrs x0, midr_el1' (0xd5380000): midr_el1 needs EL1 and this is EL0"],
    [
      0xd538f200,
      "'mrs x0, s3_0_c15_c2_0' (0xd538f200): there is no system register s3_0_c15_c2_0 (op0=3, op1=0, CRn=15, CRm=2, op2=0)",
    ],
    [
      0xd53b9c00,
      "'mrs x0, pmcr_el0' (0xd53b9c00): pmcr_el0 (op0=3, op1=3, CRn=9, CRm=12, op2=0) is not implemented",
    ],
    [0xd51b2400, "'msr rndr, x0' (0xd51b2400): rndr is read-only"],
    [0xdac10000, "'pacia x0, x0' (0xdac10000): it needs FEAT_PAuth, which this machine has not"],
    [0xd508871f, "'tlbi vmalle1' (0xd508871f): tlbi vmalle1 needs EL1 and this is EL0"],
    [0xd9a00000, "'stgm x0, [x0]' (0xd9a00000): it needs EL1 and this is EL0"],
    [0x00000000, "'udf #0' (0x00000000): it is permanently undefined"],
    [0xffffffff, '0xffffffff is not an instruction'],
  ])('%# says so', (word, text) => {
    expect(why(word)).toContain(text);
  });
});

describe.skipIf(!hasQemu())('system registers at EL0 [needs qemu-aarch64-static]', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mtemu-sysregs-test-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Where Linux under qemu lets programs do what the architecture leaves to the kernel, or the other way. */
  const differs = (row: SystemRegister, direction: string): boolean =>
    // Linux emulates reads of the ID space.
    (direction === 'read' && row.encoding >= 0xc000 && row.encoding < 0xc080) ||
    // qemu 7.2 has these and our machine not, or not by default.
    /^(pm|am|tpidr2|scxtnum|dbgdtr|mdccsr|dspsr|dlr|svcr|fpcr|fpsr|csr)/.test(row.name);

  it('are undefined or not as under qemu, every name in both directions', () => {
    const base = makeCase(0, 0, fuzzedRows(FUZZ_CLASSES));
    const asked = SYSTEM_REGISTERS.flatMap((row) =>
      (['read', 'write'] as const)
        .filter((direction) => !differs(row, direction))
        .map((direction) => ({ row, direction })),
    );
    const cases = asked.map(({ row, direction }, i) => ({
      ...base,
      index: i % 1000,
      checked: false,
      words: [((direction === 'read' ? 0xd520_0000 : 0xd500_0000) | (row.encoding << 5) | 1) >>> 0],
    }));
    const machine = new FuzzMachine();
    const wrong: string[] = [];
    let implemented = 0;
    for (let from = 0; from < cases.length; from += 1000) {
      const batch = cases.slice(from, from + 1000);
      machine.load(batch);
      const file = join(directory, 'cases');
      writeFileSync(file, oracleProgram(batch));
      chmodSync(file, 0o755);
      const { stdout } = spawnSync(QEMU, [...QEMU_OPTIONS, file], { maxBuffer: 1 << 28, timeout: 60_000 });
      const theirs = readOutcomes(stdout);
      expect(theirs.length).toBe(batch.length);
      batch.forEach((c, i) => {
        const [our, their] = [machine.run(c).signal?.name, theirs[i]!.signal?.name];
        const { row, direction } = asked[from + i]!;
        if (our === 'SIGTRAP') implemented++;
        if ((our === 'SIGILL') !== (their === 'SIGILL')) {
          wrong.push(`${direction} of ${row.name}: ${our}, qemu ${their}`);
        }
      });
    }
    expect(wrong).toEqual([]);
    expect(implemented).toBeGreaterThan(15);
  });
});
