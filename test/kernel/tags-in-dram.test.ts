/**
 * Where tags are, seen from below: a program tags memory under the mini-kernel, and the carve-out's
 * bytes in DRAM are read directly.
 */
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/assembler/index.js';
import { MiB, PA, VA } from '../../src/base/index.js';
import type { DeviceTree } from '../../src/devicetree/index.js';
import { readElf, toElf } from '../../src/elf/index.js';
import { bootSystem } from '../../src/kernel/index.js';
import { defaultTree, shippedTree, tagRangesOf } from '../../src/machine/index.js';

/** Tags granule i of two pages with i mod 16, leaves the mapping's address in x19, and stays. */
const SOURCE = `
        .global _start
_start: mov     x0, #0
        mov     x1, #8192
        mov     x2, #0x23
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
        mov     x19, x0
        mov     x1, #0
1:      and     x2, x1, #15
        lsl     x2, x2, #56
        orr     x2, x2, x0
        stg     x2, [x0], #16
        add     x1, x1, #1
        cmp     x1, #512
        b.lo    1b
        b       .
`;

function tagged(tree: DeviceTree) {
  const { kernel, board } = bootSystem({ tree });
  const elf = readElf(toElf(assemble({ name: 'tag.s', text: SOURCE }, {})), 'tag.s');
  const process = kernel.spawn({ elf, args: ['tag.s'] });
  if (typeof process === 'number') throw new Error(`errno ${-process}`);
  expect(kernel.run(process, { maxSteps: 20_000 })).toEqual({ kind: 'limit', which: 'steps' });
  return { kernel, board, process, base: kernel.cpu.readX(19) };
}

describe('tags in DRAM', () => {
  it('are nibbles at tagBase + (pa - memBase) / 32, the low one for the even granule', () => {
    const { kernel, board, process, base } = tagged(defaultTree(64 * MiB));
    const range = board.tagRanges[0]!;
    const { dram } = board.machine;
    for (let i = 0; i < 512; i++) {
      const pa = kernel.mm.virtToPhys(process.mm, VA(base + BigInt(i * 16)))!.pa;
      const byte = dram.readBytes(range.tagBase + Math.floor((pa - range.memBase) / 32), 1)[0]!;
      expect((pa / 16) % 2 === 0 ? byte & 15 : byte >> 4).toBe(i & 15);
    }
  });

  it('belong to the block the kernel took, also where a block is interleaved', () => {
    const tree = shippedTree('block-8k');
    const { kernel, board, process, base } = tagged(tree);
    const range = tagRangesOf(tree)[0]!;
    expect(range).toMatchObject({ blockSize: 0x2000, interleave: 2 });
    const linear: number[] = [];
    for (let i = 0; i < 512; i++) {
      const pa = kernel.mm.virtToPhys(process.mm, VA(base + BigInt(i * 16)))!.pa;
      const tagByte = board.machine.controller.tagByteOf(pa);
      const byte = board.machine.dram.readBytes(tagByte, 1)[0]!;
      expect((pa / 16) % 2 === 0 ? byte & 15 : byte >> 4).toBe(i & 15);
      const block = (at: number) => Math.floor((at - range.tagBase) / range.blockSize);
      const straight = range.tagBase + Math.floor((pa - range.memBase) / 32);
      expect(block(tagByte)).toBe(block(straight));
      if (tagByte === straight) linear.push(i);
    }
    // The interleave does move tags about inside their block.
    expect(linear.length).toBeLessThan(512);
    expect(kernel.mm.checkInvariants()).toEqual([]);
  });

  it('change with the bytes: a data store into the carve-out is a tag store', () => {
    const { kernel, board, process, base } = tagged(defaultTree(64 * MiB));
    const pa = kernel.mm.virtToPhys(process.mm, VA(base))!.pa;
    const tagByte = board.machine.controller.tagByteOf(pa);
    expect(board.machine.memory.readTag(pa)).toBe(0);
    board.machine.memory.write8(PA(tagByte), 0xa5);
    expect(board.machine.memory.readTag(pa)).toBe(0x5);
    expect(board.machine.memory.readTag(PA(pa + 16))).toBe(0xa);
  });
});
