/**
 * From an instruction word to the bytes of its record.
 *
 * What does not depend on where the instruction stands is worked out once for each word and kept; the
 * rest (the PC, addresses, branch targets) is filled in for each place.
 */
import { type Concrete, decode, decodeOperands, type LabelValue, type Shape } from '../../../isa/index.js';
import { CpuLayout, SINK_SLOT, ZERO_SLOT } from '../../machine/index.js';
import { conditionHolds } from '../arithmetic.js';
import type { Field } from './fields.js';
import {
  anyFormOf,
  discriminator,
  EXCEPTION_RETURN,
  type Form,
  isForm,
  SUPERVISOR_CALL,
  usesVectors,
} from './forms.js';
import { pairKey } from './generate.js';
import { Handler, RECORD_BYTES, SUPERVISOR_IMMEDIATE } from './layout.js';
import { blockActionsOf, plainRegisterOf } from './system-forms.js';

/** A part of the record that depends on the place. */
interface Placed {
  readonly kind: 'pc' | 'address' | 'target';
  readonly offset: number;
  readonly delta: number;
  /** The address is the page's, plus `delta`. */
  readonly page: boolean;
}

export interface Template {
  /** The record of CPU 0; all zeros but the handler where the evaluator does the instruction. */
  readonly words: Int32Array;
  readonly placed: readonly Placed[];
  /** Byte offsets of register operands, to which the CPU's distance is added. */
  readonly registers: readonly number[];
  /** Execution does not go on to the next instruction. */
  readonly endsBlock: boolean;
}

/** Words kept at most; beyond it the cache starts again. */
const MOST_WORDS = 1 << 16;
/** Rows after which there may be anything. */
const BLOCK_ENDS: ReadonlySet<string> = new Set([
  'B_branch_imm',
  'BR_branch_reg',
  'RET_branch_reg',
  'UDF_reserved',
  'BRK_exception',
  'ERET_branch_reg',
]);

/** The handlers by key of form, see generate.ts; those of modules that few programs need are asked for when they are. */
export interface HandlerModules {
  readonly handlers: ReadonlyMap<string, number>;
  readonly vectorHandlers: () => ReadonlyMap<string, number>;
  readonly softHandlers: () => ReadonlyMap<string, number>;
}

interface KnownForm {
  readonly handler: number;
  readonly fields: readonly Field[];
}
const EVALUATED: KnownForm = { handler: Handler.evaluate, fields: [] };

/** The operand at a path. */
export function valueAt(values: Readonly<Record<string, Concrete<Shape>>>, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, name) => (value as Readonly<Record<string, unknown>>)[name], values);
}

const CONDITION_TABLES = Array.from({ length: 16 }, (_, condition) => {
  let table = 0;
  for (let nzcv = 0; nzcv < 16; nzcv++) if (conditionHolds(condition, nzcv)) table |= 1 << nzcv;
  return table;
});

/** Bit n is ConditionHolds for NZCV = n. */
export const conditionTable = (condition: number): number => CONDITION_TABLES[condition]!;

export class Templates {
  readonly #modules: HandlerModules;
  readonly #hasFeature: (feature: string) => boolean;
  readonly #forms = new Map<string, KnownForm>();
  readonly #words = new Map<number, Template>();

  constructor(modules: HandlerModules, hasFeature: (feature: string) => boolean) {
    this.#modules = modules;
    this.#hasFeature = hasFeature;
  }

  /** `word`: unsigned 32 bits. */
  /** The handler that does both of two instructions that follow one another, or undefined. */
  pair(first: Template, second: Template): number | undefined {
    return this.#modules.handlers.get(pairKey(first.words[0]! & 0xffff, second.words[0]! & 0xffff));
  }

