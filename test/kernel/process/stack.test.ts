import { describe, expect, it } from 'vitest';
import { AT } from '../../../src/kernel/process/abi.js';
import { buildInitialStack } from '../../../src/kernel/process/stack.js';

/** Reads the stack as a program's start code does. */
function readStack(sp: bigint, bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (i: number) => view.getBigUint64(i * 8, true);
  const text = (address: bigint) => {
    let at = Number(address - sp);
    let out = '';
    for (; bytes[at] !== 0; at++) out += String.fromCharCode(bytes[at]!);
    return out;
  };
  const argc = Number(word(0));
  let i = 1;
  const args = [];
  for (; word(i) !== 0n; i++) args.push(text(word(i)));
  const env = [];
  for (i++; word(i) !== 0n; i++) env.push(text(word(i)));
  const auxv = new Map<number, bigint>();
  for (i++; word(i) !== 0n; i += 2) auxv.set(Number(word(i)), word(i + 1));
  return { argc, args, env, auxv, text };
}

describe('the initial stack', () => {
  it('holds what start code reads', () => {
    const { sp, bytes } = buildInitialStack({
      top: 0x1_0000_0000n,
      args: ['prog', 'one', 'two words'],
      env: ['A=1', 'B=zwei'],
      auxv: [[AT.PAGESZ, 4096n]],
      random: Uint8Array.from({ length: 16 }, (_, i) => i),
      execfn: './prog',
    });
    expect(sp % 16n).toBe(0n);
    expect(sp + BigInt(bytes.length)).toBe(0x1_0000_0000n);
    const stack = readStack(sp, bytes);
    expect(stack.argc).toBe(3);
    expect(stack.args).toEqual(['prog', 'one', 'two words']);
    expect(stack.env).toEqual(['A=1', 'B=zwei']);
    expect(stack.auxv.get(AT.PAGESZ)).toBe(4096n);
    expect(stack.text(stack.auxv.get(AT.EXECFN)!)).toBe('./prog');
    expect(stack.text(stack.auxv.get(AT.PLATFORM)!)).toBe('aarch64');
    const random = Number(stack.auxv.get(AT.RANDOM)! - sp);
    expect([...bytes.slice(random, random + 3)]).toEqual([0, 1, 2]);
  });

  it('works with nothing to pass', () => {
    const { sp, bytes } = buildInitialStack({
      top: 0x8000n,
      args: [],
      env: [],
      auxv: [],
      random: new Uint8Array(16),
      execfn: '',
    });
    const stack = readStack(sp, bytes);
    expect([stack.argc, stack.args, stack.env]).toEqual([0, [], []]);
  });
});
