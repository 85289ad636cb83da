/**
 * Features switched: what an instruction or register is without its feature and with it, what the ID
 * registers then say, and the device tree's way of saying it.
 */
import { describe, expect, it } from 'vitest';
import {
  changeFeatures,
  DEFAULT_FEATURES,
  decode,
  FEATURES,
  type FeatureName,
  ROWS,
  SYSTEM_OPERATIONS,
  SYSTEM_REGISTERS,
} from '../../isa/index.js';
import { assemble, toFlat } from '../../src/assembler/index.js';
import { InputError, MiB, PA, Random, VA } from '../../src/base/index.js';
import { compileDts } from '../../src/devicetree/index.js';
import { createEngine } from '../../src/engine/index.js';
import {
  buildMachine,
  createMachine,
  defaultTree,
  type Machine,
  NOT_IMPLEMENTED,
} from '../../src/machine/index.js';

const BASE = 0x4000_0000;
const DATA = 0x4001_0000n;

function machineWith(features: readonly FeatureName[], seed = 0): Machine {
  const machine = createMachine({
    banks: [{ base: BASE, size: 0x10_0000 }],
    features,
    seed,
    hasEl2: false,
    hasEl3: false,
  });
  machine.setSupervisor({ exceptionTaken: () => {} });
  return machine;
}

/** Runs text at EL1, translation off, and gives the class of the exception that ended it; X0 is DATA. */
function exceptionOf(machine: Machine, text: string): bigint {
  const { cpu } = machine;
  const program = assemble({ name: 't.s', text: `${text}\nbrk #0\n` }, { textBase: VA(BigInt(BASE)) });
  machine.memory.writeBytes(PA(BASE), toFlat(program, VA(BigInt(BASE))));
  cpu.setLevel(1, 1);
  cpu.writeX(0, DATA);
  cpu.pc = BigInt(BASE);
  createEngine(machine, 'evaluate').run(cpu, 100);
  return cpu.readRegister('esr_el1') >> 26n;
}

const UNDEFINED = 0n;
const BRK = 0x3cn;

/** One encoding of each feature that has some, and the ID register field that announces it. */
const ENCODINGS: readonly (readonly [FeatureName, string, string, number, bigint])[] = [
  ['FEAT_CRC32', 'crc32b w1, w2, w3', 'id_aa64isar0_el1', 16, 1n],
  ['FEAT_LSE', 'ldadd x1, x2, [x0]', 'id_aa64isar0_el1', 20, 2n],
  ['FEAT_FlagM', 'cfinv', 'id_aa64isar0_el1', 52, 1n],
  ['FEAT_FlagM2', 'axflag', 'id_aa64isar0_el1', 52, 2n],
  ['FEAT_TLBIOS', 'tlbi vmalle1os', 'id_aa64isar0_el1', 56, 1n],
  ['FEAT_TLBIRANGE', 'tlbi rvae1, x0', 'id_aa64isar0_el1', 56, 2n],
  ['FEAT_RNG', 'mrs x1, rndr', 'id_aa64isar0_el1', 60, 1n],
  ['FEAT_DPB', 'dc cvap, x0', 'id_aa64isar1_el1', 0, 1n],
  ['FEAT_DPB2', 'dc cvadp, x0', 'id_aa64isar1_el1', 0, 2n],
  ['FEAT_PAuth', 'pacia x1, x2', 'id_aa64isar1_el1', 4, 1n],
  ['FEAT_LRCPC', 'ldapr x1, [x0]', 'id_aa64isar1_el1', 20, 1n],
  ['FEAT_LRCPC2', 'ldapur x1, [x0, #8]', 'id_aa64isar1_el1', 20, 2n],
  ['FEAT_SB', 'sb', 'id_aa64isar1_el1', 36, 1n],
  ['FEAT_SPECRES', 'cfp rctx, x0', 'id_aa64isar1_el1', 40, 1n],
  ['FEAT_HBC', 'bc.eq . + 4', 'id_aa64isar2_el1', 20, 1n],
  ['FEAT_LOR', 'ldlar x1, [x0]', 'id_aa64mmfr1_el1', 16, 1n],
  ['FEAT_PAN', 'msr pan, #1', 'id_aa64mmfr1_el1', 20, 1n],
  ['FEAT_PAN2', 'at s1e1rp, x0', 'id_aa64mmfr1_el1', 20, 2n],
  ['FEAT_UAO', 'msr uao, #1', 'id_aa64mmfr2_el1', 4, 1n],
  ['FEAT_SSBS2', 'msr ssbs, #1', 'id_aa64pfr1_el1', 4, 2n],
  ['FEAT_MTE', 'irg x1, x0', 'id_aa64pfr1_el1', 8, 1n],
  ['FEAT_MTE2', 'ldgm x1, [x0]', 'id_aa64pfr1_el1', 8, 2n],
  ['FEAT_DIT', 'msr dit, #1', 'id_aa64pfr0_el1', 48, 1n],
  ['FEAT_ECV', 'mrs x1, cntvctss_el0', 'id_aa64mmfr0_el1', 60, 1n],
];

