/**
 * Makes the interpreter's module: one loop with the hot forms in its switch, and a function for each form
 * that may be slow or is rare, called through the table.
 *
 * Forms whose code is the same are one handler. The module carries the handler of each form's key in a
 * custom section, so that the bytes are all that a package needs.
 */
import { type Decoded, ROWS, type Row } from '../../../isa/index.js';
import { TLB_TABLE_BYTES } from '../../machine/index.js';
import {
  Bytes,
  block,
  br,
  brTable,
  type Code,
  callIndirect,
  encode,
  giveBack,
  i32,
  i64,
  Label,
  local,
  loop,
  ModuleWriter,
  ValueType,
  when,
} from '../wasm/index.js';
import { crossingType } from './crossing-calls.js';
import { FINGERPRINT_SECTION, fingerprint } from './fingerprint.js';
import { allForms, type Form, formOf, isForm, usesVectors } from './forms.js';
import {
  cellI32,
  cellI64,
  endOfForm,
  FAIL,
  FORM_PARAMS,
  FunctionFrame,
  fetchTlbSlotCode,
  JUMP,
  LOOP_LOCALS,
  LOOP_TEMPORARIES,
  LoopFrame,
  LoopLocal,
  NEXT,
  SLOW,
  TAKEN,
} from './frame.js';
import {
  Cell,
  Exit,
  FIRST_FORM,
  FIRST_VECTOR_FORM,
  FORM_PLACES,
  GUARDED,
  Handler,
  HEAT_OFFSET,
  INDIRECT,
  NO_RECORDS,
  Outcome,
  RECORD_BYTES,
  RegionExit,
  STATE,
  SUPERVISOR_IMMEDIATE,
} from './layout.js';
import { crossedFunction, crossingFunction } from './page-crossing.js';
import { PAIRS } from './pairs.js';
import { softType } from './soft-calls.js';
import { tagEventFunction, tagEventType } from './tag-events.js';

export const MEMORY_IMPORT = { module: 'machine', name: 'memory', pages: 65536 } as const;
export const RUN_EXPORT = 'run';
/** The table of functions: forms, then the regions of the translator. */
export const TABLE_EXPORT = 'table';
/** Regions: fuel and the address they begin at, to a RegionExit. */
export const TYPE_REGION: readonly [readonly ValueType[], readonly ValueType[]] = [
  [ValueType.i32, ValueType.i64],
  [ValueType.i32],
];
export const FORMS_SECTION = 'forms';

/** Forms of these classes stand in the switch unless they are rare; the others are functions. */
const HOT: ReadonlySet<Row['class']> = new Set([
  'data-processing-immediate',
  'data-processing-register',
  'branch',
  'load-store',
  'mte',
  'system',
  'pauth',
]);

export const TYPE_FORM: readonly [readonly ValueType[], readonly ValueType[]] = [
  FORM_PARAMS,
  [ValueType.i32],
];

interface HandlerCode {
  /** Keys of its forms; a pair has one, of both. */
  readonly keys: string[];
  /** Code in the switch; undefined for rare forms. */
  readonly inline: Code | undefined;
  readonly function: { readonly locals: readonly ValueType[]; readonly code: Code } | undefined;
}

/** The form in the loop; undefined where it is rare, unless it branches, or does not fit. */
function inLoopOf(decoded: Decoded): { form: Form; frame: LoopFrame } | undefined {
  const frame = new LoopFrame();
  const form = formOf(decoded, frame);
  return isForm(form) && (!form.builder.isRare || form.builder.branches) ? { form, frame } : undefined;
}

/** The form in a function; undefined where it has to be in the loop. */
function functionOf(decoded: Decoded): HandlerCode['function'] {
  const frame = new FunctionFrame();
  const form = formOf(decoded, frame);
  if (!isForm(form)) return undefined;
  const { body, changesContext } = form.builder;
  const outcome = changesContext ? Outcome.changed : Outcome.done;
  return { locals: frame.locals, code: endOfForm(body, i32.const(Outcome.evaluate), outcome) };
}

