import { describe, expect, it } from 'vitest';
import { PA } from '../../src/base/index.js';
import type { Cpu, Machine } from '../../src/machine/index.js';
import {
  CODE,
  D,
  DATA,
  MAIR,
  mappedMachine,
  runUnder,
  SCTLR_ON,
  TABLES,
  Tables,
  TCR_39,
  testMachine,
} from './support.js';

/** A machine at EL1 with translation on over the given tables, and AT S1E1R of addresses on it. */
function translated(machine: Machine, root: number, tcr: bigint): (va: bigint, el0?: boolean) => bigint {
  const { cpu } = machine;
  cpu.setLevel(1, 1);
  cpu.writeRegister('mair_el1', MAIR);
  cpu.writeRegister('tcr_el1', tcr);
  cpu.writeRegister('ttbr0_el1', BigInt(root));
  cpu.writeRegister('ttbr1_el1', BigInt(root));
  cpu.writeRegister('sctlr_el1', SCTLR_ON);
  return (va, el0 = false) => {
    // AT S1E1R is 1:0:7:8:0, S1E0R 1:0:7:8:2.
    cpu.system.operation(el0 ? 0x43c2 : 0x43c0, va);
    return cpu.readRegister('par_el1');
  };
}

const bare = () => testMachine({ hasEl2: false, hasEl3: false });
const address = (par: bigint) => par & 0xffff_ffff_f000n;
/** FST where F is 1, else undefined. */
const fault = (par: bigint) => ((par & 1n) === 1n ? Number((par >> 1n) & 0x3fn) : undefined);

