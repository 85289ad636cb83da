import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/index.js';
import {
  bootBoard,
  defaultTree,
  kernelEntryStage,
  type Supervisor,
  shippedTree,
  tagRangesOf,
} from '../../src/machine/index.js';

const noSupervisor: Supervisor = { exceptionTaken() {} };

function boot(tree: ReturnType<typeof shippedTree>) {
  let serial = '';
  const board = bootBoard(tree, kernelEntryStage(), {
    onSerial: (byte) => {
      serial += String.fromCharCode(byte);
    },
  });
  board.machine.setSupervisor(noSupervisor);
  const stop = createEngine(board.machine, 'evaluate').run(board.machine.cpu, 100_000);
  return { board, serial, stop, cpu: board.machine.cpu };
}

describe('boot firmware', () => {
  it('programs the controller and enters EL1 with the device tree in x0', () => {
    const { board, serial, stop, cpu } = boot(shippedTree('default'));
    expect(stop).toEqual({ kind: 'supervisor', el: 1 });
    expect(serial).toBe('firmware: tag ranges in force: 1 of 1; entering EL1\n');
    expect(cpu.readRegister('esr_el1')).toBe(0x56004d54n);
    expect(cpu.readRegister('elr_el1')).toBe(BigInt(board.nextStage.base + 4));
    expect(cpu.readX(0)).toBe(BigInt(board.dtb.base));
    expect(board.machine.controller.ranges).toEqual([
      { memBase: 0x4000_0000, memSize: 0x2000_0000, tagBase: 0x6000_0000, blockSize: 4096, interleave: 1 },
    ]);
    expect(cpu.readRegister('scr_el3') & (1n << 26n)).not.toBe(0n);
    expect(cpu.readRegister('hcr_el2') & (1n << 56n)).not.toBe(0n);
  });

  it('programs the two ranges of the FVP layout', () => {
    const { board, serial } = boot(shippedTree('fvp-rfc-v3'));
    expect(serial).toBe('firmware: tag ranges in force: 2 of 2; entering EL1\n');
    expect(board.machine.controller.ranges.map((r) => [r.memBase, r.memSize, r.tagBase])).toEqual([
      [0x8000_0000, 0x8000_0000, 0x8_f800_0000],
      [0x8_8000_0000, 0x7800_0000, 0x8_fc00_0000],
    ]);
  });

  it('programs the interleave the controller node asks for', () => {
    expect(tagRangesOf(shippedTree('block-8k'))[0]).toMatchObject({ blockSize: 0x2000, interleave: 2 });
    expect(boot(shippedTree('block-8k')).board.machine.controller.ranges[0]?.interleave).toBe(2);
  });

  it('gives memory without tag-storage nodes a hidden carve-out', () => {
    const tree = defaultTree(64 * 2 ** 20);
    tree.root.child('reserved-memory')!.children.length = 0;
    const { board } = boot(tree);
    expect(board.machine.controller.ranges[0]).toMatchObject({ memBase: 0x4000_0000, memSize: 64 * 2 ** 20 });
    expect(board.machine.controller.ranges[0]!.tagBase).toBeGreaterThanOrEqual(0x8000_0000);
  });
});

describe('the default machine in other sizes', () => {
  it('puts the tag storage directly behind the memory', () => {
    expect(tagRangesOf(defaultTree(128 * 2 ** 20))[0]).toMatchObject({
      memSize: 128 * 2 ** 20,
      tagBase: 0x4000_0000 + 128 * 2 ** 20,
    });
  });

  it('refuses what cannot be', () => {
    expect(() => defaultTree(1000)).toThrow(/cannot have/);
    expect(() => defaultTree(64 * 2 ** 20 + 4096)).toThrow(/cannot have/);
  });
});
