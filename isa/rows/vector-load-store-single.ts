/**
 * Structure loads and stores of one element of each register, and loads that repeat one structure in all
 * lanes: LD1 to LD4, ST1 to ST4 (single structure), LD1R to LD4R.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD load/store single structure", "... (post-indexed)".
 */
import type { Builder, LaneSize, Words } from '../builder.js';
import { arranged, LANES_STRUCTURE } from '../operands/simd-arrangements.js';
import { isStructureElement, structureElement, structureSize } from '../operands/simd-structures.js';
import { VList } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { laneOf, vectorOf, zeros } from './simd-common.js';
import { STRUCTURE_MODES, structureAddress, structureMemory } from './vector-load-store-semantics.js';

interface Structure {
  readonly count: 1 | 2 | 3 | 4;
  /** Bit 21 and bit 13: how many elements. */
  readonly R: '0' | '1';
  readonly high: '0' | '1';
}

const STRUCTURES: readonly Structure[] = [
  { count: 1, R: '0', high: '0' },
  { count: 2, R: '1', high: '0' },
  { count: 3, R: '0', high: '1' },
  { count: 4, R: '1', high: '1' },
];

const isRegister31 = (f: Readonly<Record<string, number>>) => f['Rm'] === 31;

/** Element `r` of a structure in the vectors of its bytes. */
function elementOf<T extends Words>(
  b: Builder<T>,
  size: LaneSize,
  bytes: readonly T['q'][],
  r: number,
): T['x'] {
  const perVector = 128 / size;
  return b.getLane(size, bytes[Math.floor(r / perVector)]!, b.imm(r % perVector));
}

function singleRows({ count, R, high }: Structure, isLoad: boolean): Row[] {
  const name = `${isLoad ? 'ld' : 'st'}${count}`;
  const L = isLoad ? '1' : '0';
  return STRUCTURE_MODES.map(({ mode, post, rm, mark, title }) =>
    defineRow({
      id: `${name.toUpperCase()}_single${mark}`,
      name,
      pattern: `0 Q 001101 ${post} ${L} ${R} ${rm} scale:2 ${high} S size:2 Rn:5 Rt:5`,
      class: 'load-store',
      summary: `${isLoad ? 'Load' : 'Store'} single ${count}-element structure ${isLoad ? 'to' : 'from'} one lane${title}`,
      arm: `C7.2 ${name.toUpperCase()} (single structure)`,
      feature: 'FEAT_AdvSIMD',
      where: (f) => isStructureElement(f) && (mode !== 'register' || !isRegister31(f)),
      operands: {
        list: structureElement(count),
        memory: structureMemory(mode, (f) => count << structureSize(f)),
      },
      execute: (b, { list, memory }) => {
        b.checkFPAdvSIMDEnabled();
        const size = laneOf(list.size);
        const element = (size / 8) as 1 | 2 | 4 | 8;
        const total = count * element;
        const index = b.let(list.index);
        const { address, access, writeBack } = structureAddress(b, mode, memory, total);
        if (isLoad) {
          const bytes = b.loadVector(element, total, address, access);
          for (let r = 0; r < count; r++) {
            const rt = b.nextV(list.reg, r);
            b.writeV(128, rt, b.setLane(size, b.readV(128, rt), index, elementOf(b, size, bytes, r)));
          }
        } else {
          const bytes = Array.from({ length: Math.ceil(total / 16) }, () => zeros(b));
          for (let r = 0; r < count; r++) {
            const at = Math.floor((r * element) / 16);
            const value = b.getLane(size, b.readV(128, b.nextV(list.reg, r)), index);
            bytes[at] = b.setLane(size, bytes[at]!, b.imm(r % (16 / element)), value);
          }
          b.storeVector(element, total, address, bytes, access);
        }
        writeBack();
      },
    }),
  );
}

function replicateRows({ count, R, high }: Structure): Row[] {
  const name = `ld${count}r`;
  return STRUCTURE_MODES.map(({ mode, post, rm, mark, title }) =>
    defineRow({
      id: `${name.toUpperCase()}${mark}`,
      name,
      pattern: `0 Q 001101 ${post} 1 ${R} ${rm} 11 ${high} 0 size:2 Rn:5 Rt:5`,
      class: 'load-store',
      summary: `Load single ${count}-element structure and replicate to all lanes${title}`,
      arm: `C7.2 ${name.toUpperCase()}`,
      feature: 'FEAT_AdvSIMD',
      statics: ['Q', 'size'],
      where: (f) => arranged(LANES_STRUCTURE)(f) && (mode !== 'register' || !isRegister31(f)),
      operands: {
        list: VList('Rt', count, LANES_STRUCTURE),
        memory: structureMemory(mode, (f) => count << f['size']!),
      },
      execute: (b, { list, memory }, { Q, size }) => {
        b.checkFPAdvSIMDEnabled();
        const lane = laneOf(size);
        const element = (lane / 8) as 1 | 2 | 4 | 8;
        const total = count * element;
        const { address, access, writeBack } = structureAddress(b, mode, memory, total);
        const bytes = b.loadVector(element, total, address, access);
        for (let r = 0; r < count; r++) {
          b.writeV(vectorOf(Q), b.nextV(list, r), b.splat(lane, elementOf(b, lane, bytes, r)));
        }
        writeBack();
      },
    }),
  );
}

export const rows: readonly Row[] = STRUCTURES.flatMap((structure) => [
  ...singleRows(structure, true),
  ...singleRows(structure, false),
  ...replicateRows(structure),
]);
