/**
 * KSM and tags (tag-storage.md 6.6): "has tags" must be asked of the stash too.
 */
import { ksmDoScan, MADV_MERGEABLE } from '../../kernel/index.js';
import { pattern } from './program.js';
import { story } from './scenario.js';
import { MTE, PAGE, RW, va, type World } from './world.js';

/** Rounds of ksmd in which equal pages that stay as they are must have been merged. */
const ROUNDS = 4;

function scan(k: World): void {
  const { ksm } = k.mm;
  const end = ksm.scan.seqnr + ROUNDS;
  for (let i = 0; i < 100 && ksm.scan.seqnr < end; i++) k.run(ksmDoScan(k.mm, ksm.pagesToScan));
}

export const MERGING = [
  story({
    id: 'F32',
    title: 'two pages with equal data and different tags, both only in the stash, may be merged',
    expected: 'they stay two pages, each with its tags; pages without tags beside them are merged',
    tell(k) {
      k.step('two tagged pages of equal data are moved to frames without their blocks');
      const program = k.program();
      const addr = program.map(2, RW | MTE);
      const tags = [5, 9];
      for (const [i, tag] of tags.entries()) {
        program.store(addr + i * PAGE, pattern(1));
        program.tagPage(addr + i * PAGE, tag);
        k.place(program, addr + i * PAGE, k.dataPfn(512 + 64 * i));
      }
      const plain = program.map(2, RW);
      for (const i of [0, 1]) program.store(plain + i * PAGE, pattern(2));
      for (const at of [addr, plain]) {
        k.run(k.manager.madvise(program.as, va(at), 2 * PAGE, MADV_MERGEABLE));
      }
      k.step('ksmd goes round');
      scan(k);
      k.expect(program.pfn(plain) === program.pfn(plain + PAGE), 'ksm', 'pages without tags are not merged');
      k.step('the tags are read');
      for (const [i, tag] of tags.entries()) {
        program.expectTag(addr + i * PAGE + 64, tag, `page ${i}`);
        program.expectData(addr + i * PAGE, 1, `page ${i}`);
      }
      k.expect(k.mm.ksm.pagesShared === 1, 'ksm', `${k.mm.ksm.pagesShared} merged pages instead of one`);
      program.exit();
      scan(k);
      return undefined;
    },
  }),
];