describe('features', () => {
  it.each(ENCODINGS)('%s: %s', (feature, text, register, lsb, value) => {
    const withIt = changeFeatures([], [`+${feature}`]) as Set<FeatureName>;
    const withoutIt = changeFeatures(
      Object.keys(FEATURES).filter(
        (f) => !(NOT_IMPLEMENTED as readonly string[]).includes(f),
      ) as FeatureName[],
      [`-${feature}`],
    ) as Set<FeatureName>;
    const [has, hasNot] = [machineWith([...withIt]), machineWith([...withoutIt])];
    expect(exceptionOf(has, text)).toBe(BRK);
    expect(exceptionOf(hasNot, text)).toBe(UNDEFINED);
    const field = (machine: Machine) => (machine.cpu.readRegister(register) >> BigInt(lsb)) & 15n;
    expect(field(has)).toBe(value);
    expect(field(hasNot)).toBeLessThan(value);
  });

  it('that encodings, registers or operations name are all tried above, or are hints and FP', () => {
    const tried = new Set<string>(ENCODINGS.map(([feature]) => feature));
    const named = new Set<string>();
    for (const row of [...ROWS, ...SYSTEM_REGISTERS, ...SYSTEM_OPERATIONS]) {
      if (row.feature === undefined) continue;
      const vector = 'class' in row && ['fp', 'simd', 'crypto'].includes(row.class);
      if (!vector && !['FEAT_FP', 'FEAT_AdvSIMD'].includes(row.feature)) named.add(row.feature);
    }
    const hints = ['FEAT_BTI', 'FEAT_CLRBHB', 'FEAT_RAS', 'FEAT_SPE', 'FEAT_TRF'];
    const refused = NOT_IMPLEMENTED as readonly string[];
    expect([...named].filter((f) => !tried.has(f) && !hints.includes(f) && !refused.includes(f))).toEqual([]);
  });

  it('that have neither encoding nor register nor known effect are refused', () => {
    const named = new Set<string | undefined>(
      [...ROWS, ...SYSTEM_REGISTERS, ...SYSTEM_OPERATIONS].map((row) => row.feature),
    );
    /** What the machine does without an encoding of its own: memory, exceptions, speculation. */
    const behaviour = new Set([
      'FEAT_CSV2',
      'FEAT_CSV3',
      'FEAT_SSBS',
      'FEAT_MTE3',
      'FEAT_HAFDBS',
      'FEAT_VMID16',
      'FEAT_HPDS',
      'FEAT_HPDS2',
      'FEAT_XNX',
      'FEAT_TTCNP',
      'FEAT_IESB',
      'FEAT_LSE2',
      'FEAT_IDST',
      'FEAT_S2FWB',
      'FEAT_BBM',
      'FEAT_E0PD',
      'FEAT_Debugv8',
      'FEAT_Debugv8p2',
    ]);
    // Floating point and vectors announce themselves by rows of their own.
    const vectors = new Set(
      ROWS.filter((r) => ['fp', 'simd', 'crypto'].includes(r.class)).map((r) => r.feature),
    );
    const isVector = (f: FeatureName) =>
      vectors.has(f) || /FP|SIMD|AES|PMULL|SHA|RDM|DotProd|FHM|JSCVT|FCMA|FRINTTS/.test(f);
    const unknown = (Object.keys(FEATURES) as FeatureName[]).filter(
      (f) => !named.has(f) && !behaviour.has(f) && !NOT_IMPLEMENTED.includes(f) && !isVector(f),
    );
    expect(unknown).toEqual([]);
    for (const feature of NOT_IMPLEMENTED) {
      expect(() => machineWith([feature]), feature).toThrow(`${feature} is not implemented`);
    }
  });

  it('absent make hints NOPs', () => {
    const paciasp = 0xd503233f;
    expect(decode(paciasp, () => false)?.row.id).toBe('HINT');
    expect(decode(paciasp)?.row.id).toBe('PACIASP');
    const machine = machineWith(DEFAULT_FEATURES);
    machine.cpu.writeX(30, 0x1234n);
    expect(exceptionOf(machine, 'paciasp\nautiasp\nxpaclri\nbti c')).toBe(BRK);
    expect(machine.cpu.readX(30)).toBe(0x1234n);
  });

  it('announce FP16 in both fields, PAuth with its generic code', () => {
    const id = (features: FeatureName[], register: string) =>
      machineWith(features).cpu.readRegister(register);
    expect(id(['FEAT_FP', 'FEAT_AdvSIMD', 'FEAT_FP16'], 'id_aa64pfr0_el1') & 0xff0000n).toBe(0x110000n);
    expect(id(['FEAT_PAuth'], 'id_aa64isar1_el1')).toBe((1n << 4n) | (1n << 24n));
  });
});

