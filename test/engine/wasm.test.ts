import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/base/index.js';
import { generateInterpreter, generateVectors } from '../../src/engine/index.js';
import {
  Bytes,
  block,
  br,
  brIf,
  brTable,
  type Code,
  call,
  callIndirect,
  choose,
  encode,
  giveBack,
  i32,
  i64,
  Label,
  local,
  loop,
  ModuleWriter,
  select,
  unsigned,
  ValueType,
  when,
} from '../../src/engine/wasm/index.js';

const { i32: I32, i64: I64 } = ValueType;
const hasWabt = spawnSync('wasm-validate', ['--version']).status === 0;

/** A module with one exported function of i64 parameters. */
function functionOf(params: number, result: ValueType, code: Code, locals: readonly ValueType[] = []) {
  const module = new ModuleWriter();
  module.importMemory('m', 'memory', 16);
  const type = module.type(new Array<ValueType>(params).fill(I64), [result]);
  module.exportFunction('f', module.addFunction(type, locals, code));
  const bytes = module.finish();
  expect(WebAssembly.validate(bytes)).toBe(true);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 16 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { memory } });
  return { f: instance.exports['f'] as (...args: bigint[]) => bigint | number, memory, bytes };
}

describe('LEB128', () => {
  it('encodes unsigned numbers', () => {
    expect(unsigned(0)).toEqual([0]);
    expect(unsigned(127)).toEqual([127]);
    expect(unsigned(128)).toEqual([0x80, 1]);
    expect(unsigned(624485)).toEqual([0xe5, 0x8e, 0x26]);
    expect(unsigned(2 ** 32 - 1)).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f]);
  });

  it('encodes constants that the engine reads back', () => {
    const random = new Random(1, 'constants');
    const values = [0n, 1n, -1n, 63n, 64n, -64n, -65n, 2n ** 63n - 1n, -(2n ** 63n), 0xffff_ffffn];
    for (let i = 0; i < 40; i++) values.push(BigInt.asIntN(64, random.u64() >> BigInt(random.below(64))));
    for (const value of values) {
      expect(functionOf(0, I64, i64.const(value)).f()).toBe(value);
      const low = Number(BigInt.asIntN(32, value));
      expect(functionOf(0, I32, i32.const(low)).f()).toBe(low);
    }
  });
});

