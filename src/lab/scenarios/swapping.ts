/**
 * Tags on their way to the swap device and back (tag-storage.md 6.1, 6.2, 6.6, 5.3).
 */
import { pattern } from './program.js';
import { stashedPage } from './races.js';
import { story } from './scenario.js';
import { MTE, RW } from './world.js';

export const SWAPPING = [
  story({
    id: 'F8',
    title: 'a page whose tags are only in the stash is swapped out and comes back',
    expected: 'the tags are kept',
    world: { swapPages: 256 },
    tell(k) {
      k.step('a tagged page was moved to a frame without its block, and is swapped out');
      const program = k.program();
      const addr = stashedPage(k, program, 1, 7);
      k.swapOut(program, addr);
      k.step('it is accessed again');
      program.expectTag(addr + 32, 7, 'the page');
      program.expectData(addr, 1, 'the page');
      program.exit();
      k.settle();
      const { SwapTotal, SwapFree } = k.manager.meminfo();
      k.expect(SwapTotal === SwapFree, '10', 'a slot is not free again');
      return undefined;
    },
  }),

  story({
    id: 'F29',
    title: 'a tagged page is swapped in through the swap cache',
    expected: 'it is allocated as tagged: its block is there, nothing is stashed, one fault is enough',
    world: { swapPages: 256 },
    tell(k) {
      k.step('a tagged page is swapped out');
      const program = k.program();
      const addr = program.map(1, RW | MTE);
      program.store(addr, pattern(1));
      program.tagPage(addr, 9);
      k.swapOut(program, addr);
      k.step('it is accessed again');
      const [stored, faults] = [k.metric('stashStored'), program.faults];
      program.expectTag(addr + 32, 9, 'the page');
      program.expectData(addr, 1, 'the page');
      const [stashed, took] = [k.metric('stashStored') - stored, program.faults - faults];
      k.expect(
        stashed === 0 && took === 1,
        'arch_calc_vma_gfp',
        `${took} faults, and ${stashed} pages of tags went through the stash`,
      );
      return undefined;
    },
  }),
];