/** What makes two handlers one: the bytes of their codes. */
export function identity(code: Code): string {
  const bytes = new Bytes();
  encode(block(NEXT, block(TAKEN, block(JUMP, block(SLOW, block(FAIL, code))))), bytes);
  return new TextDecoder('latin1').decode(bytes.finish());
}

function handlersOf(forms: ReadonlyMap<string, Decoded>): HandlerCode[] {
  const known = new Map<string, HandlerCode>();
  for (const [key, decoded] of forms) {
    const inLoop = HOT.has(decoded.row.class) ? inLoopOf(decoded) : undefined;
    const own = inLoop === undefined || inLoop.frame.fails ? functionOf(decoded) : undefined;
    const inline = inLoop?.form.builder.body;
    if (inline === undefined && own === undefined) throw new Error(`the form ${key} has no place`);
    const which = `${inline === undefined ? '' : identity(inline)}|${own === undefined ? '' : identity(own.code)}`;
    const same = known.get(which);
    if (same === undefined) known.set(which, { keys: [key], inline, function: own });
    else same.keys.push(key);
  }
  // Those in the switch first: their numbers are the switch's.
  return [...known.values()].sort((a, b) => Number(a.inline === undefined) - Number(b.inline === undefined));
}

/** The key under which the handler of a pair is found. */
export const pairKey = (first: number, second: number): string => `${first}+${second}`;

/**
 * Handlers of pairs: the first's code, a step of the record and of the fuel, the second's code. Where
 * either gives up, the record is the one's, whose own function goes on; without fuel the loop ends at the
 * second's record.
 */
function pairsOf(handlers: readonly HandlerCode[]): HandlerCode[] {
  const numbers = new Map(handlers.flatMap((h, i) => h.keys.map((key) => [key, FIRST_FORM + i])));
  const pairs = new Map<string, HandlerCode>();
  for (const [a, b] of PAIRS) {
    const [first, second] = [numbers.get(a), numbers.get(b)];
    const inline = [first, second].map((number) => handlers[(number ?? 0) - FIRST_FORM]?.inline);
    if (first === undefined || second === undefined || inline[0] === undefined || inline[1] === undefined) {
      throw new Error(`the pair ${a} and ${b}: not two forms of the switch`);
    }
    const key = pairKey(first, second);
    const own = handlers[first - FIRST_FORM]!.function;
    pairs.set(key, { keys: [key], inline: [inline[0], stepInPair(), inline[1]], function: own });
  }
  return [...pairs.values()];
}

function stepInPair(): Code {
  return [
    local.set(LoopLocal.record, i32.add(get(LoopLocal.record), i32.const(RECORD_BYTES))),
    when(i32.eqz(get(LoopLocal.fuel)), br(NEXT)),
    local.set(LoopLocal.fuel, i32.sub(get(LoopLocal.fuel), i32.const(1))),
  ];
}

// ---- the loop --------------------------------------------------------------------------------------

const get = local.get;
const FETCH_TABLE = 2 * TLB_TABLE_BYTES;

function exit(reason: number, pc: Code): Code {
  const cpu = get(LoopLocal.cpu);
  return [
    i64.store(cpu, pc, STATE + Cell.PC),
    i32.store(cpu, get(LoopLocal.fuel), STATE + Cell.FUEL),
    i32.store(
      cpu,
      i32.add(get(LoopLocal.tagChecks), cellI32(LoopLocal.cpu, Cell.TAG_CHECKS)),
      STATE + Cell.TAG_CHECKS,
    ),
    giveBack(i32.const(reason)),
  ];
}

/** The address of the record that is next. */
const herePc = (): Code =>
  i64.add(
    get(LoopLocal.page),
    i64.extendI32U(i32.shrU(i32.sub(get(LoopLocal.record), get(LoopLocal.records)), i32.const(3))),
  );

const refund = (): Code => local.set(LoopLocal.fuel, i32.add(get(LoopLocal.fuel), i32.const(1)));