describe('stage 1 walks', () => {
  it.each([
    [12, 39, 1, 0x0000_0040_1234_5000n],
    [12, 48, 0, 0x0000_ff12_3456_7000n],
    [12, 47, 0, 0x0000_7012_3456_7000n],
    [14, 47, 1, 0x0000_7f12_3456_4000n],
    [14, 36, 2, 0x0000_000f_3456_4000n],
    [14, 48, 0, 0x0000_ff12_3456_4000n],
    [16, 42, 2, 0x0000_03f2_3456_0000n],
    [16, 48, 1, 0x0000_ff12_3456_0000n],
    [16, 29, 3, 0x0000_0000_1456_0000n],
  ] as const)('granule 2^%i, %i-bit addresses, from level %i', (shift, bits, startLevel, va) => {
    const machine = bare();
    const tables = new Tables(machine, { shift, startLevel });
    tables.map(bits === 48 ? va : va & ((1n << BigInt(bits)) - 1n), 0x4024_0000, D.tagged);
    const tg0 = shift === 12 ? 0n : shift === 16 ? 1n : 2n;
    const at = translated(machine, tables.root, BigInt(64 - bits) | (tg0 << 14n) | (1n << 23n) | (5n << 32n));
    const inside = va & ((1n << BigInt(bits)) - 1n);
    const par = at(inside + 0xabcn);
    expect(fault(par)).toBeUndefined();
    expect(address(par)).toBe(0x4024_0000n);
    expect(par >> 56n).toBe(0xf0n);
    // The next page has no descriptor.
    expect(fault(at(inside + (1n << BigInt(shift))))).toBe(0x07);
    // Beyond the input size: level 0.
    if (bits < 48) expect(fault(at(1n << BigInt(bits)))).toBe(0x04);
  });

  it('use TTBR1 for the upper half, with its own size and granule', () => {
    const machine = bare();
    const lower = new Tables(machine);
    const upper = new Tables(machine, { shift: 16, startLevel: 2, at: 0x41800000 });
    lower.map(0x1000, 0x40100000, 0n);
    upper.map(0x3ff_0000_0000n, 0x40230000, 0n);
    const tcr = 25n | (22n << 16n) | (3n << 30n) | (5n << 32n);
    const at = translated(machine, lower.root, tcr);
    machine.cpu.writeRegister('ttbr1_el1', BigInt(upper.root));
    expect(address(at(0x1000n))).toBe(0x40100000n);
    expect(address(at(0xffff_ffff_0000_0000n + 0x1234n))).toBe(0x40231000n);
    expect(fault(at(0x3ff_0000_0000n))).toBe(0x04);
    expect(fault(at(0x8000_0000_0000_0000n))).toBe(0x04);
  });

  it('take blocks where the granule has them', () => {
    const machine = bare();
    const tables = new Tables(machine);
    tables.map(0x40000000, 0x40000000, 0n, 1);
    tables.map(0x80200000, 0x40400000, D.tagged, 2);
    const at = translated(machine, tables.root, TCR_39);
    expect(address(at(0x5234_5678n))).toBe(0x5234_5000n);
    expect(address(at(0x8032_1000n))).toBe(0x4052_1000n);
    // A block descriptor at level 3 is a fault.
    const descriptor = tables.map(0x8040_0000, 0x40600000, 0n);
    machine.memory.write64(PA(descriptor), machine.memory.read64(PA(descriptor)) & ~2n);
    expect(fault(at(0x8040_0000n))).toBe(0x07);
  });

  it('give each fault its status and level', () => {
    const machine = bare();
    const tables = new Tables(machine);
    const page = tables.map(0x1000, 0x40100000, 0n);
    const at = translated(machine, tables.root, TCR_39);
    const original = machine.memory.read64(PA(page));
    const withDescriptor = (descriptor: bigint) => {
      machine.memory.write64(PA(page), descriptor);
      machine.cpu.mmu.flushAll();
      return fault(at(0x1000n));
    };
    expect(withDescriptor(original)).toBeUndefined();
    expect(withDescriptor(original & ~D.af)).toBe(0x0b);
    // TCR.IPS = 2 is 40 bits.
    expect(withDescriptor(original | (1n << 40n))).toBe(0x03);
    expect(withDescriptor(0n)).toBe(0x07);
    expect(fault(at(0x4000_0000n))).toBe(0x05);
    expect(fault(at(0x20_0000n))).toBe(0x06);
    expect(fault(at(1n << 39n))).toBe(0x04);
    // A table outside DRAM: external abort of the walk at the level that reads it.
    machine.memory.write64(PA(tables.root + 8), 0x1000_0000n | 3n);
    expect(fault(at(0x4000_0000n))).toBe(0x16);
    machine.cpu.writeRegister('ttbr0_el1', 0x1000n);
    expect(fault(at(0x1000n))).toBe(0x15);
    // A table base beyond the physical address size.
    machine.cpu.writeRegister('ttbr0_el1', 1n << 44n);
    expect(fault(at(0x1000n))).toBe(0x00);
  });

  it('obey EPD, E0PD and the size field', () => {
    const machine = bare();
    const tables = new Tables(machine);
    tables.map(0x1000, 0x40100000, D.user);
    const at = translated(machine, tables.root, TCR_39);
    const withTcr = (tcr: bigint) => {
      machine.cpu.writeRegister('tcr_el1', tcr);
      return [fault(at(0x1000n)), fault(at(0x1000n, true))];
    };
    expect(withTcr(TCR_39)).toEqual([undefined, undefined]);
    expect(withTcr(TCR_39 | (1n << 7n))).toEqual([0x04, 0x04]);
    expect(withTcr(TCR_39 | (1n << 55n))).toEqual([undefined, 0x04]);
    expect(withTcr((TCR_39 & ~0x3fn) | 40n)).toEqual([0x04, 0x04]);
    expect(withTcr((TCR_39 & ~0x3fn) | 15n)).toEqual([0x04, 0x04]);
  });
});

