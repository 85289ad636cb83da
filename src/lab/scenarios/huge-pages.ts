/**
 * Huge pages in tagged mappings (tag-storage.md 1.5, 3.4, 5.4).
 */
import { MADV_HUGEPAGE } from '../../kernel/index.js';
import { story } from './scenario.js';
import { MTE, PAGE, RW, va, type World } from './world.js';

const HUGE = 512;

/** A mapping that asked for huge pages; the first address in it where one fits. */
function hugeArea(k: World, program: ReturnType<World['program']>, prot: number): number {
  const addr = program.map(2 * HUGE, prot);
  k.run(k.manager.madvise(program.as, va(addr), 2 * HUGE * PAGE, MADV_HUGEPAGE));
  return Math.ceil(addr / (HUGE * PAGE)) * HUGE * PAGE;
}

export const HUGE_PAGES = [
  story({
    id: 'F13',
    title: 'a tagged mapping with huge pages is read before anything was written',
    expected:
      'one fault maps the huge zero page, whose tags are all 0; a store to it takes a page of its own',
    world: { tagPages: 128 },
    tell(k) {
      k.step('the first read');
      const program = k.program();
      const addr = hugeArea(k, program, RW | MTE);
      k.expect(program.ldg(addr + 5 * PAGE) === 0, '8', 'the tag is not 0');
      k.expect(program.faults === 1, 'progress', `it took ${program.faults} faults`);
      k.expect(k.manager.vmstat()['thp_zero_page_alloc'] === 1, 'F13', 'there is no huge zero page');
      k.step('reads all over the block');
      for (let i = 0; i < HUGE; i += 37) {
        k.expect(program.ldg(addr + i * PAGE + 32) === 0, '8', `the tag in page ${i} is not 0`);
      }
      k.expect(program.faults === 1, 'progress', `it took ${program.faults} faults`);
      k.step('a tag is stored, which is a write');
      program.stg(addr + 5 * PAGE, 9);
      program.expectTag(addr + 5 * PAGE, 9, 'the granule');
      k.expect(program.ldg(addr + 6 * PAGE) === 0, '8', 'the tag of the next page is not 0');
      program.exit();
      k.settle();
      return undefined;
    },
  }),
];
