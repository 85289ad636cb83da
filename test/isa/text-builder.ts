/**
 * A builder that writes semantics down: one line per effect, values as expressions.
 *
 * It shows what an instruction asks of the machine without a machine: which access with which tag
 * check, what is written, in which order. `let` is transparent, registers have their names.
 */
import { type Builder, decode, decodeOperands, type Words } from '../../isa/index.js';

interface TextWords extends Words {
  readonly x: string;
  readonly q: string;
  readonly bool: string;
  readonly vreg: number;
  readonly reg: number;
  readonly cond: string;
  readonly label: string;
  readonly sysreg: string;
}

const registerName = (slot: number) => (slot === 32 ? 'sp' : slot === 31 ? 'xzr' : `x${slot}`);

/** Operations that do something; all others are values. */
const EFFECTS = new Set([
  'writeX',
  'setFlags',
  'writeFlags',
  'load',
  'store',
  'loadPair',
  'storePair',
  'atomic',
  'compareAndSwap',
  'compareAndSwapPair',
  'loadExclusive',
  'loadExclusivePair',
  'storeExclusive',
  'storeExclusivePair',
  'clearExclusive',
  'barrier',
  'randomTag',
  'loadVector',
  'storeVector',
  'checkFPAdvSIMDEnabled',
  'writeF',
  'writeV',
  'loadTag',
  'storeTag',
  'storeTagPair',
  'loadTagBlock',
  'storeTagBlock',
  'storeTagZeroBlock',
  'readSystemRegister',
  'writeSystemRegister',
  'writePstate',
  'systemOperation',
  'undefined',
  'requireEL',
  'hint',
]);

const PAIRS = new Set(['loadPair', 'loadExclusivePair', 'compareAndSwapPair']);
/** Which argument is a register, by operation. */
const REGISTER_AT: Readonly<Record<string, number>> = { writeX: 1, readX: 1, readBase: 0 };
const VECTOR_AT: Readonly<Record<string, number>> = { writeF: 1, readF: 1, writeV: 1, readV: 1 };

function show(value: unknown): string {
  if (Array.isArray(value)) return `(${value.map(show).join(', ')})`;
  if (typeof value !== 'object' || value === null) return String(value);
  return `{${Object.entries(value)
    .map(([key, part]) => `${key} ${show(part)}`)
    .join(', ')}}`;
}

function apply(name: string, args: readonly unknown[], effects: string[]): unknown {
  switch (name) {
    case 'let':
    case 'letBool':
    case 'letV':
      return args[0];
    case 'imm':
      return String(args[0]);
    case 'isSP':
      return args[0] === 32;
    case 'nextReg':
      return (args[0] as number) + 1;
    case 'nextV':
      return ((args[0] as number) + (args[1] as number)) % 32;
    case 'fixedRegister':
      return args[0];
    case 'linkRegister':
      return 30;
  }
  const shown = args.map((arg, at) => {
    if (at === REGISTER_AT[name]) return registerName(arg as number);
    return at === VECTOR_AT[name] ? `v${arg}` : show(arg);
  });
  const text = `${name}(${shown.join(', ')})`;
  if (!EFFECTS.has(name)) return text;
  effects.push(text);
  const result = `#${effects.length}`;
  if (name === 'loadVector') {
    return Array.from({ length: Math.ceil((args[1] as number) / 16) }, (_, i) => `${result}.${i}`);
  }
  return PAIRS.has(name) ? [`${result}.0`, `${result}.1`] : result;
}

/** The effects of one word, in order; `#n` is the result of the n-th. */
export function effectsOf(word: number): string[] {
  const decoded = decode(word);
  if (decoded === undefined) throw new Error(`0x${word.toString(16)} is undefined`);
  const effects: string[] = [];
  const builder = new Proxy(
    {},
    {
      get:
        (_, name: string) =>
        (...args: unknown[]) =>
          apply(name, args, effects),
    },
  ) as unknown as Builder<TextWords>;
  const { row, fields } = decoded;
  row.execute(builder, decodeOperands(decoded), fields);
  return effects;
}
