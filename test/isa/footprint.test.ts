import { describe, expect, it } from 'vitest';
import { footprintOf } from '../../isa/index.js';

describe('footprintOf', () => {
  it.each([
    [0xf9401280, 'ldr x0, [x20, #32]', { reads: true, writes: false, bytes: 8, tags: false }],
    [0x38001420, 'strb w0, [x1], #1', { reads: false, writes: true, bytes: 1, tags: false }],
    [0xa9bf7bfd, 'stp x29, x30, [sp, #-16]!', { reads: false, writes: true, bytes: 16, tags: false }],
    [0xf8210002, 'ldadd x1, x2, [x0]', { reads: true, writes: true, bytes: 8, tags: false }],
    [0xd9200821, 'stg x1, [x1]', { reads: false, writes: true, bytes: 16, tags: true }],
    [0xd9a00821, 'st2g x1, [x1]', { reads: false, writes: true, bytes: 32, tags: true }],
    [0xd9600020, 'ldg x0, [x1]', { reads: true, writes: false, bytes: 16, tags: true }],
  ])('%#x %s', (word, _text, expected) => {
    expect(footprintOf(word)).toEqual(expected);
  });

  it('is undefined where no memory is touched', () => {
    expect(footprintOf(0xd503201f)).toBeUndefined();
    expect(footprintOf(0x00000000)).toBeUndefined();
  });
});