/** From `target` to its page's records, or out. */
function enterPage(): Code {
  const target = get(LoopLocal.target);
  const leave = [
    i32.store(get(LoopLocal.cpu), get(LoopLocal.btype), STATE + Cell.BTYPE),
    exit(Exit.page, target),
  ];
  const slot = fetchTlbSlotCode(i32.wrap(target), get(LoopLocal.fetchContext));
  const withoutTop = i64.shl(target, i64.const(8n));
  const key = i64.or(i64.shrU(withoutTop, i64.const(20n)), get(LoopLocal.fetchContext));
  const differs = i64.xor(i64.load(get(LoopLocal.entry), FETCH_TABLE), key);
  const nonCanonical = i64.xor(i64.shrS(withoutTop, i64.const(8n)), target);
  const misaligned = i64.and(target, i64.const(3n));
  const wrong = i64.or(i64.or(differs, nonCanonical), misaligned);
  const records = i32.load(get(LoopLocal.entry), FETCH_TABLE + 12);
  const isGuarded = i32.and(get(LoopLocal.records), i32.const(GUARDED));
  // BTYPE can be seen only if the next instruction is checked, or is not reached.
  const seen = i32.or(get(LoopLocal.guarded), i32.eqz(get(LoopLocal.fuel)));
  const offset = i32.shl(i32.and(i32.wrap(target), i32.const(0xffc)), i32.const(3));
  return [
    local.set(LoopLocal.entry, i32.add(get(LoopLocal.tlb), slot)),
    when(i64.ne(wrong, i64.const(0n)), leave),
    local.set(LoopLocal.records, records),
    when(i32.eq(get(LoopLocal.records), i32.const(NO_RECORDS)), leave),
    local.set(LoopLocal.guarded, isGuarded),
    local.set(LoopLocal.records, i32.and(get(LoopLocal.records), i32.const(~GUARDED))),
    when(i32.and(get(LoopLocal.btype), i32.const(INDIRECT - 1)), when(seen, leave)),
    local.set(LoopLocal.page, i64.and(target, i64.const(~0xfffn))),
    local.set(LoopLocal.record, i32.add(get(LoopLocal.records), offset)),
  ];
}

/** Counts the branch to the record that is next, or goes through the region that begins there. */
function taken(regionType: number): Code {
  const cpu = get(LoopLocal.cpu);
  const instruction = i32.shrU(i32.sub(get(LoopLocal.record), get(LoopLocal.records)), i32.const(3));
  const place = i32.add(get(LoopLocal.records), instruction);
  const addTo = (cell: number, value: Code) =>
    i32.store(cpu, i32.add(i32.load(cpu, STATE + cell), value), STATE + cell);
  const isExit = (exitOf: number) => i32.eq(get(LoopLocal.heat), i32.const(exitOf));
  const region: Code = [
    local.set(
      LoopLocal.heat,
      callIndirect(regionType, i32.xor(get(LoopLocal.heat), i32.const(-1)), get(LoopLocal.fuel), herePc()),
    ),
    addTo(Cell.TRANSLATED, i32.sub(get(LoopLocal.fuel), cellI32(LoopLocal.cpu, Cell.FUEL))),
    local.set(LoopLocal.fuel, cellI32(LoopLocal.cpu, Cell.FUEL)),
    // PSTATE.TCO may be another one now.
    local.set(LoopLocal.checks, cellI32(LoopLocal.cpu, Cell.CHECKS)),
    local.set(LoopLocal.target, cellI64(LoopLocal.cpu, Cell.PC)),
    when(isExit(RegionExit.other), exit(Exit.hot, get(LoopLocal.target))),
    local.set(LoopLocal.btype, cellI32(LoopLocal.cpu, Cell.BTYPE)),
    when(isExit(RegionExit.leave), [
      local.set(LoopLocal.quiet, i32.const(1)),
      local.set(LoopLocal.btype, i32.const(0)),
      addTo(Cell.LEAVES, i32.const(1)),
    ]),
    br(JUMP),
  ];
  const count = [i32.store(place, i32.sub(get(LoopLocal.heat), i32.const(1)), HEAT_OFFSET)];
  const special = [
    when(i32.eqz(get(LoopLocal.heat)), exit(Exit.hot, herePc())),
    when(get(LoopLocal.fuel), region),
  ];
  return when(get(LoopLocal.quiet), local.set(LoopLocal.quiet, i32.const(0)), [
    local.set(LoopLocal.heat, i32.load(place, HEAT_OFFSET)),
    when(i32.ltS(i32.const(0), get(LoopLocal.heat)), count, special),
  ]);
}

