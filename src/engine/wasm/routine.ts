/**
 * Functions that are written by hand, statement by statement: variables that have names, conditions with
 * bodies. For code that is more than an expression and belongs to no instruction, as the soft-float of
 * generated code does.
 */
import { brIf, giveBack, local, loop, when } from './code.js';
import { type Code, Label, ValueType } from './instruction.js';

/** A local of a routine. */
export interface Variable {
  readonly index: number;
  /** Code that reads it. */
  readonly get: Code;
}

export class Routine {
  readonly params: readonly ValueType[];
  /** Types of the locals behind the parameters. */
  readonly locals: ValueType[] = [];
  #body: Code[] = [];

  constructor(params: readonly ValueType[]) {
    this.params = params;
  }

  /** What has been written so far. */
  get code(): Code {
    return this.#body;
  }

  /** Code that reads a parameter. */
  param(index: number): Variable {
    return { index, get: local.get(index) };
  }

  #variable(type: ValueType, value: Code): Variable {
    this.locals.push(type);
    const index = this.params.length + this.locals.length - 1;
    this.emit(local.set(index, value));
    return { index, get: local.get(index) };
  }
  /** A new i32 (i64, f64) that begins as `value`. */
  i32(value: Code): Variable {
    return this.#variable(ValueType.i32, value);
  }
  i64(value: Code): Variable {
    return this.#variable(ValueType.i64, value);
  }
  f64(value: Code): Variable {
    return this.#variable(ValueType.f64, value);
  }

  emit(...code: Code[]): void {
    this.#body.push(...code);
  }
  set({ index }: Variable, value: Code): void {
    this.emit(local.set(index, value));
  }
  /** Ends the function. */
  give(value: Code): void {
    this.emit(giveBack(value));
  }
  when(condition: Code, body: () => void, otherwise?: () => void): void {
    const yes = this.nested(body);
    this.emit(when(condition, yes, otherwise === undefined ? undefined : this.nested(otherwise)));
  }
  /** Does the body, and again while the condition, an i32, is not zero. */
  repeat(body: () => void, again: Code): void {
    const label = new Label('again');
    this.emit(loop(label, [this.nested(body), brIf(label, again)]));
  }
  /** What `fill` writes, apart. */
  nested(fill: () => void): Code {
    const outer = this.#body;
    this.#body = [];
    fill();
    const inner = this.#body;
    this.#body = outer;
    return inner;
  }
}
