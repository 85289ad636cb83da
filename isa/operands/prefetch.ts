/**
 * Prefetch operations: `pldl1keep` and its kin, or any of the 32 values as an immediate.
 *
 * Ref. DDI 0487, C6.2 "PRFM (immediate)", the prfop table.
 */
import type { OperandKind } from '../row.js';
import { Mismatch } from '../syntax.js';
import { encodeScaled } from './immediates.js';

const TYPES = ['pld', 'pli', 'pst'];
const LEVELS = ['l1', 'l2', 'l3'];
const POLICIES = ['keep', 'strm'];

/** Type in bits 4:3, level in 2:1, policy in 0; undefined where the value has no name. */
function prefetchName(value: number): string | undefined {
  const type = TYPES[value >> 3];
  const level = LEVELS[(value >> 1) & 3];
  return type === undefined || level === undefined ? undefined : type + level + POLICIES[value & 1];
}

const VALUES = new Map(
  Array.from({ length: 32 }, (_, value) => [prefetchName(value), value] as const).filter(
    (entry): entry is readonly [string, number] => entry[0] !== undefined,
  ),
);

/** `(<prfop>|#<imm5>)`. Prefetching has no effect that a guest could see, so that semantics ignore it. */
export function prefetch(field: string): OperandKind<'imm'> {
  return {
    shape: 'imm',
    syntax: '(<prfop>|#<imm5>)',
    fields: [field],
    decode: (f) => BigInt(f[field]!),
    print: (f) => prefetchName(f[field]!) ?? `#0x${f[field]!.toString(16).padStart(2, '0')}`,
    parse(cursor) {
      const operand = cursor.take('immediate', 'a prefetch operation');
      if (operand instanceof Mismatch) return operand;
      const named = operand.symbol === undefined ? undefined : VALUES.get(operand.symbol);
      if (named !== undefined) return { [field]: named };
      if (operand.symbol !== undefined && /^p(ld|li|st)/.test(operand.symbol)) {
        return new Mismatch(operand.span, `no such prefetch operation: ${operand.symbol}`, {
          help: 'pld, pli or pst; l1, l2 or l3; keep or strm: pldl1keep',
          weight: 1,
        });
      }
      const encoded = encodeScaled(operand, cursor.context, { bits: 5, signed: false, scale: 1 });
      return encoded instanceof Mismatch ? encoded : { [field]: encoded };
    },
  };
}