function interpreterLoop(handlers: readonly HandlerCode[], formType: number, regionType: number): Code {
  const leave = new Label('leave');
  const undecoded = new Label('undecoded');
  const pageEnd = new Label('page end');
  const supervisorCall = new Label('supervisor call');
  const exceptionReturn = new Label('exception return');
  const hot = handlers.filter((h) => h.inline !== undefined);
  const labels = hot.map((h) => new Label(h.keys[0]!));
  const special: Label[] = [];
  special[Handler.undecoded] = undecoded;
  special[Handler.evaluate] = leave;
  special[Handler.pageEnd] = pageEnd;
  special[Handler.supervisorCall] = supervisorCall;
  for (const noRecords of [Handler.tagEvent, Handler.crossing, Handler.crossed]) special[noRecords] = leave;
  special[Handler.exceptionReturn] = exceptionReturn;
  const handler = i32.load16U(get(LoopLocal.record));
  let nest: Code = brTable(handler, [...special, ...labels], SLOW);
  nest = [block(undecoded, nest), refund(), exit(Exit.decode, herePc())];
  const immediate = i32.load(get(LoopLocal.record), SUPERVISOR_IMMEDIATE);
  nest = [
    block(supervisorCall, nest),
    i32.store(get(LoopLocal.cpu), immediate, STATE + Cell.IMMEDIATE),
    exit(Exit.supervisorCall, herePc()),
  ];
  nest = [block(exceptionReturn, nest), exit(Exit.exceptionReturn, herePc())];
  const nextPage = i64.add(get(LoopLocal.page), i64.const(4096n));
  nest = [
    block(pageEnd, nest),
    refund(),
    local.set(LoopLocal.btype, i32.const(0)),
    local.set(LoopLocal.target, nextPage),
    br(JUMP),
  ];
  hot.forEach((h, i) => {
    nest = [block(labels[i]!, nest), h.inline!, LoopFrame.advance()];
  });
  const form = callIndirect(
    formType,
    i32.load16U(get(LoopLocal.record)),
    get(LoopLocal.record),
    get(LoopLocal.cpu),
    get(LoopLocal.page),
    get(LoopLocal.fuel),
  );
  const slow = [
    block(SLOW, nest),
    local.set(LoopLocal.heat, form),
    when(i32.eqz(get(LoopLocal.heat)), LoopFrame.advance()),
    when(i32.eq(get(LoopLocal.heat), i32.const(Outcome.changed)), [
      local.set(LoopLocal.checks, cellI32(LoopLocal.cpu, Cell.CHECKS)),
      LoopFrame.advance(),
    ]),
  ];
  const next = [
    when(i32.eqz(get(LoopLocal.fuel)), exit(Exit.limit, herePc())),
    local.set(LoopLocal.fuel, i32.sub(get(LoopLocal.fuel), i32.const(1))),
    block(leave, slow),
    refund(),
    exit(Exit.evaluate, herePc()),
  ];
  const { cpu, tlb, checks, dataContext, fetchContext, topMask, half, target } = LoopLocal;
  return [
    local.set(tlb, cellI32(cpu, Cell.TLB)),
    local.set(checks, cellI32(cpu, Cell.CHECKS)),
    local.set(dataContext, cellI64(cpu, Cell.DATA_CONTEXT)),
    local.set(fetchContext, cellI64(cpu, Cell.FETCH_CONTEXT)),
    local.set(topMask, cellI64(cpu, Cell.TOP_MASK)),
    local.set(half, cellI64(cpu, Cell.HALF)),
    local.set(target, cellI64(cpu, Cell.PC)),
    loop(JUMP, [enterPage(), loop(TAKEN, [taken(regionType), loop(NEXT, next)])]),
    // Never reached.
    i32.const(Exit.limit),
  ];
}

