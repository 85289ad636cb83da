/**
 * Scripts of the random model: their text, and that a failure which was found, shrunk and printed comes back when
 * it is replayed, under the policy that has the defect and under no other.
 */
import { describe, expect, it } from 'vitest';
import { InputError, SourceText } from '../../src/base/index.js';
import type { Command, Script } from '../../src/lab/index.js';
import {
  DEFAULT_SETTINGS,
  formatScript,
  parseScript,
  randomCommands,
  runScript,
  searchScripts,
} from '../../src/lab/index.js';
import { mtemu } from '../cli/in-process.js';

const parse = (text: string): Script => parseScript(new SourceText('a.script', text));

function complaints(text: string): string[] {
  try {
    parse(text);
    return [];
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return error.diagnostics.map(({ message, span }) => {
      const line = span!.source.lineAt(span!.start).line;
      return `${line}: ${message} [${span!.source.text.slice(span!.start, span!.end)}]`;
    });
  }
}

describe('the text of a script', () => {
  it.each([0, 1, 2, 3])('random commands come back as they were (%i)', (seed) => {
    const script: Script = {
      settings: {
        ...DEFAULT_SETTINGS,
        pageSize: 16384,
        blockSizePages: 3,
        policy: 'cma-v3-posted',
        seed,
        swapPages: 64,
        fail: { operation: 'page_alloc', nth: 7 },
      },
      commands: [
        ...randomCommands(seed, 60, true),
        { op: 'together', steps: [], order: { schedule: [0, 0, 0, 2, 1, 1] } },
      ],
    };
    expect(parse(formatScript(script))).toEqual(script);
  });

  it('comments, empty lines and defaults', () => {
    const text = ['# how', 'mtemu-script 1 # version', '', 'write 0 1 2 # a store', 'together 0*2,1'];
    expect(parse([...text, 'read 0 0 0', 'end'].join('\r\n'))).toEqual({
      settings: DEFAULT_SETTINGS,
      commands: [
        { op: 'write', a: 0, b: 1, c: 2 },
        { op: 'together', steps: [{ op: 'read', a: 0, b: 0, c: 0 }], order: { schedule: [0, 0, 1] } },
      ],
    });
  });

  it.each([
    ['', ["1: a script starts with 'mtemu-script 1' []"]],
    ['mtemu-script 2\n', ["1: a script starts with 'mtemu-script 1' [mtemu-script 2]"]],
    [
      'mtemu-script 1\nwriet 0 0 0\nwrite 0 x 0\nwrite 0 0\nwrite 1 2 3 4\n',
      [
        "2: there is no command 'wriet' [wriet]",
        "3: a number of the command is a whole number from 0 to 2147483647, not 'x' [x]",
        '4: a number of the command is missing [write 0 0]',
        '5: a command has three numbers [4]',
      ],
    ],
    [
      'mtemu-script 1\npage-size 8k\nblock-size 0\npolicy cam\nfail 7\nfail slab\n',
      [
        '2: a page has 4k, 16k or 64k [8k]',
        "3: the block size is a whole number from 1 to 64, not '0' [0]",
        "4: there is no policy 'cam' [cam]",
        '5: the operation that fails is missing [fail]',
        '6: the number of the call is missing [fail slab]',
      ].map((line) => (line.startsWith('5') ? expect.stringMatching(/^5: /) : line)),
    ],
    [
      'mtemu-script 1\nread 0 0 0\nseed 3\nend\ntogether a\nend\ntogether 0\ntogether 1\n',
      [
        '3: settings come before the first command [seed 3]',
        "4: there is no 'together' that ends here [end]",
        "5: 'a' is no schedule [a]",
        "6: there is no 'together' that ends here [end]",
        "8: 'together' stands inside another [together 1]",
        "7: no 'end' follows this 'together' [together 0]",
      ],
    ],
  ])('%j is refused, line by line', (text, expected) => {
    expect(complaints(text)).toEqual(expected);
  });

  it('a long script is read in a moment', () => {
    const text = `mtemu-script 1\n${'write 0 1 2\n'.repeat(60_000)}`;
    expect(parse(text).commands).toHaveLength(60_000);
    expect(complaints(`mtemu-script 1\n${'x\n'.repeat(10_000)}`)).toHaveLength(10_000);
  });
});