describe('changing features', () => {
  const changed = (...changes: string[]) => changeFeatures(DEFAULT_FEATURES, changes) as Set<string>;

  it('brings what a feature needs and takes what needs it', () => {
    expect([...(changeFeatures([], ['+mte3']) as Set<string>)].sort()).toEqual([
      'FEAT_MTE',
      'FEAT_MTE2',
      'FEAT_MTE3',
    ]);
    expect(changed('-FEAT_MTE').has('FEAT_MTE3')).toBe(false);
    expect(changed('-FlagM2').has('FEAT_FlagM')).toBe(true);
    const vectors = changeFeatures([], ['+sha512']) as Set<string>;
    expect(vectors.has('FEAT_FP')).toBe(true);
    expect((changeFeatures(vectors as Set<FeatureName>, ['-fp']) as Set<string>).size).toBe(0);
  });

  it('gives back what is no change', () => {
    expect(changeFeatures([], ['+pauth', '+nothing'])).toBe('+nothing');
    expect(changeFeatures([], ['pauth'])).toBe('pauth');
  });
});

describe('mtemu,features of cpu nodes', () => {
  const tree = (property: string, second = property) => {
    const cpu = (n: number, features: string) =>
      `cpu@${n} { device_type = "cpu"; compatible = "arm,armv8"; reg = <${n}>; ${features} };`;
    const text = `/dts-v1/;
      / { #address-cells = <2>; #size-cells = <2>; model = "t"; compatible = "t";
        cpus { #address-cells = <1>; #size-cells = <0>; ${cpu(0, property)} ${cpu(1, second)} };
        memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x1000000>; }; };`;
    return compileDts({ name: 't.dts', text }, {}).tree;
  };
  const problem = (...args: Parameters<typeof tree>) => {
    try {
      buildMachine(tree(...args));
      return undefined;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const { code, message, help } = error.diagnostics[0]!;
      return { code, message, help };
    }
  };

  it('switch features of the machine and its ID registers', () => {
    const machine = buildMachine(tree('mtemu,features = "+pauth", "-FEAT_LSE";'));
    expect(machine.features.has('FEAT_PAuth')).toBe(true);
    expect(machine.features.has('FEAT_LSE')).toBe(false);
    expect((machine.cpu.readRegister('id_aa64isar1_el1') >> 4n) & 15n).toBe(1n);
    expect((machine.cpu.readRegister('id_aa64isar0_el1') >> 20n) & 15n).toBe(0n);
    expect([...buildMachine(tree('')).features]).toEqual([...DEFAULT_FEATURES]);
    expect([...buildMachine(defaultTree(64 * MiB)).features]).toEqual([...DEFAULT_FEATURES]);
  });

  it('that cannot be are said with what was meant', () => {
    expect(problem('mtemu,features = "+pauht";')).toEqual({
      code: 'BOARD-FEATURES',
      message: "'mtemu,features' cannot have '+pauht'",
      help: "did you mean '+pauth'?",
    });
    expect(problem('mtemu,features = "lse";')?.help).toBe("did you mean '+lse'?");
    expect(problem('mtemu,features = "fast";')?.help).toMatch(/sign/);
    expect(problem('mtemu,features = "+vhe";')?.message).toBe('FEAT_VHE is not implemented');
    expect(problem('mtemu,features = "+pauth";', '')?.message).toMatch(/not the same/);
  });
});