  get(word: number): Template {
    const known = this.#words.get(word);
    if (known !== undefined) return known;
    if (this.#words.size >= MOST_WORDS) this.#words.clear();
    const template = this.#make(word);
    this.#words.set(word, template);
    return template;
  }

  #make(word: number): Template {
    const words = new Int32Array(RECORD_BYTES / 4);
    const view = new DataView(words.buffer);
    const decoded = decode(word, this.#hasFeature);
    if (decoded === undefined) return { ...this.#evaluated(), endsBlock: true };
    const values = decodeOperands(decoded);
    if (decoded.row.id === SUPERVISOR_CALL) {
      words[0] = Handler.supervisorCall;
      view.setUint32(SUPERVISOR_IMMEDIATE, Number(values['imm']), true);
      return { words, placed: [], registers: [], endsBlock: false };
    }
    if (decoded.row.id === EXCEPTION_RETURN) {
      words[0] = Handler.exceptionReturn;
      return { words, placed: [], registers: [], endsBlock: true };
    }
    const which = discriminator(decoded, values);
    let form = this.#forms.get(which);
    if (form === undefined) {
      form = this.#formFor(decoded);
      this.#forms.set(which, form);
    }
    view.setUint16(0, form.handler, true);
    const placed: Placed[] = [];
    const registers: number[] = [];
    for (const { kind, path, plus, offset } of form.fields) {
      const value = path.length === 0 ? 0 : valueAt(values, path);
      switch (kind) {
        case 'read':
        case 'write': {
          const slot = (value as number) + plus;
          view.setUint16(offset, 8 * (kind === 'write' && slot === ZERO_SLOT ? SINK_SLOT : slot), true);
          registers.push(offset);
          break;
        }
        case 'vector': {
          const slot = ((value as number) + plus) & 31;
          view.setUint16(offset, CpuLayout.V + 16 * slot, true);
          registers.push(offset);
          break;
        }
        case 'immediate':
          view.setBigUint64(offset, BigInt.asUintN(64, value as bigint), true);
          break;
        case 'condition':
          view.setUint16(offset, CONDITION_TABLES[value as number]!, true);
          break;
        case 'system':
        case 'permission':
        case 'kept':
        case 'fixed': {
          const register = plainRegisterOf(value as number, decoded.row.id);
          if (register === undefined || !this.#has(register.feature)) return this.#evaluated();
          if (kind === 'system') view.setUint16(offset, register.offset, true);
          else if (kind === 'permission') view.setUint16(offset, register.permission, true);
          else view.setBigUint64(offset, register[kind], true);
          break;
        }
        case 'actions': {
          const operation = blockActionsOf(value as number);
          if (operation === undefined || !this.#has(operation.feature)) return this.#evaluated();
          view.setUint16(offset, operation.actions, true);
          break;
        }
        case 'pc':
          placed.push({ kind, offset, delta: 0, page: false });
          break;
        case 'address':
        case 'target': {
          const label = value as LabelValue;
          placed.push({ kind, offset, delta: Number(label.offset), page: label.page });
          break;
        }
      }
    }
    return { words, placed, registers, endsBlock: BLOCK_ENDS.has(decoded.row.id) };
  }

  #has(feature: string | undefined): boolean {
    return feature === undefined || this.#hasFeature(feature);
  }

  #evaluated(): Template {
    const words = new Int32Array(RECORD_BYTES / 4);
    words[0] = Handler.evaluate;
    return { words, placed: [], registers: [], endsBlock: false };
  }

  #formFor(decoded: NonNullable<ReturnType<typeof decode>>): KnownForm {
    const form = anyFormOf(decoded);
    if (!isForm(form)) return EVALUATED;
    const handler = this.#handlersOf(form).get(form.key);
    return handler === undefined ? EVALUATED : { handler, fields: form.fields };
  }

  #handlersOf({ row, builder }: Form): ReadonlyMap<string, number> {
    const { handlers, vectorHandlers, softHandlers } = this.#modules;
    if (!usesVectors(row)) return handlers;
    return builder.floats === 'soft' ? softHandlers() : vectorHandlers();
  }
}
