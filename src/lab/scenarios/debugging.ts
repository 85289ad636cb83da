/**
 * Tags through another process's address space: ptrace and core dumps (tag-storage.md 7.1, 7.4).
 */
import { PROT_NONE } from '../../kernel/index.js';
import { type Program, pattern } from './program.js';
import { stashedPage } from './races.js';
import { story } from './scenario.js';
import { MTE, RW, va, type World } from './world.js';

const peek = (k: World, program: Program, addr: number) => {
  const tags = new Uint8Array(4);
  const result = k.runBounded(k.manager.accessRemoteTags(program.as, va(addr), tags, false));
  return { result, tags };
};

const poke = (k: World, program: Program, addr: number, tag: number) =>
  k.runBounded(k.manager.accessRemoteTags(program.as, va(addr), Uint8Array.of(tag, tag, tag, tag), true));

export const DEBUGGING = [
  story({
    id: 'R12',
    title: 'a debugger reads and writes tags of a page that has no block',
    expected: "it reads tags, not data, and no other process's data changes",
    tell(k) {
      k.step("a neighbour's data lies where the page's tags belong");
      const [program, neighbour] = [k.program(), k.program()];
      const pfn = k.dataPfn(512);
      const lent = k.dataAt(neighbour, k.blockOf(pfn), 1);
      const addr = k.dataAt(program, pfn, 2);
      program.protect(addr, 1, RW | MTE);
      k.step('PTRACE_PEEKMTETAGS');
      const { result, tags } = peek(k, program, addr);
      k.expect(result === 4 && tags.every((tag) => tag === 0), '8', `peek gives ${result}: ${tags.join()}`);
      k.step('PTRACE_POKEMTETAGS');
      k.expect(poke(k, program, addr, 6) === 4, 'ptrace', 'the tags are not written');
      neighbour.expectData(lent, 1, "the neighbour's page");
      program.expectTag(addr + 32, 6, 'the page');
      program.expectData(addr, 2, 'the page');
      return undefined;
    },
  }),

  story({
    id: 'F12',
    title: "a debugger reads tags of a page whose block's data is pinned for ever",
    expected: 'the call returns, with tags or with an error',
    tell(k) {
      k.step("the data where the page's tags belong is pinned");
      const [program, neighbour] = [k.program(), k.program()];
      const pfn = k.dataPfn(512);
      const lent = k.dataAt(neighbour, k.blockOf(pfn), 1);
      const pin = k.pin(neighbour, lent);
      const addr = k.dataAt(program, pfn, 2);
      program.protect(addr, 1, RW | MTE);
      k.step('PTRACE_PEEKMTETAGS');
      const { result, tags } = peek(k, program, addr);
      k.expect(result < 0 || tags.every((tag) => tag === 0), '8', `peek gives ${tags.join()}`);
      pin.release();
      neighbour.expectData(lent, 1, "the neighbour's page");
      return `it returns ${result}`;
    },
  }),

  story({
    id: 'F17',
    title: 'a core dump of a page whose tags are in the stash',
    expected: 'the dump has the tags',
    tell(k) {
      k.step('a tagged page was moved to a frame without its block');
      const program = k.program();
      const addr = stashedPage(k, program, 1, 7);
      k.step('its tags are dumped');
      const tags = k.run(k.manager.dumpTags(program.as, va(addr)));
      k.expect(
        tags?.every((byte) => byte === 0x77) ?? false,
        '8',
        `the dump has ${tags?.[0] ?? 'a hole'}, not 0x77`,
      );
      return undefined;
    },
  }),

  story({
    id: 'F30',
    title: 'a debugger reads tags in a PROT_NONE mapping, of a page that has no block',
    expected: 'the call returns',
    tell(k) {
      k.step('a mapped page becomes PROT_NONE | PROT_MTE');
      const program = k.program();
      const addr = program.map(1, RW);
      program.store(addr, pattern(3));
      program.protect(addr, 1, PROT_NONE | MTE);
      k.step('PTRACE_PEEKMTETAGS');
      const { result, tags } = peek(k, program, addr);
      k.expect(result < 0 || tags.every((tag) => tag === 0), '8', `peek gives ${tags.join()}`);
      program.protect(addr, 1, RW);
      program.expectData(addr, 3, 'the page');
      return `it returns ${result}`;
    },
  }),
];
