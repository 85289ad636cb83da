import { describe, expect, it } from 'vitest';
import {
  getTaggedAddrCtrl,
  resolveTcf0,
  setTaggedAddrCtrl,
  TCF0,
} from '../../../src/kernel/process/index.js';

function set(arg: number, mte = true) {
  const control = setTaggedAddrCtrl(BigInt(arg), mte);
  if (typeof control === 'number') throw new Error(`errno ${-control}`);
  return control;
}

describe('PR_SET_TAGGED_ADDR_CTRL', () => {
  it('reads back what was set', () => {
    for (const arg of [0, 1, 3, 5, 7, 6, 1 | (0xfffe << 3), 3 | (0xffff << 3)]) {
      expect(getTaggedAddrCtrl(set(arg))).toBe(arg);
    }
  });

  it('refuses unknown bits, and MTE bits without MTE', () => {
    expect(setTaggedAddrCtrl(8n << 17n, true)).toBe(-22);
    expect(setTaggedAddrCtrl(1n << 40n, true)).toBe(-22);
    expect(setTaggedAddrCtrl(3n, false)).toBe(-22);
    expect(setTaggedAddrCtrl(1n, false)).toMatchObject({ enabled: true });
  });

  it('picks the mode the CPU prefers, else async, asymmetric, sync', () => {
    expect(resolveTcf0(set(1))).toBe(TCF0.NONE);
    expect(resolveTcf0(set(3))).toBe(TCF0.SYNC);
    expect(resolveTcf0(set(5))).toBe(TCF0.ASYNC);
    expect(resolveTcf0(set(7))).toBe(TCF0.ASYNC);
    expect(resolveTcf0(set(7), TCF0.SYNC)).toBe(TCF0.SYNC);
    expect(resolveTcf0(set(7), TCF0.ASYMM)).toBe(TCF0.ASYMM);
    expect(resolveTcf0(set(3), TCF0.ASYMM)).toBe(TCF0.SYNC);
  });
});
