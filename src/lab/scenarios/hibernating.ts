/**
 * Hibernation with tags in use (tag-storage.md 7.3).
 */
import { PA } from '../../base/index.js';
import { pattern } from './program.js';
import { story } from './scenario.js';
import { MTE, PAGE, RW, type World } from './world.js';

/** Bytes of memory whose tags are one line of a cache. */
const TAG_LINE = 2048;
/** Pages of tag storage that hold data when the image is made. */
const LENT = [10, 20, 30, 40];

/** It has lent tag storage too; the tags it wrote are in the caches when it finds the image. */
function bootKernel(k: World): void {
  const { memStartPfn, tagStartPfn } = k.regions[0]!;
  k.memory.fill(PA(tagStartPfn * PAGE), 8 * PAGE, 0x5a);
  for (const page of LENT) {
    // One in each line of the pages whose tags they were.
    for (let line = 0; line < 32 * PAGE; line += TAG_LINE) {
      k.memory.writeTag(PA((memStartPfn + 32 * page) * PAGE + line), 6);
    }
  }
}

export const HIBERNATING = [
  story({
    id: 'F16',
    title: 'hibernate and resume with tags in use',
    expected: 'all data and tags are equal, those in tag storage, in blocks and in the stash',
    world: { caches: true, swapPages: 3000 },
    tell(k) {
      k.step(
        'pages are tagged, one is left with its tags in the stash only, and data lies in lent tag storage',
      );
      const program = k.program();
      const tagged = program.map(8, RW | MTE);
      for (let i = 0; i < 8; i++) {
        program.store(tagged + i * PAGE, pattern(i + 1));
        program.tagPage(tagged + i * PAGE, 3 + i);
        // Each in another block.
        if (i < 7) k.place(program, tagged + i * PAGE, k.dataPfn(32 * (56 + i)));
        program.expectTag(tagged + i * PAGE, 3 + i, `page ${i}`);
      }
      const stashed = program.map(1, RW | MTE);
      program.store(stashed, pattern(20));
      program.tagPage(stashed, 13);
      k.place(program, stashed, k.dataPfn(700));
      const { tagStartPfn } = k.regions[0]!;
      const lent = LENT.map((i) => ({ seed: i, at: k.dataAt(program, tagStartPfn + i, i) }));
      k.settle();
      k.step('the last of the tags is stored, which stays in the caches');
      for (let i = 0; i < 8; i++) program.stg(tagged + i * PAGE + 2048, 15);
      k.step('memory is written to the swap device, power goes, a boot kernel finds the image');
      const reserved = k.manager.snapshotTagStorage();
      k.hibernate(() => bootKernel(k));
      k.settle();
      const { free, data, tags } = k.manager.snapshotTagStorage();
      const same = free === reserved.free && data === reserved.data && tags === reserved.tags;
      k.expect(same, 'hibernation', 'tag storage is not lent as it was');
      k.step('everything is read');
      const verify = () => {
        for (let i = 0; i < 8; i++) {
          program.expectData(tagged + i * PAGE, i + 1, `page ${i}`);
          program.expectTag(tagged + i * PAGE + 48, 3 + i, `page ${i}`);
          program.expectTag(tagged + i * PAGE + 2048, 15, `page ${i}`);
        }
        for (const { seed, at } of lent) program.expectData(at, seed, `the page in lent tag page ${seed}`);
      };
      verify();
      k.step('lines leave the caches as they may at any time: of tags first, then of data');
      const { memStartPfn, memEndPfn, tagEndPfn } = k.regions[0]!;
      k.memory.dcacheCleanInvalTagsPoc(PA(memStartPfn * PAGE), (memEndPfn - memStartPfn + 1) * PAGE);
      k.memory.dcacheCleanInvalPoc(PA(tagStartPfn * PAGE), (tagEndPfn - tagStartPfn + 1) * PAGE);
      verify();
      program.expectData(stashed, 20, 'the page with its tags in the stash');
      program.expectTag(stashed + 64, 13, 'the page with its tags in the stash');
      program.exit();
      return undefined;
    },
  }),
];
