/** Other builds of the kernel. */
import { story } from './scenario.js';
import { MTE, RW } from './world.js';

export const BUILDING = [
  story({
    id: 'R10',
    title: 'a kernel without NUMA allocates for a tagged mapping',
    expected: 'the allocation is tagged all the same: the block is there at the first fault',
    world: { numa: false },
    tell(k) {
      k.step('a page of a tagged mapping is written to for the first time');
      const program = k.program();
      const addr = program.map(1, RW | MTE);
      program.stg(addr, 5);
      k.expect(
        k.metric('faultOnAccessFaults') === 0,
        'arch_calc_vma_gfp',
        `${program.faults} faults: the page was allocated untagged, and got its block at the second`,
      );
      program.expectTag(addr, 5, 'the granule');
      return undefined;
    },
  }),
];
