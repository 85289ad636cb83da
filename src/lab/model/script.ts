/**
 * Scripts of the random model: a text with one command a line, behind the settings of the machine it runs on.
 *
 *     mtemu-script 1
 *     page-size 4k
 *     block-size 2
 *     policy cma-v3-posted
 *
 *     mmapMte 0 5 1
 *     together 0*3,1
 *       tag 0 3 9
 *       migrate 0 3 0
 *     end
 *
 * `#` starts a comment. Settings that are left out have their defaults. Behind `together` stands the order of the
 * steps of what happens at once, as `mtemu scenario` prints schedules, or `seed N` for one drawn from a seed.
 */
import {
  type Diagnostic,
  InputError,
  inputError,
  parseSize,
  type SourceText,
  type Span,
  suggest,
} from '../../base/index.js';
import { formatSchedule, type PageSize, parseSchedule, policies } from '../../kernel/index.js';
import { ALL_OPS, type Command, type Op, type Step, stepText, type Together } from './commands.js';

export interface ScriptSettings {
  readonly pageSize: PageSize;
  /** B. */
  readonly blockSizePages: number;
  readonly policy: string;
  readonly seed: number;
  readonly cpus: number;
  /** Pages of tag storage; 32 times as many are data. */
  readonly tagPages: number;
  /** Data pages of every 128 that are not reserved: few, so that data soon lies in tag storage. */
  readonly freePages: number;
  readonly pageblockOrder: number;
  /** Pages of the swap device. */
  readonly swapPages: number;
  /** The n-th call of an operation fails. */
  readonly fail?: { readonly operation: string; readonly nth: number };
}

export interface Script {
  readonly settings: ScriptSettings;
  readonly commands: readonly Command[];
}

export const DEFAULT_SETTINGS: ScriptSettings = {
  pageSize: 4096,
  blockSizePages: 1,
  policy: 'cma',
  seed: 0,
  cpus: 4,
  tagPages: 96,
  freePages: 8,
  pageblockOrder: 5,
  swapPages: 0,
};

const FIRST_LINE = 'mtemu-script 1';
/** No script needs more; a machine of more than this would be none of a test. */
const MOST_COMMANDS = 100_000;
const MOST_NUMBER = 2 ** 31 - 1;

/** The text of a script. */
export function formatScript({ settings, commands }: Script): string {
  const s = settings;
  const lines = [
    FIRST_LINE,
    `page-size ${s.pageSize / 1024}k`,
    `block-size ${s.blockSizePages}`,
    `policy ${s.policy}`,
    `seed ${s.seed}`,
    `cpus ${s.cpus}`,
    `tag-pages ${s.tagPages}`,
    `free-pages ${s.freePages}`,
    `pageblock-order ${s.pageblockOrder}`,
    `swap-pages ${s.swapPages}`,
    ...(s.fail === undefined ? [] : [`fail ${s.fail.operation} ${s.fail.nth}`]),
    '',
  ];
  for (const command of commands) {
    if (command.op !== 'together') {
      lines.push(stepText(command));
      continue;
    }
    const { order, steps } = command;
    const text = 'seed' in order ? `seed ${order.seed}` : formatSchedule(order.schedule);
    lines.push(`together ${text}`.trimEnd(), ...steps.map((step) => `  ${stepText(step)}`), 'end');
  }
  return `${lines.join('\n')}\n`;
}

interface Word {
  readonly text: string;
  readonly span: Span;
}

interface Line {
  readonly words: readonly [Word, ...Word[]];
  readonly span: Span;
}

