/**
 * How the instructions of a row branch, read off their semantics.
 *
 * The row's `execute` runs once on a recorder (isa/effects.ts): which of the builder's branches it calls
 * is its shape. It is the same for all instructions of a row.
 */
import { type Decoded, type Row, recordCalls } from '../../../isa/index.js';
import type { BranchShape } from './scan.js';

const known = new Map<Row, BranchShape>();

function read(decoded: Decoded): BranchShape {
  const calls = recordCalls(decoded, false);
  const of = (operation: string) => calls.find((call) => call.operation === operation);
  const register = of('branchTo');
  const isCall = of('linkRegister') !== undefined;
  if (register !== undefined) return { kind: 'register', isCall, isReturn: register.args[1] === 'return' };
  if (of('writePstate')?.args[0] === 'TCO') return { kind: 'exit', isCall: false, isReturn: false };
  const kind = of('branchIf') !== undefined ? 'maybe' : of('branch') !== undefined ? 'always' : 'none';
  return { kind, isCall: isCall && kind === 'always', isReturn: false };
}

export function branchShape(decoded: Decoded): BranchShape {
  let shape = known.get(decoded.row);
  if (shape === undefined) {
    shape = read(decoded);
    known.set(decoded.row, shape);
  }
  return shape;
}