describe('a failure that is found comes back', () => {
  it('alone: found under the posted series, shrunk, replayed; the repaired policy survives it', async () => {
    const args = ['scenario', 'random', '--policy', 'cma-v3-posted', '--block-size', '2', '-o', 'f.script'];
    const found = await mtemu(args);
    expect(found.status).toBe(1);
    expect(found.stdout).toMatch(/BROKEN a random program/);
    const script = new TextDecoder().decode(found.written.get('f.script'));
    expect(found.stdout).toContain(script);
    expect(parse(script).commands.length).toBeLessThan(20);
    const files = { 'f.script': script };
    const broken = /broken: +(.*)/.exec(found.stdout)![1];
    const again = await mtemu(['scenario', 'replay', 'f.script'], files);
    expect(again.status).toBe(1);
    expect(/broken: +(.*)/.exec(again.stdout)![1]).toBe(broken);
    const repaired = await mtemu(['scenario', 'replay', 'f.script', '--policy', 'cma', '--json'], files);
    expect(repaired.status).toBe(0);
    expect(JSON.parse(repaired.stdout)).toEqual({
      policy: 'cma',
      scenarios: [
        {
          id: 'script',
          title: 'f.script',
          held: true,
          invariant: null,
          step: null,
          detail: expect.stringMatching(/commands/),
        },
      ],
    });
  });

  it('in an order of steps: the schedule stands in the script, and alone decides', () => {
    // Reclaim meets a page whose tags are stashed, or a page that has just got them back.
    const commands = (seed: number): Command[] => [
      { op: 'mmapShared', a: 0, b: 57, c: 3477 },
      { op: 'tagMany', a: 0, b: 129, c: 3986 },
      { op: 'pressure', a: 0, b: 0, c: 0 },
      // The first look at a page only finds that it was used.
      { op: 'reclaim', a: 0, b: 179, c: 131 },
      {
        op: 'together',
        steps: [
          { op: 'reclaim', a: 0, b: 179, c: 131 },
          { op: 'tagMany', a: 0, b: 173, c: 3306 },
        ],
        order: { seed },
      },
    ];
    const settings = { ...DEFAULT_SETTINGS, policy: 'cma-v3-posted', swapPages: 64 };
    let replayed = 0;
    for (let seed = 0; seed < 60; seed++) {
      const first = runScript({ settings, commands: commands(seed) });
      const text = formatScript(first.script);
      const second = runScript(parse(text));
      expect({
        held: second.held,
        invariant: second.invariant,
        step: second.step,
        detail: second.detail,
      }).toEqual({
        held: first.held,
        invariant: first.invariant,
        step: first.step,
        detail: first.detail,
      });
      expect(formatScript(second.script)).toBe(text);
      if (first.held) continue;
      expect(text).toMatch(/^together [0-9*,]+$/m);
      expect(runScript({ ...parse(text), settings: { ...settings, policy: 'cma' } }).held).toBe(true);
      replayed++;
    }
    expect(replayed).toBeGreaterThan(0);
    expect(replayed).toBeLessThan(60);
  });

  it('with an operation made to fail: the call is part of the script', () => {
    const settings = {
      ...DEFAULT_SETTINGS,
      policy: 'cma-v3-posted',
      fail: { operation: 'xa_reserve', nth: 1 },
    };
    const { failure } = searchScripts(settings, { runs: 10, length: 60, races: false });
    expect(formatScript(failure!.script)).toMatch(/^fail xa_reserve 1$/m);
    const again = runScript(parse(formatScript(failure!.script)));
    expect([again.invariant, again.step]).toEqual([failure!.invariant, failure!.step]);
    const never = runScript({
      settings: { ...settings, fail: { operation: 'nothing', nth: 1 } },
      commands: [],
    });
    expect(never.detail).toMatch(/nothing was called 0 times/);
  });

  it('the repaired policy survives what was drawn for the other', async () => {
    const { status, stdout } = await mtemu(['scenario', 'random', '--runs', '4', '--swap-pages', '128']);
    expect(stdout).toMatch(/held {3}400 commands of 4 random programs/);
    expect(status).toBe(0);
  });
});

describe('mtemu scenario replay refuses', () => {
  it.each([
    [['scenario', 'replay'], {}, /exactly one script/],
    [['scenario', 'replay', 'a', 'b'], {}, /exactly one script/],
    [['scenario', 'replay', 'no.script'], {}, /cannot read/],
    [['scenario', 'replay', 'a'], { a: 'mtemu-script 1\nfork\n' }, /is missing[\s\S]*a:2:1/],
    [['scenario', 'replay', 'a'], { a: Uint8Array.of(0xff, 0xfe) }, /UTF-8/],
    [['scenario', 'random', 'x'], {}, /none of list, run, random, replay/],
    [['scenario', 'random', '--page-size', '8k'], {}, /4k, 16k, 64k/],
  ])('%j', async (args, files, message) => {
    const { status, stderr } = await mtemu(args, files as Record<string, string>);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
