/**
 * What an instruction may do to the world and how it may fault, read off its semantics.
 *
 * The row's `execute` runs on a builder that records the calls it gets and computes nothing, once for
 * each combination of statics and for SP and other bases. Documentation is made from the record, so
 * that it cannot say anything else than what is executed.
 */
import type { Access, Builder, Words } from './builder.js';
import { type Decoded, decode, decodeOperands } from './decode.js';
import { composeWord, type Row, type Shape } from './row.js';

export interface Call {
  readonly operation: keyof Builder<Words>;
  readonly args: readonly unknown[];
}

/** Recorded values are all this one token; nothing looks inside. */
const TOKEN = Object.freeze({});

const vectorTokens = (bytes: number) => new Array<typeof TOKEN>(Math.ceil(bytes / 16)).fill(TOKEN);

function recorder(calls: Call[], baseIsSP: boolean): Builder<Words> {
  const get = (_: object, operation: string) => {
    if (operation === 'isSP') return () => baseIsSP;
    return (...args: unknown[]) => {
      calls.push({ operation: operation as Call['operation'], args });
      if (operation === 'loadVector') return vectorTokens(args[1] as number);
      return /Pair$/.test(operation) ? [TOKEN, TOKEN] : TOKEN;
    };
  };
  return new Proxy<object>({}, { get: get as ProxyHandler<object>['get'] & object }) as Builder<Words>;
}

function operandTokens(shape: Shape, value: unknown): unknown {
  if (shape === 'static') return value;
  if (typeof shape === 'string') return TOKEN;
  const parts = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(shape).map(([name, part]) => [name, operandTokens(part, parts[name])]),
  );
}

/** Register fields in the order their numbers count up in examples. */
const REGISTER_ORDER = ['Rd', 'Rs', 'Rt', 'Rt2', 'Rn', 'Rm', 'Ra'];

/**
 * Words of the row that are easy to read (registers 0, 1, 2, ..., small immediates), at least one for
 * each combination of statics that the row accepts.
 */
export function exampleWords(row: Row): number[] {
  const registers = row.fields.filter((f) => REGISTER_ORDER.includes(f.name));
  const statics = row.fields.filter((f) => row.statics.includes(f.name));
  const others = row.fields.filter((f) => !registers.includes(f) && !statics.includes(f));
  const combinations = 2 ** statics.reduce((bits, f) => bits + f.width, 0);
  // Register pairs (CASP) want even numbers.
  const numberings = [1, 2].map((step) => {
    const present = REGISTER_ORDER.filter(
      (name) => registers.some((f) => f.name === name) && !(name in row.shouldBe),
    );
    return Object.fromEntries(present.map((name, at) => [name, at * step]));
  });
  const candidates = numberings.flatMap((numbers) =>
    SEEDS.map((seed) => ({
      ...numbers,
      ...Object.fromEntries(others.map((f, at) => [f.name, seed(at, f.width)])),
      ...row.shouldBe,
    })),
  );
  const words: number[] = [];
  for (let combination = combinations - 1; combination >= 0; combination--) {
    const chosen: Record<string, number> = {};
    let rest = combination;
    for (const f of statics) {
      chosen[f.name] = rest % 2 ** f.width;
      rest = Math.floor(rest / 2 ** f.width);
    }
    const found = candidates
      .map((fields) => composeWord(row, { ...fields, ...chosen }))
      .find((word) => decode(word)?.row === row);
    if (found !== undefined) words.push(found);
  }
  return words;
}

/** Ways to fill the fields that are neither registers nor statics; the first that the row accepts serves. */
const SEEDS: readonly ((at: number, width: number) => number)[] = [
  (_, width) => (width > 1 ? 1 : 0),
  () => 0,
  () => 1,
  (_, width) => (width === 1 ? 1 : 2),
  (_, width) => 2 ** width - 1,
  (at, width) => (at === 0 ? 2 ** width - 1 : 0),
  (at) => (at === 0 ? 1 : 0),
  (_, width) => 2 ** (width - 1),
  (at, width) => (at === 0 ? 2 ** (width - 1) : 1),
  // One bit alone, for fields whose lowest one bit says the size (imm5, immh).
  ...[1, 2, 3, 4, 5].map((bit) => (_: number, width: number) => (bit < width ? 2 ** bit : 0)),
];

/** The calls that one instruction makes. */
export function recordCalls(decoded: Decoded, baseIsSP: boolean): Call[] {
  const { row, fields } = decoded;
  const calls: Call[] = [];
  const values = decodeOperands(decoded);
  const operands = Object.fromEntries(
    Object.entries(row.operands).map(([name, kind]) => [name, operandTokens(kind.shape, values[name])]),
  );
  const statics = Object.fromEntries(row.statics.map((name) => [name, fields[name]!]));
  row.execute(recorder(calls, baseIsSP), operands, statics);
  return calls;
}

