/**
 * The functions behind crossing-calls.ts: an access that begins in one page and ends in the next.
 *
 * Strings and copies at odd addresses cross a page every 4 KiB; left to the evaluator, one such access cost as much
 * as copying the rest of the page. What is checked is what MemoryAccess checks, piece by piece; a piece that is not
 * plain memory, or whose tag differs, is still the evaluator's, since nothing has been done.
 *
 * Ref. src/machine/cpu/memory-access.ts.
 */
import {
  block,
  br,
  type Code,
  giveBack,
  i32,
  i64,
  Label,
  local,
  loop,
  ValueType,
  when,
} from '../wasm/index.js';
import { CROSSING_PARAMS, Crossing, crossingBuffer } from './crossing-calls.js';
import { FAIL, FunctionFrame } from './frame.js';
import { Cell, STATE } from './layout.js';
import { MemoryFormBuilder, SPECIAL, type Table } from './memory-forms.js';
import { RecordOperands } from './record-operands.js';

const { i32: I32 } = ValueType;
const PAGE = 4096;
const get = local.get;

/** Parameters of the first function. The frame takes the CPU's distance from its second. */
const Param = { how: 0, cpu: 1, va: 2 } as const;

/** Locals: a piece's first address (low half), its bytes, the host offset, the tag addend. */
interface Piece {
  readonly low: number;
  readonly bytes: number;
  readonly host: number;
  readonly tagAddend: number;
}

class CrossingBuilder extends MemoryFormBuilder {
  begin(): void {
    const { frame } = this;
    const { checks, alignment } = frame;
    if (typeof checks === 'boolean' || typeof alignment === 'boolean') {
      throw new Error('what accesses are checked for is known at run time only');
    }
    const has = (bit: number) => i32.and(get(Param.how), i32.const(bit));
    const next = this.keep(i64.add(i64.or(get(Param.va), i64.const(BigInt(PAGE - 1))), i64.const(1n)));
    // Behind the last page is another tag, or the other half.
    const top = i64.shrU(i64.xor(get(Param.va), get(next)), i64.const(55n));
    this.emit(frame.failIf(i32.wrap(top)));
    const bytes = this.keep32(has(Crossing.bytes));
    const first = this.#piece(Param.va, (low) => i32.sub(i32.const(PAGE), i32.and(low, i32.const(PAGE - 1))));
    const second = this.#piece(next, () => i32.sub(get(bytes), get(first.bytes)));
    const found = (table: Table) =>
      this.nested(() => {
        this.#find(table, Param.va, first);
        this.#find(table, next, second);
      });
    this.emit(when(has(Crossing.write), found('write'), found('read')));
    const checked = this.nested(() => {
      // Where a tag may be exempt (TCMA), MemoryAccess says which checks count.
      this.emit(frame.failIf(alignment));
      for (const piece of [first, second]) this.#check(piece);
      const isTagged = ({ tagAddend }: Piece) => i32.ltU(get(tagAddend), i32.const(SPECIAL));
      this.emit(when(i32.or(isTagged(first), isTagged(second)), frame.countTagCheck()));
    });
    this.emit(when(i32.and(i32.ne(has(Crossing.checked), i32.const(0)), checks), checked));
    const put = (cell: number, value: number) => i32.store(frame.cpu, get(value), STATE + cell);
    const buffer = this.keep32(crossingBuffer(frame.cpu));
    const later = [
      put(Cell.CROSSING_FIRST, first.host),
      put(Cell.CROSSING_SECOND, second.host),
      put(Cell.CROSSING_BYTES, first.bytes),
      put(Cell.CROSSING_BYTES_OF_SECOND, second.bytes),
    ];
    const read = this.nested(() => {
      this.copy(buffer, first.host, first.bytes);
      this.copy(this.keep32(i32.add(get(buffer), get(first.bytes))), second.host, second.bytes);
    });
    this.emit(when(has(Crossing.write), later, read));
  }

  end(): void {
    const { cpu } = this.frame;
    const cell = (at: number) => this.keep32(i32.load(cpu, STATE + at));
    const buffer = this.keep32(crossingBuffer(cpu));
    const bytes = cell(Cell.CROSSING_BYTES);
    this.copy(cell(Cell.CROSSING_FIRST), buffer, bytes);
    const rest = this.keep32(i32.add(get(buffer), get(bytes)));
    this.copy(cell(Cell.CROSSING_SECOND), rest, cell(Cell.CROSSING_BYTES_OF_SECOND));
  }

  #piece(address: number, bytes: (low: Code) => Code): Piece {
    const low = this.keep32(i32.wrap(get(address)));
    return {
      low,
      bytes: this.keep32(bytes(get(low))),
      host: this.frame.local(I32),
      tagAddend: this.frame.local(I32),
    };
  }

  #find(table: Table, address: number, { low, host, tagAddend }: Piece): void {
    const probe = this.probeOf(table, address, low);
    this.emit(local.set(host, this.hostOf(probe)), local.set(tagAddend, probe.tagAddend));
  }

  /** The tag of every granule of a piece. */
  #check({ low, bytes, tagAddend }: Piece): void {
    const { frame } = this;
    const at = this.keep32(get(low));
    const end = this.keep32(i32.add(get(low), get(bytes)));
    const again = new Label('next granule');
    const granule = this.nested(() => {
      this.emit(
        this.compareTag(Param.va, get(at), tagAddend),
        local.set(at, i32.add(i32.or(get(at), i32.const(15)), i32.const(1))),
        when(i32.ltS(i32.sub(get(at), get(end)), i32.const(0)), br(again)),
      );
    });
    const special = i32.geU(get(tagAddend), i32.const(SPECIAL));
    const slow = frame.failIf(i32.eq(get(tagAddend), i32.const(SPECIAL)));
    this.emit(when(special, slow, loop(again, granule)));
  }

  /** At least one byte, between the host offsets in two locals. */
  copy(to: number, from: number, bytes: number): void {
    const at = this.keep32(i32.const(0));
    const again = new Label('next byte');
    const [source, target] = [from, to].map((place) => i32.add(get(place), get(at)));
    this.emit(
      loop(again, [
        i32.store8(target!, i32.load8U(source!)),
        local.set(at, i32.add(get(at), i32.const(1))),
        when(i32.ltU(get(at), get(bytes)), br(again)),
      ]),
    );
  }
}

interface FunctionCode {
  readonly locals: readonly ValueType[];
  readonly code: Code;
}

function functionOf(write: (builder: CrossingBuilder) => void): FunctionCode {
  const frame = new FunctionFrame(CROSSING_PARAMS.length);
  const builder = new CrossingBuilder(frame, new RecordOperands(frame));
  write(builder);
  const code = [block(FAIL, [builder.body, giveBack(crossingBuffer(frame.cpu))]), i32.const(0)];
  return { locals: frame.locals, code };
}

/** The function at Handler.crossing. */
export const crossingFunction = (): FunctionCode => functionOf((builder) => builder.begin());
/** The function at Handler.crossed. */
export const crossedFunction = (): FunctionCode => functionOf((builder) => builder.end());
