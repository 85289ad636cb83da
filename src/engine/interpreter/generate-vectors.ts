/**
 * Makes the modules of the forms that use V registers: those of the host's arithmetic, and soft-float.
 *
 * They are apart since many programs run without. All are functions for the interpreter's table. Where the
 * code of a form may give up on numbers that the host's arithmetic is not right for, the form of soft-float
 * stands SOFT_DISTANCE further on, and is called; what has no code but that of soft-float stands behind.
 */

import { type Decoded, ROWS } from '../../../isa/index.js';
import {
  type Code,
  callIndirect,
  giveBack,
  i32,
  local,
  ModuleWriter,
  type ValueType,
  whenUnlikely,
} from '../wasm/index.js';
import { crossingType } from './crossing-calls.js';
import { FINGERPRINT_SECTION, fingerprint } from './fingerprint.js';
import { allForms, type Form, formOf, isForm, usesVectors } from './forms.js';
import { cellI32, endOfForm, FunctionFrame } from './frame.js';
import { FORMS_SECTION, handlerNames, identity, MEMORY_IMPORT, TABLE_EXPORT, TYPE_FORM } from './generate.js';
import {
  Cell,
  FIRST_SOFT_FORM,
  FIRST_SOFT_ROUTINE,
  FIRST_VECTOR_FORM,
  Outcome,
  SOFT_DISTANCE,
  SoftFloat,
  STATE,
} from './layout.js';
import { softType } from './soft-calls.js';
import { addSoftRoutines } from './soft-routines.js';
import { tagEventType } from './tag-events.js';

export interface GeneratedVectors {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly handlers: number;
  readonly missing: ReadonlyMap<string, ReadonlySet<string>>;
}

interface FormCode {
  readonly locals: readonly ValueType[];
  readonly code: Code;
}

interface VectorHandler {
  /** Keys of its forms. */
  readonly keys: string[];
  readonly host: FormCode | undefined;
  readonly soft: FormCode | undefined;
}

interface VectorHandlers {
  readonly host: readonly VectorHandler[];
  /** Those that have no code but soft-float's. */
  readonly soft: readonly VectorHandler[];
  readonly missing: GeneratedVectors['missing'];
}

const GIVE_UP: Code = i32.const(Outcome.evaluate);

/** The form of soft-float beside the one that gives up, or word that it is wanted. */
function goOn(): Code {
  const [record, cpu, page, fuel] = [0, 1, 2, 3].map(local.get) as [Code, Code, Code, Code];
  const isAbsent = i32.ne(cellI32(1, Cell.SOFT_FLOAT), i32.const(SoftFloat.present));
  const handler = i32.add(i32.load16U(record), i32.const(SOFT_DISTANCE));
  return [
    whenUnlikely(isAbsent, [
      i32.store(cpu, i32.const(SoftFloat.wanted), STATE + Cell.SOFT_FLOAT),
      giveBack(GIVE_UP),
    ]),
    callIndirect(FORM_TYPE, handler, record, cpu, page, fuel),
  ];
}

/** Index of the type of forms in both modules. */
const FORM_TYPE = 3;

function softForm(decoded: Decoded): { form: Form; code: FormCode } {
  const frame = new FunctionFrame();
  const form = formOf(decoded, frame, 'soft');
  if (!isForm(form)) throw new Error(`${decoded.row.id} has no form of soft-float: ${form.missing}`);
  return { form, code: { locals: frame.locals, code: endOfForm(form.builder.body, GIVE_UP) } };
}

function handlerOf(decoded: Decoded): Omit<VectorHandler, 'keys'> {
  const frame = new FunctionFrame();
  const form = formOf(decoded, frame);
  if (!isForm(form)) return { host: undefined, soft: softForm(decoded).code };
  const { body, usesHost } = form.builder;
  const { locals } = frame;
  if (!usesHost) return { host: { locals, code: endOfForm(body, GIVE_UP) }, soft: undefined };
  const soft = softForm(decoded);
  if (JSON.stringify(soft.form.fields) !== JSON.stringify(form.fields))
    throw new Error(`${form.key}: two kinds of records`);
  return { host: { locals, code: endOfForm(body, goOn()) }, soft: soft.code };
}

function makeHandlers(): VectorHandlers {
  const { forms, missing } = allForms(ROWS.filter(usesVectors));
  const known = new Map<string, VectorHandler>();
  for (const [key, decoded] of forms) {
    const handler = handlerOf(decoded);
    const which = [handler.host, handler.soft]
      .map((c) => (c === undefined ? '' : identity(c.code)))
      .join('|');
    const same = known.get(which);
    if (same === undefined) known.set(which, { keys: [key], ...handler });
    else same.keys.push(key);
  }
  const all = [...known.values()];
  const host = all.filter((h) => h.host !== undefined);
  const soft = all.filter((h) => h.host === undefined);
  if (host.length > SOFT_DISTANCE || soft.length > FIRST_SOFT_ROUTINE - FIRST_SOFT_FORM)
    throw new Error(`${host.length} and ${soft.length} forms have no room`);
  return { host, soft, missing };
}

let made: VectorHandlers | undefined;

function newModule(): ModuleWriter {
  const module = new ModuleWriter();
  module.importMemory(MEMORY_IMPORT.module, MEMORY_IMPORT.name, MEMORY_IMPORT.pages);
  module.importTable(MEMORY_IMPORT.module, TABLE_EXPORT);
  tagEventType(module);
  softType(module);
  crossingType(module);
  if (module.type(...TYPE_FORM) !== FORM_TYPE) throw new Error('the type of forms is not the fourth');
  return module;
}

function finished(module: ModuleWriter, handlers: readonly VectorHandler[]): Uint8Array<ArrayBuffer> {
  module.addCustom(FORMS_SECTION, new TextEncoder().encode(handlerNames(handlers)));
  module.addCustom(FINGERPRINT_SECTION, new TextEncoder().encode(fingerprint()));
  return module.finish();
}

/** The module of the host's arithmetic, and of all that is not arithmetic: from FIRST_VECTOR_FORM on. */
export function generateVectors(): GeneratedVectors {
  made ??= makeHandlers();
  const module = newModule();
  const { host, missing } = made;
  const table = host.map((h) => module.addFunction(FORM_TYPE, h.host!.locals, h.host!.code));
  module.setTable(table, FIRST_VECTOR_FORM);
  return { bytes: finished(module, host), handlers: host.length, missing };
}

/** The module of soft-float: forms beside those of the host's arithmetic, forms from FIRST_SOFT_FORM on, routines. */
export function generateFloats(): GeneratedVectors {
  made ??= makeHandlers();
  const module = newModule();
  const { host, soft, missing } = made;
  const routines = addSoftRoutines(module);
  const add = ({ locals, code }: FormCode) => module.addFunction(FORM_TYPE, locals, code);
  const table = new Map<number, number>();
  host.forEach((h, i) => {
    if (h.soft !== undefined) table.set(FIRST_VECTOR_FORM + SOFT_DISTANCE + i, add(h.soft));
  });
  soft.forEach((h, i) => {
    table.set(FIRST_SOFT_FORM + i, add(h.soft!));
  });
  routines.forEach((routine, i) => {
    table.set(FIRST_SOFT_ROUTINE + i, routine);
  });
  module.setElements(table);
  return { bytes: finished(module, soft), handlers: soft.length, missing };
}
