/**
 * The soft-float core against qemu-aarch64: every operation, with random FPCR, results and FPSR.
 *
 * A sample of qemu's results is committed, made again by
 *
 *     MTEMU_UPDATE_FIXTURES=1 npx vitest run --config test/vitest.config.ts test/softfloat/qemu.test.ts
 *
 * and where qemu is there, more cases run against it. MTEMU_FLOAT_CASES sets how many of each operation,
 * MTEMU_RANDOM_SEED which.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/base/index.js';
import { someFpcr } from './numbers.js';
import { caseOf, OPERATIONS, type Operation, resultOf, someOperands } from './operations.js';
import { hasQemu, runQemu } from './words.js';

const FILE = new URL('./fixtures/qemu.txt', import.meta.url);
const IN_FIXTURE = 40;
const LIVE = Number(process.env['MTEMU_FLOAT_CASES'] ?? 100);
const SEED = Number(process.env['MTEMU_RANDOM_SEED'] ?? 1);

interface Case {
  readonly operation: Operation;
  readonly fpcr: number;
  readonly operands: readonly bigint[];
}

function casesOf(count: number, seed: number): Case[] {
  return OPERATIONS.flatMap((operation) => {
    const random = new Random(seed, `softfloat ${operation.name}`);
    return Array.from({ length: count }, () => ({
      operation,
      fpcr: someFpcr(random),
      operands: someOperands(random, operation),
    }));
  });
}

const show = ({ operation, fpcr, operands }: Case, result: bigint, fpsr: number) =>
  [
    `${operation.name}:`,
    fpcr.toString(16),
    ...operands.map((o) => o.toString(16)),
    '=',
    result.toString(16),
    fpsr.toString(16),
  ].join(' ');

const IXC = 16;

/** Our result; that it is the same with FPSR.IXC set before, where the host's arithmetic may be used, is checked by the way. */
function ours(given: Case): string {
  const env = { fpcr: given.fpcr, fpsr: 0 };
  const result = given.operation.run(given.operands, env);
  const again = { fpcr: given.fpcr, fpsr: IXC };
  const second = given.operation.run(given.operands, again);
  if (second !== result || again.fpsr !== (env.fpsr | IXC)) {
    return `${show(given, result, env.fpsr)}, but ${show(given, second, again.fpsr)} with IXC`;
  }
  return show(given, result, env.fpsr);
}

function qemus(cases: readonly Case[]): string[] {
  const outcomes = runQemu(cases.map(({ operation, operands, fpcr }) => caseOf(operation, operands, fpcr)));
  return cases.map((given, i) => show(given, resultOf(given.operation, outcomes[i]!), outcomes[i]!.fpsr));
}

const byName = new Map(OPERATIONS.map((operation) => [operation.name, operation]));

function parse(line: string): Case {
  const [, name, rest] = /^(.*): (.*) = /.exec(line)!;
  const [fpcr, ...operands] = rest!.split(' ');
  return {
    operation: byName.get(name!)!,
    fpcr: Number.parseInt(fpcr!, 16),
    operands: operands.map((o) => BigInt(`0x${o}`)),
  };
}

const tool = hasQemu();

describe('the soft-float core', () => {
  it('gives what qemu gave', () => {
    if (process.env['MTEMU_UPDATE_FIXTURES'] !== undefined) {
      writeFileSync(FILE, `${qemus(casesOf(IN_FIXTURE, 2)).join('\n')}\n`);
    }
    const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(OPERATIONS.length * 30);
    const wrong = lines.map((line) => [line, ours(parse(line))] as const).filter(([a, b]) => a !== b);
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  it.skipIf(!tool)('gives what qemu gives [needs qemu-aarch64-static]', () => {
    const cases = casesOf(LIVE, SEED);
    const theirs = qemus(cases);
    const wrong = cases.map((given, i) => [theirs[i], ours(given)] as const).filter(([a, b]) => a !== b);
    expect(wrong.slice(0, 20)).toEqual([]);
  });
});