describe('code', () => {
  it('computes', () => {
    const [x, y] = [local.get(0), local.get(1)];
    const a = 0x1234_5678_9abc_def0n;
    const b = 0x0fed_cba9_8765_4321n;
    const cases: readonly (readonly [Code, bigint])[] = [
      [i64.add(x, y), a + b],
      [i64.sub(x, y), a - b],
      [i64.and(x, y), a & b],
      [i64.or(x, y), a | b],
      [i64.xor(x, y), a ^ b],
      [i64.mul(x, y), BigInt.asIntN(64, a * b)],
      [i64.divU(x, y), a / b],
      [i64.shl(x, i64.const(68n)), BigInt.asIntN(64, a << 4n)],
      [i64.rotr(x, i64.const(4n)), 0x0123_4567_89ab_cdefn],
      [i64.extendI32S(i32.wrap(x)), BigInt.asIntN(32, a)],
      [i64.extend8S(x), BigInt.asIntN(8, a)],
      [select(x, y, i64.ltU(x, y)), b],
      [choose(I64, i64.eqz(x), i64.const(1n), i64.const(2n)), 2n],
    ];
    for (const [code, value] of cases) expect(functionOf(2, I64, code).f(a, b)).toBe(value);
  });

  it('loads and stores in the imported memory, which may grow under it', () => {
    const code = [i64.store(i32.const(8), local.get(0), 0x10000), i64.load(i32.const(8), 0x10000)];
    const { f, memory } = functionOf(1, I64, code);
    expect(() => f(5n)).toThrow(WebAssembly.RuntimeError);
    memory.grow(1);
    expect(f(5n)).toBe(5n);
    expect(new BigUint64Array(memory.buffer)[0x10008 / 8]).toBe(5n);
  });

  it('branches out of any depth', () => {
    const [outer, again, inner, none] = [new Label('a'), new Label('b'), new Label('c'), new Label('d')];
    // Sums 1..n by a loop left from two levels further in.
    const sum = [
      block(outer, [
        loop(again, [
          block(inner, [brIf(inner, i64.ne(local.get(0), i64.const(0n))), when(i32.const(1), br(outer))]),
          local.set(1, i64.add(local.get(1), local.get(0))),
          local.set(0, i64.sub(local.get(0), i64.const(1n))),
          br(again),
        ]),
      ]),
      local.get(1),
    ];
    expect(functionOf(1, I64, sum, [I64]).f(10n)).toBe(55n);
    const table = [
      block(outer, [
        block(again, [
          block(inner, [brTable(i32.wrap(local.get(0)), [inner, again], outer)]),
          giveBack(i64.const(10n)),
        ]),
        giveBack(i64.const(20n)),
      ]),
      i64.const(30n),
    ];
    const { f } = functionOf(1, I64, table);
    expect([f(0n), f(1n), f(2n), f(77n)]).toEqual([10n, 20n, 30n, 30n]);
    expect(() => encode(block(outer, br(none)), new Bytes())).toThrow(/d, which is not around it/);
  });

  it('calls directly and through the table', () => {
    const module = new ModuleWriter();
    const type = module.type([I64], [I64]);
    expect(module.type([I64], [I64])).toBe(type);
    const twice = module.addFunction(type, [], i64.add(local.get(0), local.get(0)));
    const square = module.addFunction(type, [], i64.mul(local.get(0), local.get(0)));
    module.setTable([twice, square]);
    module.exportFunction('twice', module.addFunction(type, [], call(twice, call(twice, local.get(0)))));
    const indirect = callIndirect(type, i32.wrap(local.get(0)), local.get(0));
    module.exportFunction('which', module.addFunction(type, [], indirect));
    module.addCustom('note', new Uint8Array([1, 2, 3]));
    const compiled = new WebAssembly.Module(module.finish());
    expect(new Uint8Array(WebAssembly.Module.customSections(compiled, 'note')[0]!)).toEqual(
      new Uint8Array([1, 2, 3]),
    );
    const { exports } = new WebAssembly.Instance(compiled);
    expect((exports['twice'] as (x: bigint) => bigint)(5n)).toBe(20n);
    const which = exports['which'] as (x: bigint) => bigint;
    expect([which(0n), which(1n)]).toEqual([0n, 1n]);
  });
});

describe('the generated module', () => {
  const { bytes, hot, handlers, forms } = generateInterpreter();

  it('is valid, and of a size that compiles quickly', () => {
    expect(WebAssembly.validate(bytes)).toBe(true);
    expect(hot).toBeGreaterThan(250);
    expect(hot).toBeLessThan(700);
    expect(handlers).toBeGreaterThan(hot);
    // Pairs are handlers, too, but no forms.
    expect(forms).toBeGreaterThan(hot);
    expect(bytes.length).toBeLessThan(450_000);
  });

  it('has the forms that use V registers in a module of their own', () => {
    const vectors = generateVectors();
    expect(WebAssembly.validate(vectors.bytes)).toBe(true);
    expect(vectors.handlers).toBeGreaterThan(1500);
    expect(vectors.bytes.length).toBeLessThan(1_500_000);
  });

  it('is the same at every generation', () => {
    expect(generateInterpreter().bytes).toEqual(bytes);
  });

  it.skipIf(!hasWabt)('is what another validator accepts [needs wasm-validate]', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'interpreter-')), 'interpreter.wasm');
    writeFileSync(file, bytes);
    expect(execFileSync('wasm-validate', [file]).toString()).toBe('');
  });
});
