/**
 * What structure loads and stores share: addresses and write-back, and how bytes of memory and bytes of
 * registers answer to each other.
 *
 * Elements are accessed one by one in the pseudocode (each may fault, with its own address); the builder
 * does the bytes of all of them at once, and shuffles put them where they belong.
 *
 * Ref. DDI 0487, C7.2 "LD2 (multiple structures)" and its kin; J1.3 Mem.
 */
import type { Access, Builder, Words } from '../builder.js';
import { memPlain, memPostBytes, memPostRegister } from '../operands/simd-structures.js';
import type { Fields, OperandKind } from '../row.js';
import { plainAccess } from './load-store-semantics.js';
import { pattern, zeros } from './simd-common.js';

export type StructureMode = 'plain' | 'immediate' | 'register';

/** How the modes stand in the encoding: what bits 23 and 20:16 are. */
export const STRUCTURE_MODES = [
  { mode: 'plain', post: '0', rm: '00000', mark: '', title: '' },
  { mode: 'immediate', post: '1', rm: '11111', mark: '_post_imm', title: ', immediate post-index' },
  { mode: 'register', post: '1', rm: 'Rm:5', mark: '_post_reg', title: ', register post-index' },
] as const;

/** The memory operand of a mode. */
export function structureMemory(
  mode: StructureMode,
  bytesOf: (f: Fields) => number,
): OperandKind<'reg'> | OperandKind<{ base: 'reg'; index: 'reg' }> {
  if (mode === 'plain') return memPlain;
  return mode === 'immediate' ? memPostBytes(bytesOf) : memPostRegister;
}

interface Address<T extends Words> {
  readonly address: T['x'];
  readonly access: Access;
  /** To be called last. */
  readonly writeBack: () => void;
}

/** The address of a memory operand of `structureMemory`; `bytes` are what the post-index adds. */
export function structureAddress<T extends Words>(
  b: Builder<T>,
  mode: StructureMode,
  memory: T['reg'] | { readonly base: T['reg']; readonly index: T['reg'] },
  bytes: number,
): Address<T> {
  if (mode === 'register') {
    const { base, index } = memory as { readonly base: T['reg']; readonly index: T['reg'] };
    const address = b.let(b.readBase(base));
    const writeBack = () => b.writeX(64, base, b.add(64, address, b.readX(64, index)));
    return { address, access: { kind: 'normal', tagChecked: true }, writeBack };
  }
  const base = memory as T['reg'];
  if (mode === 'plain') {
    return {
      address: b.readBase(base),
      access: plainAccess(b, 'normal', base),
      writeBack: () => {},
    };
  }
  const address = b.let(b.readBase(base));
  const writeBack = () => b.writeX(64, base, b.add(64, address, b.imm(bytes)));
  return { address, access: { kind: 'normal', tagChecked: true }, writeBack };
}

/**
 * Sixteen bytes out of up to four vectors: byte i is byte `from(i)` of them all in a row, or any where
 * that is negative. The sources are named; `name` is the pattern's.
 */
export function gathered<T extends Words>(
  b: Builder<T>,
  name: string,
  sources: readonly T['q'][],
  from: (byte: number) => number,
): T['q'] {
  const wanted = pattern(name, from);
  const first = wanted[0]!;
  if (first % 16 === 0 && wanted.every((byte, i) => byte < 0 || byte === first + i)) {
    return sources[first / 16]!;
  }
  const pairs: T['q'][] = [];
  for (let at = 0; at < sources.length; at += 2) {
    const inPair = pattern(`${name}/${at}`, (i) => {
      const byte = wanted[i]! - 16 * at;
      return byte >= 0 && byte < 32 ? byte : 0;
    });
    pairs.push(b.shuffle(sources[at]!, sources[at + 1] ?? zeros(b), inPair));
  }
  if (pairs.length === 1) return pairs[0]!;
  return b.shuffle(
    pairs[0]!,
    pairs[1]!,
    pattern(`${name}/merge`, (i) => (wanted[i]! < 32 ? i : 16 + i)),
  );
}
