import { describe, expect, it } from 'vitest';
import { PA } from '../../src/base/index.js';
import {
  type ControllerReport,
  createMachine,
  type Machine,
  TagController,
  TagControllerDevice,
} from '../../src/machine/index.js';
import { DRAM, runBare, TAGGED_SIZE, TAGS, testMachine } from './support.js';

const BANKS = [{ base: DRAM, size: 0x4000000 }];
const RANGE = { memBase: DRAM, memSize: TAGGED_SIZE, tagBase: TAGS, blockSize: 0x1000 };

describe('the tag controller', () => {
  it('keeps the tag of X at tagBase + (X - memBase) / 32, low nibble for the even granule', () => {
    const { memory, dram } = testMachine();
    memory.writeTag(PA(DRAM + 0x12340), 0xa);
    memory.writeTag(PA(DRAM + 0x12350), 0x5);
    expect(dram.read8(TAGS + 0x12340 / 32)).toBe(0x5a);
    // The bytes are the tags: there is nothing else to change.
    dram.write8(TAGS + 0x12340 / 32, 0xc3);
    expect(memory.readTag(PA(DRAM + 0x12348))).toBe(0x3);
    expect(memory.readTag(PA(DRAM + 0x12350))).toBe(0xc);
  });

  it('moves pages of tags as packed bytes, two to the byte', () => {
    const { memory, dram } = testMachine();
    const packed = Uint8Array.from({ length: 128 }, (_, i) => (i * 29) & 0xff);
    memory.writeTags(PA(DRAM + 0x5000), packed);
    expect(dram.readBytes(TAGS + 0x5000 / 32, 128)).toEqual(packed);
    expect(memory.readTags(PA(DRAM + 0x5000), 4096)).toEqual(packed);
    expect(memory.readTag(PA(DRAM + 0x5010))).toBe(packed[0]! >> 4);
    memory.fillTags(PA(DRAM + 0x5000), 4096, 9);
    expect(dram.readBytes(TAGS + 0x5000 / 32, 128).every((b) => b === 0x99)).toBe(true);
    memory.fillTags(PA(DRAM + 0x5010), 32, 2);
    expect([...memory.readTags(PA(DRAM + 0x5000), 64)]).toEqual([0x29, 0x92]);
  });

  it('gives tag 0 and ignores tag writes where there is no tag storage', () => {
    const { memory, dram } = testMachine();
    memory.writeTag(PA(DRAM + TAGGED_SIZE), 7);
    expect(memory.readTag(PA(DRAM + TAGGED_SIZE))).toBe(0);
    memory.fillTags(PA(DRAM + TAGGED_SIZE), 4096, 7);
    expect(memory.readTags(PA(DRAM + TAGGED_SIZE), 4096).every((b) => b === 0)).toBe(true);
    expect(dram.touchedBytes).toBe(0);
  });

  it.each([2, 4, 32])('interleaves %i ways by a permutation inside each block', (interleave) => {
    const controller = new TagController(BANKS);
    const blockSize = 0x2000;
    expect(controller.enable(0, { ...RANGE, blockSize, interleave })).toBeUndefined();
    for (const block of [0, 3, 127]) {
      const seen = new Set<number>();
      for (let i = 0; i < blockSize; i++) {
        const memory = DRAM + (block * blockSize + i) * 32;
        const at = controller.tagByteOf(memory);
        expect(Math.floor((at - TAGS) / blockSize)).toBe(block);
        expect(controller.memoryOfTagByte(at)).toBe(memory);
        seen.add(at);
      }
      expect(seen.size).toBe(blockSize);
    }
    // Successive 64-byte stripes go to successive parts of the block.
    expect(controller.tagByteOf(DRAM + 64 * 32)).toBe(TAGS + blockSize / interleave);
    expect(controller.isLinear(DRAM)).toBe(false);
  });

  it('refuses what cannot be', () => {
    const controller = new TagController(BANKS);
    const check = (change: object) => controller.problem(1, { ...RANGE, ...change });
    expect(controller.enable(0, RANGE)).toBeUndefined();
    expect(check({ memSize: 0 })).toBe('size');
    expect(check({ blockSize: 0x800 })).toBe('block');
    expect(check({ memSize: 0x1000 })).toBe('alignment');
    expect(check({ interleave: 3 })).toBe('interleave');
    expect(check({ memBase: 0x1000_0000 })).toBe('memory-outside-dram');
    expect(check({ tagBase: 0x43f8_0000 })).toBe('tags-outside-dram');
    expect(check({})).toBe('memory-overlap');
    expect(check({ memBase: DRAM + TAGGED_SIZE, memSize: 0x800000 })).toBe('tags-overlap');
    expect(check({ memBase: DRAM + TAGGED_SIZE, tagBase: DRAM + TAGGED_SIZE + 0x100000 })).toBe(
      'tags-inside-own-memory',
    );
    expect(controller.ranges).toEqual([RANGE]);
    controller.disable(0);
    expect(controller.tagByteOf(DRAM)).toBe(-1);
  });
});