// ---- the module ------------------------------------------------------------------------------------

export interface GeneratedInterpreter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Handlers in the switch, and all. */
  readonly hot: number;
  readonly handlers: number;
  readonly forms: number;
  /** Rows whose instructions the evaluator does, wholly or in some form, and the operations they lack. */
  readonly missing: ReadonlyMap<string, ReadonlySet<string>>;
}

export function generateInterpreter(): GeneratedInterpreter {
  const { forms, missing } = allForms(ROWS.filter((row) => !usesVectors(row)));
  const single = handlersOf(forms);
  const hotSingle = single.filter((h) => h.inline !== undefined);
  // Rare handlers have numbers behind those of the switch, pairs included.
  const pairs = pairsOf(single);
  const handlers = [...hotSingle, ...pairs, ...single.slice(hotSingle.length)];
  const module = new ModuleWriter();
  module.importMemory(MEMORY_IMPORT.module, MEMORY_IMPORT.name, MEMORY_IMPORT.pages);
  const eventType = tagEventType(module);
  softType(module);
  const crossing = crossingType(module);
  const formType = module.type(...TYPE_FORM);
  const none = module.addFunction(formType, [], i32.const(Outcome.evaluate));
  const table = new Array<number>(FIRST_FORM).fill(none);
  const event = tagEventFunction();
  table[Handler.tagEvent] = module.addFunction(eventType, event.locals, event.code);
  for (const [handler, { locals, code }] of [
    [Handler.crossing, crossingFunction()],
    [Handler.crossed, crossedFunction()],
  ] as const) {
    table[handler] = module.addFunction(crossing, locals, code);
  }
  for (const { function: own } of handlers) {
    table.push(own === undefined ? none : module.addFunction(formType, own.locals, own.code));
  }
  if (table.length > FIRST_VECTOR_FORM) throw new Error(`${table.length} forms have no room`);
  module.setTable(table, 0, FORM_PLACES);
  const { i32: I32, i64: I64 } = ValueType;
  const temporaries = [
    ...new Array<ValueType>(LOOP_TEMPORARIES).fill(I32),
    ...new Array<ValueType>(LOOP_TEMPORARIES).fill(I64),
  ];
  const run = module.addFunction(
    module.type([I32, I32], [I32]),
    [...LOOP_LOCALS, ...temporaries],
    interpreterLoop(handlers, formType, module.type(...TYPE_REGION)),
  );
  module.exportFunction(RUN_EXPORT, run);
  module.exportTable(TABLE_EXPORT);
  module.addCustom(FORMS_SECTION, new TextEncoder().encode(handlerNames(handlers)));
  module.addCustom(FINGERPRINT_SECTION, new TextEncoder().encode(fingerprint()));
  return {
    bytes: module.finish(),
    hot: handlers.filter((h) => h.inline !== undefined).length,
    handlers: handlers.length,
    forms: forms.size,
    missing,
  };
}

/** Keys of the forms of each handler: a line a handler. */
export function handlerNames(handlers: readonly { readonly keys: readonly string[] }[]): string {
  return handlers.map((h) => h.keys.join(' ')).join('\n');
}

/** The handlers by key of form, read back from the custom section; `first` is the place of the first. */
export function readHandlers(section: ArrayBuffer, first: number): ReadonlyMap<string, number> {
  const out = new Map<string, number>();
  const lines = new TextDecoder().decode(section).split('\n');
  lines.forEach((line, index) => {
    for (const key of line.split(' ')) out.set(key, first + index);
  });
  return out;
}
