/**
 * Floating-point and vector instructions of the module writer: each is one instruction of its own name to
 * another tool, and computes what it says.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Code,
  f32,
  f32x4,
  f64,
  f64x2,
  i8x16,
  i16x8,
  i32,
  i32x4,
  i64,
  i64x2,
  local,
  ModuleWriter,
  ValueType,
  v128,
} from '../../src/engine/wasm/index.js';

const hasWabt = spawnSync('wasm2wat', ['--version']).status === 0;
const { i32: I32, i64: I64, f32: F32, f64: F64, v128: V128 } = ValueType;
const SHAPES = { i8x16, i16x8, i32x4, i64x2, f32x4, f64x2 } as const;

/** The name of a method as the text format has it. */
const textName = (method: string) =>
  method.replace(/([A-Z])/g, (letter) => `_${letter.toLowerCase()}`).replace('and_not', 'andnot');

interface Sample {
  readonly wat: string;
  readonly code: Code;
}

const zero = v128.const(0n);
const [V, N, L] = [zero, i32.const(1), i64.const(1n)];

/** Every lane-wise instruction with operands of its types. */
function samples(): Sample[] {
  const out: Sample[] = [];
  for (const [shape, methods] of Object.entries(SHAPES)) {
    const lane = shape.startsWith('f32')
      ? f32.const(1)
      : shape.startsWith('f64')
        ? f64.const(1)
        : shape === 'i64x2'
          ? L
          : N;
    for (const [name, make] of Object.entries(methods) as [string, (...args: unknown[]) => Code][]) {
      const narrow = shape === 'i8x16' || shape === 'i16x8';
      if (name === 'splat') out.push({ wat: `${shape}.splat`, code: make(lane) });
      else if (name === 'extract')
        out.push({ wat: `${shape}.extract_lane${narrow ? '_u' : ''} 1`, code: make(1, V) });
      else if (name === 'replace') out.push({ wat: `${shape}.replace_lane 1`, code: make(1, V, lane) });
      else if (name === 'shuffle') continue;
      else if (/^sh[lr]/.test(name)) out.push({ wat: `${shape}.${textName(name)}`, code: make(V, N) });
      else if (make.length === 1) out.push({ wat: `${shape}.${textName(name)}`, code: make(V) });
      else out.push({ wat: `${shape}.${textName(name)}`, code: make(V, V) });
    }
  }
  return out;
}

/** What the other tool calls it, where our name is shorter. */
const OTHER_NAMES: readonly (readonly [RegExp, string])[] = [
  [/extend_low_(.)$/, 'extend_low_SOURCE_$1'],
  [/extend_high_(.)$/, 'extend_high_SOURCE_$1'],
  [/extmul_low_(.)$/, 'extmul_low_SOURCE_$1'],
  [/extmul_high_(.)$/, 'extmul_high_SOURCE_$1'],
  [/f32x4\.demote_zero/, 'f32x4.demote_f64x2_zero'],
  [/f64x2\.promote_low/, 'f64x2.promote_low_f32x4'],
];
const SOURCE: Readonly<Record<string, string>> = { i16x8: 'i8x16', i32x4: 'i16x8', i64x2: 'i32x4' };

function otherName(wat: string): string {
  let name = wat;
  for (const [pattern, text] of OTHER_NAMES) name = name.replace(pattern, text);
  return name.replace('SOURCE', SOURCE[name.split('.')[0]!] ?? '');
}

const resultOf = (wat: string) => {
  if (/all_true|extract_lane/.test(wat)) {
    if (wat.startsWith('i64x2.extract')) return I64;
    if (wat.startsWith('f32')) return F32;
    return wat.startsWith('f64') ? F64 : I32;
  }
  return V128;
};

describe('vector instructions', () => {
  it.skipIf(!hasWabt)('are what wasm2wat calls them [needs wasm2wat]', () => {
    const all = samples();
    const module = new ModuleWriter();
    for (const { wat, code } of all) module.addFunction(module.type([], [resultOf(wat)]), [], code);
    const bytes = module.finish();
    expect(WebAssembly.validate(bytes)).toBe(true);
    const file = join(mkdtempSync(join(tmpdir(), 'simd-')), 'simd.wasm');
    writeFileSync(file, bytes);
    const text = execFileSync('wasm2wat', [file]).toString();
    const last = text
      .split(/\(func \(;\d+;\)/)
      .slice(1)
      .map((body) => body.trim().replace(/\)+$/, '').split('\n').at(-1)!.trim());
    expect(last).toEqual(all.map(({ wat }) => otherName(wat)));
    expect(all.length).toBeGreaterThan(150);
  });

  it('compute', () => {
    const module = new ModuleWriter();
    module.importMemory('m', 'memory', 16);
    const cases: readonly (readonly [Code, bigint])[] = [
      [v128.const(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100n), 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100n],
      [
        i8x16.shuffle(v128.const(0x11n), v128.const(0x22n), [16, 0, ...new Array<number>(14).fill(1)]),
        0x1122n,
      ],
      [v128.load64Zero(i32.const(0), 8), 0x1122_3344_5566_7788n],
      [i32x4.replace(3, zero, i32.const(-1)), 0xffff_ffffn << 96n],
      [v128.bitSelect(v128.const(0xffn), zero, v128.const(0x3cn)), 0x3cn],
      [f64x2.replace(0, zero, f64.const(-1.5)), 0xbff8_0000_0000_0000n],
      [f32x4.replace(0, zero, f32.demote(f64.const(0.1))), 0x3dcc_cccdn],
      [i64x2.splat(f64.truncI64S(f64.const(-2.75))), (1n << 128n) - 1n - 1n - (1n << 64n)],
      [i32x4.splat(f32.bits(f32.sqrt(f32.const(2)))), 0x3fb504f3_3fb504f3_3fb504f3_3fb504f3n],
    ];
    const store = module.type([], []);
    cases.forEach(([code], i) => {
      module.exportFunction(
        `f${i}`,
        module.addFunction(store, [V128], [local.set(0, code), v128.store(i32.const(64), local.get(0))]),
      );
    });
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 16 });
    const words = new BigUint64Array(memory.buffer);
    words[1] = 0x1122_3344_5566_7788n;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { m: { memory } });
    cases.forEach(([, value], i) => {
      (exports[`f${i}`] as () => void)();
      expect(words[8]! | (words[9]! << 64n)).toBe(value);
    });
  });
});