describe('permissions', () => {
  /** ESR of one access to a page with these attributes, or undefined where it passes. */
  function access(
    el: 0 | 1,
    attributes: bigint,
    instruction: string,
    setup: (cpu: Cpu) => void = () => {},
  ): string | undefined {
    const { machine, tables } = mappedMachine();
    tables.map(DATA, DATA, attributes);
    machine.memory.write32(PA(DATA), 0xd4000001 | (0x55 << 5));
    // No literal load: the code is user memory, which PAN keeps EL1 from.
    const text = `mov x0, #${DATA}\n ${instruction}\n svc #0x55\n`;
    // svc #0x55 either here or in the page itself.
    const { esr } = runUnder(machine, text, { el, setup });
    return esr === '0x56000055' ? undefined : esr;
  }

  it.each<[bigint, (string | undefined)[], (string | undefined)[]]>([
    // AP and XN bits,           EL0 read, write, fetch;          EL1 read, write, fetch
    [0n, ['0x9200000f', '0x9200004f', undefined], [undefined, undefined, undefined]],
    [D.user, [undefined, undefined, undefined], [undefined, undefined, '0x8600000f']],
    [D.readOnly, ['0x9200000f', '0x9200004f', undefined], [undefined, '0x9600004f', undefined]],
    [D.user | D.readOnly, [undefined, '0x9200004f', undefined], [undefined, '0x9600004f', undefined]],
    [
      D.user | D.readOnly | D.uxn | D.pxn,
      [undefined, '0x9200004f', '0x8200000f'],
      [undefined, '0x9600004f', '0x8600000f'],
    ],
  ])('of descriptor bits %#', (bits, user, kernel) => {
    const instructions = ['ldr x1, [x0]', 'str x1, [x0, #8]', 'br x0'];
    expect(instructions.map((i) => access(0, bits, i))).toEqual(user);
    expect(instructions.map((i) => access(1, bits, i))).toEqual(kernel);
  });

  it('PAN keeps EL1 from user pages, unprivileged loads excepted', () => {
    const pan = (cpu: Cpu) => {
      cpu.pstate.pan = 1;
    };
    expect(access(1, D.user, 'ldr x1, [x0]', pan)).toBe('0x9600000f');
    expect(access(1, D.user, 'ldtr x1, [x0]', pan)).toBeUndefined();
    expect(access(1, 0n, 'ldr x1, [x0]', pan)).toBeUndefined();
    expect(access(1, 0n, 'ldtr x1, [x0]', pan)).toBe('0x9600000f');
    expect(
      access(1, 0n, 'ldtr x1, [x0]', (cpu) => {
        cpu.pstate.uao = 1;
      }),
    ).toBeUndefined();
  });

  it('WXN takes execution from what can be written', () => {
    const wxn = (cpu: Cpu) => cpu.writeRegister('sctlr_el1', SCTLR_ON | (1n << 19n));
    expect(access(0, D.user, 'br x0', wxn)).toBe('0x8200000f');
    expect(access(0, D.user | D.readOnly, 'br x0', wxn)).toBeUndefined();
  });

  it('tables restrict what is below them, unless hierarchical permissions are off', () => {
    const { machine, tables } = mappedMachine();
    const level1 = PA(tables.root + 8);
    machine.memory.write64(level1, machine.memory.read64(level1) | (1n << 62n));
    const text = `ldr x0, =${DATA}\n str x1, [x0]\n svc #0`;
    expect(runUnder(machine, text).esr).toBe('0x9200004f');
    expect(
      runUnder(machine, text, { setup: (c) => c.writeRegister('tcr_el1', TCR_39 | (1n << 41n)) }).esr,
    ).toBe('0x56000000');
  });

  it('the access flag and dirty state are managed where TCR says so', () => {
    const { machine, tables } = mappedMachine();
    const page = tables.map(DATA, DATA, D.user | D.readOnly | D.dbm);
    machine.memory.write64(PA(page), machine.memory.read64(PA(page)) & ~D.af);
    const text = `ldr x0, =${DATA}\n ldr x1, [x0]\n str x1, [x0]\n svc #0`;
    expect(runUnder(machine, text).esr).toBe('0x9200000b');
    const HA = 1n << 39n;
    const HD = 1n << 40n;
    expect(runUnder(machine, text, { setup: (c) => c.writeRegister('tcr_el1', TCR_39 | HA) }).esr).toBe(
      '0x9200004f',
    );
    expect(machine.memory.read64(PA(page)) & D.af).toBe(D.af);
    expect(runUnder(machine, text, { setup: (c) => c.writeRegister('tcr_el1', TCR_39 | HA | HD) }).esr).toBe(
      '0x56000000',
    );
    expect(machine.memory.read64(PA(page)) & D.readOnly).toBe(0n);
  });
});

