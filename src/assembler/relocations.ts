/**
 * Relocation operators (`:lo12:symbol`), applied at once: the assembler links what it assembles.
 *
 * Ref. ELF for the Arm 64-bit Architecture (AAELF64), 5.7 "Relocations"; spelling as in GNU as,
 * "AArch64 Relocations".
 */

export interface RelocationInput {
  readonly value: bigint;
  readonly pc: bigint;
  /** The address that the thread pointer stands for: tprel(x) = x - threadBase. */
  readonly threadBase: bigint | undefined;
}

export interface Relocation {
  /** For the move-wide group: the shift that the operator implies. */
  readonly shift?: 0 | 16 | 32 | 48;
  /** Whether MOVZ becomes MOVN where the value is negative (the `_s` and `prel_g` operators). */
  readonly signed: boolean;
  /** What the value is measured from. */
  readonly origin: 'zero' | 'pc' | 'thread';
  /** The number the instruction takes, or why there is none. */
  apply(input: RelocationInput): bigint | string;
}

const RELOCATIONS = new Map<string, Relocation>();

const plain = (name: string, apply: Relocation['apply']) =>
  RELOCATIONS.set(name, { signed: false, origin: 'zero', apply });

plain('lo12', ({ value }) => value & 0xfffn);
plain('pg_hi21', ({ value }) => value);
plain('pg_hi21_nc', ({ value }) => value);

const threadRelative = ({ value, threadBase }: RelocationInput): bigint | string =>
  threadBase === undefined ? 'there is no thread-local section' : value - threadBase;

function measured(input: RelocationInput, origin: Relocation['origin']): bigint | string {
  if (origin === 'thread') return threadRelative(input);
  return origin === 'pc' ? BigInt.asIntN(64, input.value - input.pc) : input.value;
}

plain('tprel_hi12', (input) => map(threadRelative(input), (v) => checked(v >> 12n, 12, false)));
plain('tprel_lo12', (input) => map(threadRelative(input), (v) => checked(v, 12, false)));
plain('tprel_lo12_nc', (input) => map(threadRelative(input), (v) => v & 0xfffn));

function map(value: bigint | string, then: (value: bigint) => bigint | string): bigint | string {
  return typeof value === 'string' ? value : then(value);
}

function checked(value: bigint, bits: number, signed: boolean): bigint | string {
  const fits = signed ? BigInt.asIntN(bits, value) === value : BigInt.asUintN(bits, value) === value;
  return fits ? value : `the value does not fit in ${bits} ${signed ? 'signed ' : ''}bits here`;
}

/** Group `g` of a move-wide sequence: 16 bits from bit 16g, of all that is left above if checked. */
function moveWide(
  name: string,
  origin: Relocation['origin'],
  g: 0 | 1 | 2 | 3,
  check: boolean,
  signed: boolean,
): void {
  RELOCATIONS.set(name, {
    shift: (g * 16) as 0 | 16 | 32 | 48,
    signed,
    origin,
    apply: (input) =>
      map(measured(input, origin), (value) => {
        const raw = signed ? value : BigInt.asUintN(64, value);
        const width = (g + 1) * 16;
        if (check && g < 3) {
          const problem = checked(raw, signed ? width + 1 : width, signed);
          if (typeof problem === 'string') return problem;
        }
        return ((signed && raw < 0n ? ~raw : raw) >> BigInt(g * 16)) & 0xffffn;
      }),
  });
}

for (const g of [0, 1, 2, 3] as const) {
  moveWide(`abs_g${g}`, 'zero', g, true, false);
  moveWide(`prel_g${g}`, 'pc', g, true, true);
  if (g === 3) continue;
  moveWide(`abs_g${g}_nc`, 'zero', g, false, false);
  moveWide(`abs_g${g}_s`, 'zero', g, true, true);
  moveWide(`prel_g${g}_nc`, 'pc', g, false, false);
  moveWide(`tprel_g${g}`, 'thread', g, true, true);
  if (g < 2) moveWide(`tprel_g${g}_nc`, 'thread', g, false, false);
}

/** Operators that GNU as knows and that need a dynamic linker or a global offset table. */
const UNSUPPORTED =
  /^(got|got_lo12|gotpage_lo1[45]|gottprel.*|tlsgd.*|tlsld.*|tlsdesc.*|dtprel.*|secrel_.*|size)$/;

export function relocationNamed(name: string): Relocation | 'unsupported' | undefined {
  return RELOCATIONS.get(name) ?? (UNSUPPORTED.test(name) ? 'unsupported' : undefined);
}

export function relocationNames(): Iterable<string> {
  return RELOCATIONS.keys();
}