function withDevice(reports: ControllerReport[] = []): Machine {
  return createMachine({
    banks: BANKS,
    devices: ({ controller }) => [
      new TagControllerDevice(0xa100000, 0x1000, controller, (report) => reports.push(report)),
    ],
  });
}

/** Firmware's way: stores to the registers, at EL3 with translation off. */
const PROGRAM = (memory: number, size: number, tags: number, block: number, control: number, range = 0) => `
  ldr x1, =0xa100100 + 0x40 * ${range}
  ldr x2, =${memory}
  str x2, [x1]
  ldr x2, =${size}
  str x2, [x1, #8]
  ldr x2, =${tags}
  str x2, [x1, #0x10]
  ldr w2, =${block}
  str w2, [x1, #0x18]
  mov w2, #${control}
  str w2, [x1, #0x1c]
  ldr w3, [x1, #0x20]
  ldr x4, =0xa100000
  ldr w5, [x4, #8]
  ldr w6, [x4]
  ldr w7, [x4, #4]
  hlt #0xf000
`;

describe('the tag controller device', () => {
  it('is programmed by stores', () => {
    const machine = withDevice();
    expect(machine.memory.readTag(PA(DRAM))).toBe(0);
    runBare(machine, PROGRAM(DRAM, TAGGED_SIZE, TAGS, 0x2000, 0x11), 16);
    expect(machine.controller.ranges).toEqual([{ ...RANGE, blockSize: 0x2000, interleave: 2 }]);
    const x = (n: number) => machine.cpu.readX(n);
    expect([x(3), x(5), x(6), x(7)]).toEqual([1n, 0n, 0x4d544701n, 8n]);
    machine.memory.writeTag(PA(DRAM + 64 * 32), 6);
    expect(machine.dram.read8(TAGS + 0x1000)).toBe(6);
  });

  it('loses tags while a range is off, and finds them in DRAM when it is on again', () => {
    const machine = withDevice();
    runBare(machine, PROGRAM(DRAM, TAGGED_SIZE, TAGS, 0x1000, 1), 16);
    machine.memory.writeTag(PA(DRAM + 0x20), 0xd);
    machine.memory.write32(PA(0xa10011c), 0);
    expect(machine.memory.readTag(PA(DRAM + 0x20))).toBe(0);
    machine.memory.writeTag(PA(DRAM + 0x20), 3);
    machine.memory.write32(PA(0xa10011c), 1);
    expect(machine.memory.readTag(PA(DRAM + 0x20))).toBe(0xd);
  });

  it('reports programming that contradicts itself and keeps the range off', () => {
    const reports: ControllerReport[] = [];
    const machine = withDevice(reports);
    runBare(machine, PROGRAM(DRAM, TAGGED_SIZE, DRAM + 0x1000, 0x1000, 1, 2), 16);
    expect(machine.controller.ranges).toEqual([]);
    // Reason 9 of range 2; the range says that it is not in force.
    expect([machine.cpu.readX(3), machine.cpu.readX(5)]).toEqual([0n, 0x209n]);
    expect(reports).toMatchObject([{ range: 2, problem: 'tags-inside-own-memory' }]);
  });

  it('does not let the map of a range in force be changed under it', () => {
    const machine = withDevice();
    runBare(machine, PROGRAM(DRAM, TAGGED_SIZE, TAGS, 0x1000, 1), 16);
    machine.memory.write32(PA(0xa100110), 0);
    expect(machine.controller.tagByteOf(DRAM)).toBe(TAGS);
    expect(machine.memory.read32(PA(0xa100110))).toBe(TAGS);
  });
});