describe('addresses', () => {
  it('ignore the top byte for data with TBI, for fetches unless TBID', () => {
    const tagged = `ldr x0, =0x7700000000000000 + ${DATA}\n ldr x1, [x0]\n svc #0`;
    expect(runUnder(mappedMachine().machine, tagged).esr).toBe('0x56000000');
    const noTbi = (cpu: Cpu) => cpu.writeRegister('tcr_el1', TCR_39 & ~(1n << 37n));
    expect(runUnder(mappedMachine().machine, tagged, { setup: noTbi })).toMatchObject({
      esr: '0x92000004',
      far: `0x77000000${DATA.toString(16).padStart(8, '0')}`,
    });
    const branch = `adr x0, 1f\n movk x0, #0x5500, lsl #48\n br x0\n1: adr x2, 1b\n svc #0`;
    const first = mappedMachine();
    runUnder(first.machine, branch);
    // The PC keeps no tag.
    expect(first.cpu.readX(2)).toBe(BigInt(CODE + 12));
    const tbid = (cpu: Cpu) => cpu.writeRegister('tcr_el1', TCR_39 | (1n << 51n));
    expect(runUnder(mappedMachine().machine, branch, { setup: tbid }).esr).toBe('0x82000004');
  });

  it('must be aligned for devices, and for data while translation is off', () => {
    const { machine, tables } = mappedMachine();
    tables.map(DATA, DATA, D.user | D.device);
    const text = `ldr x0, =${DATA + 1}\n ldr w1, [x0]\n svc #0`;
    expect(runUnder(machine, text)).toMatchObject({ esr: '0x92000021', far: `0x${(DATA + 1).toString(16)}` });
    const off = (cpu: Cpu) => cpu.writeRegister('sctlr_el1', SCTLR_ON & ~1n);
    expect(runUnder(mappedMachine().machine, text, { el: 1, setup: off }).esr).toBe('0x96000021');
    expect(runUnder(mappedMachine().machine, text, {}).esr).toBe('0x56000000');
  });

  it('that nothing answers give an external abort', () => {
    const { machine, tables } = mappedMachine();
    tables.map(DATA, 0x1000_0000, D.user);
    const text = `ldr x0, =${DATA}\n str x1, [x0]\n svc #0`;
    expect(runUnder(machine, text).esr).toBe('0x92000050');
    const fetch = `ldr x0, =${DATA}\n br x0`;
    expect(runUnder(machine, fetch).esr).toBe('0x82000010');
  });
});

