/**
 * Pointer authentication in forms: codes are taken from the table of those that were computed before.
 *
 * Given up are codes that are not in the table, pointers that are not canonical when a code is added, codes that
 * are wrong, keys whose use traps; and, as functions cannot branch, the branches that authenticate.
 *
 * Ref. DDI 0487, D8.8; src/machine/cpu/{pointer-authentication,pac-table}.ts.
 */
import type { PacKey } from '../../../isa/index.js';
import { CpuLayout, PAC_ENTRIES, PAC_GENERIC_KEY, PAC_KEYS, PacEntry } from '../../machine/index.js';
import { type Code, i32, i64, local, when } from '../wasm/index.js';
import { Cell, STATE } from './layout.js';
import { PAC_KEY_NAMES, Permission } from './system-forms.js';
import { TagFormBuilder } from './tag-forms.js';
import { type Value, wideLocal } from './values.js';

const BIT_55 = 1n << 55n;

export class PauthFormBuilder extends TagFormBuilder {
  /** i64: the bits of a pointer, a local, that are no part of its address; and whether it is of the upper half. */
  #fieldOf(pointer: number, data: boolean): { readonly field: number; readonly upper: Code } {
    const upper = this.keep32(i32.and(i32.wrap(i64.shrU(local.get(pointer), i64.const(55n))), i32.const(1)));
    const at = i32.add(this.frame.cpu, i32.shl(local.get(upper), i32.const(3)));
    const field = this.keep(i64.load(at, STATE + Cell.PAC_FIELDS + (data ? 16 : 0)));
    return { field, upper: local.get(upper) };
  }

  /** The canonical pointer of an address: its field all bit 55. */
  #canonical(pointer: number, data: boolean): { readonly original: number; readonly field: number } {
    const { field, upper } = this.#fieldOf(pointer, data);
    const ones = i64.and(local.get(field), i64.sub(i64.const(0n), i64.extendI32U(upper)));
    const address = i64.and(local.get(pointer), i64.xor(local.get(field), i64.const(-1n)));
    return { original: this.keep(i64.or(address, ones)), field };
  }

  /** `body` where the key is on; nothing where it is off, and given up where its use traps. */
  #withKey(key: PacKey, body: () => void): void {
    const index = PAC_KEY_NAMES.indexOf(key);
    const [on, off] = [Permission.keyOn << index, Permission.keyOff << index];
    this.emit(this.frame.failIf(i32.eqz(this.permitted(i32.const(on | off)))));
    this.emit(when(this.permitted(i32.const(on)), this.nested(body)));
  }

  /** The code of a pointer and a modifier, locals, from the table. */
  #codeOf(pointer: number, modifier: number, { hi, lo }: { hi: number; lo: number }): Code {
    const { cpu } = this.frame;
    const table = this.keep32(i32.load(cpu, STATE + CpuLayout.PAC_TABLE));
    this.emit(this.frame.failIf(i32.eqz(local.get(table))));
    const low = this.keep32(i32.wrap(local.get(pointer)));
    const folded = i32.xor(i32.shrU(local.get(low), i32.const(2)), i32.shrU(local.get(low), i32.const(14)));
    const hash = i32.xor(folded, i32.shrU(i32.wrap(local.get(modifier)), i32.const(4)));
    const slot = i32.mul(i32.and(hash, i32.const(PAC_ENTRIES - 1)), i32.const(PacEntry.BYTES));
    const entry = this.keep32(i32.add(local.get(table), slot));
    const differs = (field: number, value: Code) => i64.xor(i64.load(local.get(entry), field), value);
    const cellAt = (cell: number) => i64.load(cpu, STATE + CpuLayout.SYSTEM + 8 * cell);
    const wrong = [
      differs(PacEntry.POINTER, local.get(pointer)),
      differs(PacEntry.MODIFIER, local.get(modifier)),
      differs(PacEntry.KEY_HIGH, cellAt(hi)),
      differs(PacEntry.KEY_LOW, cellAt(lo)),
    ].reduce((one, other) => i64.or(one, other));
    this.emit(this.frame.failIf(i64.ne(wrong, i64.const(0n))));
    return i64.load(local.get(entry), PacEntry.CODE);
  }

  /** The bits of a pointer's field that a code takes. */
  #placed(field: number): Code {
    return i64.and(local.get(field), i64.const(~BIT_55));
  }

  addPac(pointer: Value, modifier: Value, key: PacKey): Value {
    this.isRare = true;
    const result = this.keep(pointer.wide());
    const context = this.keep(modifier.wide());
    this.#withKey(key, () => {
      const { original, field } = this.#canonical(result, key.startsWith('d'));
      this.emit(this.frame.failIf(i64.ne(local.get(original), local.get(result))));
      const code = this.#codeOf(result, context, PAC_KEYS[key]);
      const placed = this.keep(this.#placed(field));
      const kept = i64.and(local.get(result), i64.xor(local.get(placed), i64.const(-1n)));
      this.emit(local.set(result, i64.or(kept, i64.and(code, local.get(placed)))));
    });
    return wideLocal(result);
  }

  authenticate(pointer: Value, modifier: Value, key: PacKey): Value {
    this.isRare = true;
    const result = this.keep(pointer.wide());
    const context = this.keep(modifier.wide());
    this.#withKey(key, () => {
      const { original, field } = this.#canonical(result, key.startsWith('d'));
      const code = this.#codeOf(original, context, PAC_KEYS[key]);
      const wrong = i64.and(i64.xor(code, local.get(result)), this.#placed(field));
      this.emit(this.frame.failIf(i64.ne(wrong, i64.const(0n))));
      this.emit(local.set(result, local.get(original)));
    });
    return wideLocal(result);
  }

  genericPac(value: Value, modifier: Value): Value {
    this.isRare = true;
    const [plain, context] = [this.keep(value.wide()), this.keep(modifier.wide())];
    this.emit(this.frame.failIf(i32.eqz(this.permitted(i32.const(Permission.generic)))));
    const code = this.#codeOf(plain, context, PAC_GENERIC_KEY);
    return wideLocal(this.keep(i64.and(code, i64.const(-(1n << 32n)))));
  }

  stripPac(pointer: Value, data: boolean): Value {
    this.isRare = true;
    return wideLocal(this.#canonical(this.keep(pointer.wide()), data).original);
  }
}
