/**
 * Scalar SIMD and floating-point register operands: b0, h0, s0, d0, q0.
 *
 * They decode to slots 0..31 of the vector register file (shape `vreg`).
 *
 * Ref. DDI 0487, C1.2.6.
 */
import type { Fields, OperandKind } from '../row.js';
import { Mismatch, type OperandCursor, type RegisterOperand } from '../syntax.js';

export type ScalarSize = 8 | 16 | 32 | 64 | 128;

const FILES: Readonly<Record<ScalarSize, 'b' | 'h' | 's' | 'd' | 'q'>> = {
  8: 'b',
  16: 'h',
  32: 's',
  64: 'd',
  128: 'q',
};

/** `d3` for 3 and 64. */
export function scalarName(n: number, size: ScalarSize): string {
  return `${FILES[size]}${n}`;
}

/** Takes a scalar register of the size; gives it or why not. */
export function takeScalar(cursor: OperandCursor, size: ScalarSize): RegisterOperand | Mismatch {
  const before = cursor.at;
  const file = FILES[size];
  const operand = cursor.take('register', `a ${size}-bit FP/SIMD register`);
  if (operand instanceof Mismatch) return operand;
  if (operand.file === file && operand.index === undefined) return operand;
  cursor.at = before;
  if (operand.file === 'w' || operand.file === 'x' || operand.file === 'v') {
    return new Mismatch(operand.span, `expected ${file === 's' ? 'an' : 'a'} ${file} register`);
  }
  return new Mismatch(operand.span, `expected a ${size}-bit FP/SIMD register`, {
    help: `write ${file}${operand.number}`,
    weight: 1,
  });
}

/** `<Dn>`: a scalar register in one field. */
export function F(field: string, size: ScalarSize): OperandKind<'vreg'> {
  return scalarBy(field, [], () => size, [[size, {}]]);
}

/**
 * A scalar register whose size fields decide: `sizes` lists each size with what it makes of them.
 * `sizeOf` is asked only about words of the row.
 */
export function scalarBy(
  field: string,
  fields: readonly string[],
  sizeOf: (f: Fields) => ScalarSize,
  sizes: readonly (readonly [size: ScalarSize, fields: Fields])[],
): OperandKind<'vreg'> {
  const letter = sizes.length === 1 ? FILES[sizes[0]![0]].toUpperCase() : 'V';
  return {
    shape: 'vreg',
    syntax: sizes.length === 1 ? `<${letter}${field.slice(1)}>` : `<V><${field.slice(1)}>`,
    fields: [field, ...fields],
    decode: (f) => f[field]!,
    print: (f) => scalarName(f[field]!, sizeOf(f)),
    parse(cursor) {
      const next = cursor.peek();
      const known = next?.kind === 'register' ? sizes.find(([size]) => FILES[size] === next.file) : undefined;
      const [size, encoded] = known ?? sizes[0]!;
      const taken = takeScalar(cursor, size);
      return taken instanceof Mismatch ? taken : { ...encoded, [field]: taken.number };
    },
  };
}