describe('the TLB', () => {
  it('keeps a translation until it is invalidated', () => {
    const { machine, tables } = mappedMachine();
    machine.memory.write64(PA(DATA), 1n);
    machine.memory.write64(PA(DATA + 0x1000), 2n);
    const page = tables.map(DATA, DATA, D.user);
    // EL1 exchanges the page behind a mapping, reads, invalidates, reads. The tables are mapped at their address.
    tables.mapRange(TABLES, 0x10000, 0n);
    const text = (tlbi: string) => `
      ldr x0, =${DATA}
      ldr x1, [x0]
      ldr x2, =${page}
      ldr x3, [x2]
      add x3, x3, #0x1000
      str x3, [x2]
      dsb ish
      ldr x4, [x0]
      ${tlbi}
      dsb ish
      isb
      ldr x5, [x0]
      sub x3, x3, #0x1000
      str x3, [x2]
      tlbi vmalle1
      svc #0`;
    for (const tlbi of [
      'lsr x6, x0, #12\n tlbi vae1is, x6',
      'lsr x6, x0, #12\n tlbi vaae1, x6',
      'lsr x6, x0, #12\n tlbi vale1is, x6',
      'tlbi vmalle1is',
      'mov x6, #0\n tlbi aside1is, x6',
      // TG = 4 KiB, NUM = 0, SCALE = 0: two pages.
      'lsr x6, x0, #12\n movk x6, #0x4000, lsl #32\n tlbi rvae1is, x6',
    ]) {
      const taken = runUnder(machine, text(tlbi), { el: 1 });
      expect(taken.esr).toBe('0x56000000');
      const x = (n: number) => machine.cpu.readX(n);
      expect([tlbi, x(1), x(4), x(5)]).toEqual([tlbi, 1n, 1n, 2n]);
    }
  });

  it('drops all of a block for an address inside it', () => {
    const { machine, tables } = mappedMachine();
    const block = tables.map(0x40400000, 0x40400000, 0n, 2);
    tables.mapRange(TABLES, 0x10000, 0n);
    machine.memory.write64(PA(0x40412340), 5n);
    machine.memory.write64(PA(0x40612340), 6n);
    const text = `
      ldr x0, =0x40412340
      ldr x1, [x0]
      ldr x2, =${block}
      ldr x3, [x2]
      add x3, x3, #0x200000
      str x3, [x2]
      ldr x4, =0x405ff000 >> 12
      tlbi vaae1is, x4
      ldr x5, [x0]
      svc #0`;
    runUnder(machine, text, { el: 1 });
    expect([machine.cpu.readX(1), machine.cpu.readX(5)]).toEqual([5n, 6n]);
  });

  it('tells address spaces and levels apart without flushes', () => {
    const { machine, cpu, tables } = mappedMachine();
    const other = new Tables(machine, { at: 0x41800000 });
    other.mapRange(CODE, 0x10000, D.user | D.readOnly);
    other.map(DATA, DATA + 0x3000, D.user);
    machine.memory.write64(PA(DATA), 1n);
    machine.memory.write64(PA(DATA + 0x3000), 2n);
    const text = `ldr x0, =${DATA}\n ldr x1, [x0]\n svc #0`;
    const read = (ttbr: bigint) => {
      cpu.writeRegister('ttbr0_el1', ttbr);
      runUnder(machine, text);
      return cpu.readX(1);
    };
    const asid = (n: number, root: number) => (BigInt(n) << 48n) | BigInt(root);
    const spaces = [asid(1, tables.root), asid(2, other.root)];
    expect(spaces.map(read)).toEqual([1n, 2n]);
    const walks = cpu.mmu.walks;
    expect(spaces.map(read)).toEqual([1n, 2n]);
    // Back in a known address space only the fetch and data pages that evicted each other are walked again.
    expect(cpu.mmu.walks - walks).toBeLessThanOrEqual(6);
  });
});

describe('AT', () => {
  it('gives address and attributes, or the fault, in PAR_EL1 from a program', () => {
    const { machine } = mappedMachine();
    const text = `
      ldr x0, =${DATA + 0x123}
      at s1e1r, x0
      isb
      mrs x1, par_el1
      ldr x0, =${CODE}
      at s1e0w, x0
      isb
      mrs x2, par_el1
      svc #0`;
    runUnder(machine, text, { el: 1 });
    expect(machine.cpu.readX(1)).toBe((0xf0n << 56n) | BigInt(DATA) | (1n << 9n) | (1n << 11n));
    expect(machine.cpu.readX(2)).toBe(1n | (0x0fn << 1n) | (1n << 11n));
  });
});