function linesOf(source: SourceText): Line[] {
  const lines: Line[] = [];
  let start = 0;
  for (const raw of source.text.split('\n')) {
    const words: Word[] = [];
    const code = raw.replace(/#.*/, '');
    for (const match of code.matchAll(/\S+/g)) {
      const from = start + match.index;
      words.push({ text: match[0], span: { source, start: from, end: from + match[0].length } });
    }
    const [first, ...rest] = words;
    if (first !== undefined) {
      lines.push({
        words: [first, ...rest],
        span: { source, start: first.span.start, end: words[words.length - 1]!.span.end },
      });
    }
    start += raw.length + 1;
  }
  return lines;
}

const wrong = (span: Span, message: string, help?: string): InputError =>
  inputError('SCRIPT', message, { span, ...(help === undefined ? {} : { help }) });

function wholeNumber(
  word: Word | undefined,
  line: Line,
  what: string,
  low: number,
  high = MOST_NUMBER,
): number {
  if (word === undefined) throw wrong(line.span, `${what} is missing`);
  const value = /^\d{1,10}$/.test(word.text) ? Number(word.text) : Number.NaN;
  if (!(value >= low && value <= high)) {
    throw wrong(word.span, `${what} is a whole number from ${low} to ${high}, not '${word.text}'`);
  }
  return value;
}

const oneOf = (word: Word | undefined, line: Line, what: string, choices: readonly string[]): string => {
  if (word === undefined) throw wrong(line.span, `${what} is missing`, `one of: ${choices.join(', ')}`);
  if (choices.includes(word.text)) return word.text;
  const [near] = suggest(word.text, choices);
  const help = near === undefined ? `one of: ${choices.join(', ')}` : `did you mean '${near}'?`;
  throw wrong(word.span, `there is no ${what} '${word.text}'`, help);
};

/** As the kernel calls it; a name that it never calls does no harm, and the verdict says so. */
function operationName(word: Word | undefined, line: Line): string {
  if (word === undefined || !/^[a-z_0-9]{1,40}$/.test(word.text)) {
    throw wrong(word?.span ?? line.span, 'the operation that fails is missing', "as in 'fail page_alloc 7'");
  }
  return word.text;
}

type Setting = (line: Line, value: Word | undefined, extra: Word | undefined) => Partial<ScriptSettings>;

const SETTINGS: Readonly<Record<string, Setting>> = {
  'page-size': (line, value) => {
    const bytes = value === undefined ? undefined : parseSize(value.text);
    if (bytes !== 4096 && bytes !== 16384 && bytes !== 65536) {
      throw wrong(value?.span ?? line.span, 'a page has 4k, 16k or 64k');
    }
    return { pageSize: bytes };
  },
  'block-size': (line, value) => ({ blockSizePages: wholeNumber(value, line, 'the block size', 1, 64) }),
  policy: (line, value) => ({
    policy: oneOf(
      value,
      line,
      'policy',
      policies().map(({ name }) => name),
    ),
  }),
  seed: (line, value) => ({ seed: wholeNumber(value, line, 'the seed', 0) }),
  cpus: (line, value) => ({ cpus: wholeNumber(value, line, 'the number of CPUs', 1, 64) }),
  'tag-pages': (line, value) => ({ tagPages: wholeNumber(value, line, 'the size of tag storage', 1, 4096) }),
  'free-pages': (line, value) => ({
    freePages: wholeNumber(value, line, 'what is free of 128 pages', 1, 128),
  }),
  'pageblock-order': (line, value) => ({
    pageblockOrder: wholeNumber(value, line, 'the pageblock order', 1, 13),
  }),
  'swap-pages': (line, value) => ({ swapPages: wholeNumber(value, line, 'the size of swap', 0, 2 ** 20) }),
  fail: (line, value, extra) => ({
    fail: {
      operation: operationName(value, line),
      nth: wholeNumber(extra, line, 'the number of the call', 1),
    },
  }),
};

function stepOf(line: Line): Step {
  const [op, ...numbers] = line.words;
  const known = ALL_OPS.find((name) => name === op.text);
  if (known === undefined) {
    const [near] = suggest(op.text, [...ALL_OPS, ...Object.keys(SETTINGS), 'together', 'end']);
    throw wrong(op.span, `there is no command '${op.text}'`, near && `did you mean '${near}'?`);
  }
  if (numbers.length > 3) throw wrong(numbers[3]!.span, 'a command has three numbers');
  const [a, b, c] = [0, 1, 2].map((i) => wholeNumber(numbers[i], line, 'a number of the command', 0));
  return { op: known as Op, a: a!, b: b!, c: c! };
}

function orderOf(line: Line): Together['order'] {
  const [, first, second] = line.words;
  if (first?.text === 'seed') return { seed: wholeNumber(second, line, 'the seed', 0) };
  const schedule = parseSchedule(first?.text ?? '');
  if (schedule === undefined) throw wrong(first!.span, `'${first!.text}' is no schedule`, "as in '0*3,1'");
  return { schedule };
}

/**
 * Reads a script.
 *
 * @throws InputError with every line that is wrong.
 */
export function parseScript(source: SourceText): Script {
  const lines = linesOf(source);
  const [head] = lines;
  if (head?.words.map((word) => word.text).join(' ') !== FIRST_LINE) {
    const span = head?.span ?? { source, start: 0, end: 0 };
    throw wrong(span, `a script starts with '${FIRST_LINE}'`);
  }
  let settings = DEFAULT_SETTINGS;
  const commands: Command[] = [];
  const problems: Diagnostic[] = [];
  let open: { readonly line: Line; readonly order: Together['order']; readonly steps: Step[] } | undefined;
  const read = (line: Line): void => {
    const [word, value, extra] = line.words;
    const setting = Object.hasOwn(SETTINGS, word.text) ? SETTINGS[word.text] : undefined;
    if (setting !== undefined) {
      if (commands.length > 0 || open) throw wrong(line.span, 'settings come before the first command');
      settings = { ...settings, ...setting(line, value, extra) };
    } else if (word.text === 'together') {
      if (open) throw wrong(line.span, "'together' stands inside another");
      open = { line, order: orderOf(line), steps: [] };
    } else if (word.text === 'end') {
      if (!open) throw wrong(line.span, "there is no 'together' that ends here");
      commands.push({ op: 'together', steps: open.steps, order: open.order });
      open = undefined;
    } else (open?.steps ?? commands).push(stepOf(line));
    if (commands.length > MOST_COMMANDS) throw wrong(line.span, `more than ${MOST_COMMANDS} commands`);
  };
  for (const line of lines.slice(1)) {
    try {
      read(line);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      problems.push(...error.diagnostics);
    }
  }
  if (open) problems.push(...wrong(open.line.span, "no 'end' follows this 'together'").diagnostics);
  if (problems.length > 0) throw new InputError(problems);
  return { settings, commands };
}