/** All calls that any form of the row makes. */
export function callsOf(row: Row): Call[] {
  return exampleWords(row).flatMap((word) =>
    [false, true].flatMap((baseIsSP) => recordCalls(decode(word)!, baseIsSP)),
  );
}

const isAccess = (value: unknown): value is Access =>
  typeof value === 'object' && value !== null && 'tagChecked' in value && 'kind' in value;

/** Nothing of one byte is misaligned; what else is depends on the kind of access. */
function alignmentFault({ operation, args }: Call, { kind }: Access): string | undefined {
  if (args[operation === 'atomic' ? 1 : 0] === 1) return undefined;
  if (kind === 'normal') return 'alignment fault at a misaligned address under SCTLR_ELx.A';
  if (kind === 'exclusive' && operation.startsWith('store')) return 'alignment fault at a misaligned address';
  const unless = kind === 'ordered' ? ' without nAA' : '';
  return `alignment fault where the access crosses 16 bytes, or is misaligned under SCTLR_ELx.A${unless}`;
}

/** What single operations add; the order is the order of the text. */
const FAULTS: readonly (readonly [operation: keyof Builder<Words>, text: string])[] = [
  ['undefined', 'UNDEFINED (EC 0x00), always or in some state'],
  ['checkFPAdvSIMDEnabled', 'trapped where FP and SIMD are not enabled (EC 0x07)'],
  ['readBase', 'SP alignment fault (EC 0x26) where the base is SP and not a multiple of 16'],
  ['storeTag', 'alignment fault unless the address is a multiple of 16; permission as for a store'],
  ['storeTagPair', 'alignment fault unless the address is a multiple of 16; permission as for a store'],
  ['loadTag', 'Data Abort as for a load; not tag-checked'],
  ['storeTag', 'Data Abort as for a store; not tag-checked'],
  ['storeTagPair', 'Data Abort as for a store; not tag-checked'],
  ['loadTagBlock', 'Data Abort as for a load; not tag-checked'],
  ['storeTagBlock', 'Data Abort as for a store; not tag-checked'],
  ['storeTagZeroBlock', 'Data Abort as for a store; not tag-checked'],
  ['branchTo', 'PC alignment fault (EC 0x22) at the target where it is not a multiple of 4'],
  ['authenticate', 'a wrong code makes the pointer non-canonical: the fault comes where it is used'],
  ['readSystemRegister', 'UNDEFINED or trapped (EC 0x18) as the access rules of the register say'],
  ['writeSystemRegister', 'UNDEFINED or trapped (EC 0x18) as the access rules of the register say'],
  ['systemOperation', 'UNDEFINED or trapped (EC 0x18), and aborts, as the operation says'],
  ['supervisorCall', 'Supervisor Call exception (EC 0x15), always'],
  ['hypervisorCall', 'Hypervisor Call exception (EC 0x16), UNDEFINED at EL0 or where disabled'],
  ['secureMonitorCall', 'Secure Monitor Call exception (EC 0x17), UNDEFINED at EL0 or without EL3'],
  ['breakpoint', 'Breakpoint exception (EC 0x3c), always'],
  ['halt', 'a semihosting call where the machine takes it, else UNDEFINED'],
  ['exceptionReturn', 'an illegal return sets PSTATE.IL'],
];

/** How the instruction may fault, one line each, in words. */
export function faultsOf(row: Row): string[] {
  const calls = callsOf(row);
  const lines = new Set<string>();
  for (const feature of [row.feature, row.andFeature]) {
    if (feature !== undefined) lines.add(`UNDEFINED (EC 0x00) without ${feature}`);
  }
  for (const { operation, args } of calls) {
    if (operation === 'requireEL') lines.add(`UNDEFINED (EC 0x00) below EL${String(args[0])}`);
  }
  for (const [operation, text] of FAULTS) if (calls.some((c) => c.operation === operation)) lines.add(text);
  const accesses = calls.flatMap((call) => call.args.filter(isAccess).map((access) => ({ call, access })));
  if (accesses.length > 0) lines.add('Data Abort: translation, access flag, permission');
  for (const { call, access } of accesses) {
    const line = alignmentFault(call, access);
    if (line !== undefined) lines.add(line);
  }
  const checked = accesses.filter(({ access }) => access.tagChecked).length;
  if (checked > 0) {
    const except = checked < accesses.length ? ', but not with SP as the base' : '';
    lines.add(`tag check fault (DFSC 0x11)${except}`);
  } else if (accesses.length > 0) {
    lines.add('not tag-checked');
  }
  if (accesses.some(({ access }) => access.unprivileged)) lines.add("permissions and tag checks are EL0's");
  return [...lines];
}