describe('chance', () => {
  const draw = (seed: number, count: number, gcr: bigint, xm = 0n) => {
    const machine = machineWith(DEFAULT_FEATURES, seed);
    const { cpu } = machine;
    cpu.setLevel(1, 1);
    cpu.writeRegister('sctlr_el1', 3n << 42n);
    cpu.writeRegister('gcr_el1', gcr);
    cpu.refreshContext();
    return Array.from({ length: count }, () => cpu.tags.random(Number(xm)));
  };
  const RRND = 1n << 16n;

  it('of IRG with RRND = 1 is even over the tags that are not excluded', () => {
    // Excluded: 0, 1, 2, 5, 6, 7, 8 and, by the instruction, 15; eight are left, unevenly spaced.
    const tags = draw(1, 16_000, RRND | 0x01e7n, 0x8000n);
    const counts = new Map<number, number>();
    for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([3, 4, 9, 10, 11, 12, 13, 14]);
    // Chi-squared with 7 degrees of freedom: 24.3 has a chance of 0.001.
    const chi = [...counts.values()].reduce((sum, n) => sum + (n - 2000) ** 2 / 2000, 0);
    expect(chi).toBeLessThan(24.3);
    // Nor does a tag tell the next one.
    const repeats = tags.filter((tag, i) => tag === tags[i - 1]).length;
    expect(Math.abs(repeats - 2000)).toBeLessThan(4 * Math.sqrt(16_000 * (1 / 8) * (7 / 8)));
  });

  it('of IRG repeats with the seed and changes with it', () => {
    expect(draw(1, 50, RRND)).toEqual(draw(1, 50, RRND));
    expect(draw(2, 50, RRND)).not.toEqual(draw(1, 50, RRND));
    expect(draw(1, 3, RRND | 0xffffn)).toEqual([0, 0, 0]);
  });

  it('of RNDR repeats with the seed, is success, and is not that of tags', () => {
    const values = (seed: number) => {
      const machine = machineWith(['FEAT_RNG'], seed);
      machine.cpu.nzcv = 15;
      expect(exceptionOf(machine, 'mrs x1, rndr\nmrs x2, rndrrs\nmrs x3, nzcv')).toBe(BRK);
      expect(machine.cpu.readX(3)).toBe(0n);
      return [machine.cpu.readX(1), machine.cpu.readX(2)];
    };
    expect(values(5)).toEqual(values(5));
    expect(values(6)).not.toEqual(values(5));
    expect(values(5)[0]).toBe(new Random(5, 'rndr').u64());
  });
});
