/**
 * Structure loads and stores of whole registers: LD1 to LD4, ST1 to ST4 (multiple structures).
 *
 * LD1 fills one to four registers one after the other; LD2, LD3 and LD4 deal the elements out in turn.
 *
 * Ref. DDI 0487, C4.1 "Advanced SIMD load/store multiple structures", "... (post-indexed)".
 */
import type { Builder, Words } from '../builder.js';
import { arranged, LANES_BHSD, LANES_STRUCTURE } from '../operands/simd-arrangements.js';
import { VList } from '../operands/vector-registers.js';
import { defineRow, type Row } from '../row.js';
import { vectorOf } from './simd-common.js';
import {
  gathered,
  STRUCTURE_MODES,
  structureAddress,
  structureMemory,
} from './vector-load-store-semantics.js';

interface Structure {
  /** Registers, which for LD2 to LD4 are the elements of a structure too. */
  readonly count: 1 | 2 | 3 | 4;
  readonly opcode: '0111' | '1010' | '0110' | '0010' | '1000' | '0100' | '0000';
  readonly interleaved: boolean;
}

const STRUCTURES: readonly Structure[] = [
  { count: 1, opcode: '0111', interleaved: false },
  { count: 2, opcode: '1010', interleaved: false },
  { count: 3, opcode: '0110', interleaved: false },
  { count: 4, opcode: '0010', interleaved: false },
  { count: 2, opcode: '1000', interleaved: true },
  { count: 3, opcode: '0100', interleaved: true },
  { count: 4, opcode: '0000', interleaved: true },
];

/** Which bytes of memory and of registers answer to each other. */
interface Layout {
  readonly name: string;
  readonly count: number;
  /** Bytes of a register, 8 or 16, and of an element. */
  readonly register: number;
  readonly element: 1 | 2 | 4 | 8;
  readonly interleaved: boolean;
}

/** Where in memory byte `k` of register `r` is. */
function placeInMemory({ count, register, element, interleaved }: Layout, r: number, k: number): number {
  if (!interleaved) return r * register + k;
  return (Math.floor(k / element) * count + r) * element + (k % element);
}

/** The byte of the registers (16 to each, in a row) that stands at `j` in memory. */
function placeInRegisters({ count, register, element, interleaved }: Layout, j: number): number {
  if (!interleaved) return Math.floor(j / register) * 16 + (j % register);
  const at = Math.floor(j / element);
  return (at % count) * 16 + Math.floor(at / count) * element + (j % element);
}

function load<T extends Words>(b: Builder<T>, l: Layout, memory: readonly T['q'][], first: T['vreg']): void {
  for (let r = 0; r < l.count; r++) {
    const value = gathered(b, `ld ${l.name} ${r}`, memory, (k) =>
      k < l.register ? placeInMemory(l, r, k) : -1,
    );
    b.writeV(l.register === 16 ? 128 : 64, b.nextV(first, r), value);
  }
}

function store<T extends Words>(b: Builder<T>, l: Layout, first: T['vreg']): T['q'][] {
  const registers = Array.from({ length: l.count }, (_, r) =>
    b.letV(b.readV(l.register === 16 ? 128 : 64, b.nextV(first, r))),
  );
  const total = l.count * l.register;
  return Array.from({ length: Math.ceil(total / 16) }, (_, v) =>
    gathered(b, `st ${l.name} ${v}`, registers, (i) =>
      16 * v + i < total ? placeInRegisters(l, 16 * v + i) : -1,
    ),
  );
}

const ONES = ['one register', 'two registers', 'three registers', 'four registers'] as const;

function structureRows({ count, opcode, interleaved }: Structure, isLoad: boolean): Row[] {
  const name = `${isLoad ? 'ld' : 'st'}${interleaved ? count : 1}`;
  const id = `${name.toUpperCase()}_multiple${interleaved ? '' : `_${count}`}`;
  const title = `${isLoad ? 'Load' : 'Store'} multiple ${interleaved ? count : 1}-element structures`;
  const lanes = interleaved ? LANES_BHSD : LANES_STRUCTURE;
  const L = isLoad ? '1' : '0';
  return STRUCTURE_MODES.map(({ mode, post, rm, mark, title: indexed }) =>
    defineRow({
      id: `${id}${mark}`,
      name,
      pattern: `0 Q 001100 ${post} ${L} 0 ${rm} ${opcode} size:2 Rn:5 Rt:5`,
      class: 'load-store',
      summary: `${title}${interleaved ? '' : ` (${ONES[count - 1]})`}${indexed}`,
      arm: `C7.2 ${name.toUpperCase()} (multiple structures)`,
      feature: 'FEAT_AdvSIMD',
      statics: ['Q', 'size'],
      where: (f) =>
        arranged(lanes)(f) && (mode !== 'register' || (f as Readonly<Record<string, number>>)['Rm'] !== 31),
      operands: {
        list: VList('Rt', count, lanes),
        memory: structureMemory(mode, (f) => count * (f['Q'] ? 16 : 8)),
      },
      execute: (b, { list, memory }, { Q, size }) => {
        b.checkFPAdvSIMDEnabled();
        const register = vectorOf(Q) / 8;
        const element = (1 << size) as 1 | 2 | 4 | 8;
        const total = count * register;
        const layout = {
          name: `${interleaved ? size : 'in order'} ${count} ${Q}`,
          count,
          register,
          element,
          interleaved,
        };
        const { address, access, writeBack } = structureAddress(b, mode, memory, total);
        if (isLoad) load(b, layout, b.loadVector(element, total, address, access), list);
        else b.storeVector(element, total, address, store(b, layout, list), access);
        writeBack();
      },
    }),
  );
}

export const rows: readonly Row[] = STRUCTURES.flatMap((structure) => [
  ...structureRows(structure, true),
  ...structureRows(structure, false),
]);
