import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  DEFAULT_FEATURES,
  genericName,
  idRegisterValue,
  SYSTEM_OPERATIONS,
  SYSTEM_REGISTERS,
  systemOperationByEncoding,
  systemOperationByName,
  systemRegisterByEncoding,
  systemRegisterByName,
  systemRegisterName,
} from '../../isa/index.js';

import { AS, gnuAs, hasTool } from './oracle.js';

const OBJDUMP = 'aarch64-linux-gnu-objdump';
/** No one architecture has all registers: those of Armv8-R are A-profile's other half. */
const ARCHITECTURES = ['armv9.3-a+memtag+rng+ssbs+sve2+sme+profile+fp16+predres', 'armv8-r'] as const;

function has(tool: string): boolean {
  try {
    execFileSync(tool, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The texts objdump gives these words. */
function objdump(words: readonly number[]): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'mtemu-sysregs-'));
  try {
    const file = join(dir, 'words.bin');
    writeFileSync(file, Uint8Array.from(new Uint8Array(Uint32Array.from(words).buffer)));
    const text = execFileSync(OBJDUMP, ['-D', '-b', 'binary', '-m', 'aarch64', file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    return text
      .split('\n')
      .filter((line) => /^\s+[0-9a-f]+:\t/.test(line))
      .map((line) => line.split('\t').slice(2).join(' ').trim());
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe('system registers', () => {
  it('have unique names and an encoding of op0 2 or 3', () => {
    expect(new Set(SYSTEM_REGISTERS.map((r) => r.name)).size).toBe(SYSTEM_REGISTERS.length);
    expect(SYSTEM_REGISTERS.filter((r) => r.encoding < 0x8000 || r.encoding > 0xffff)).toEqual([]);
  });

  it('are found by name in either case, by generic name and by encoding', () => {
    const sctlr = systemRegisterByName('SCTLR_EL1');
    expect(sctlr?.encoding).toBe(0xc080);
    expect(systemRegisterByName('s3_0_c1_c0_0')).toBe(sctlr);
    expect(systemRegisterByEncoding(0xc080)).toBe(sctlr);
    expect(systemRegisterByName('s3_7_c15_c15_7')).toMatchObject({ nameOnly: true, encoding: 0xffff });
    expect(systemRegisterByName('s3_8_c0_c0_0')).toBeUndefined();
    expect(systemRegisterByName('sctlr_el9')).toBeUndefined();
    expect(genericName(0xc080)).toBe('s3_0_c1_c0_0');
  });

  it('tell DBGDTRRX from DBGDTRTX by direction', () => {
    expect(systemRegisterName(0x9828, 'read')).toBe('dbgdtrrx_el0');
    expect(systemRegisterName(0x9828, 'write')).toBe('dbgdtrtx_el0');
  });

  it('keep reset values within their RES masks', () => {
    for (const r of SYSTEM_REGISTERS) {
      if (r.kind !== 'cell') continue;
      const kept = BigInt.asUintN(64, (r.reset & ~r.res0) | r.res1);
      expect(kept, r.name).toBe(BigInt.asUintN(64, r.reset | r.res1));
    }
  });

  it('announce exactly the features the machine has', () => {
    const all = new Set<string>(DEFAULT_FEATURES);
    const pfr1 = idRegisterValue('id_aa64pfr1_el1', (f) => all.has(f));
    expect(pfr1 & 0xfffn).toBe(0x321n);
    expect(idRegisterValue('id_aa64pfr1_el1', (f) => f === 'FEAT_MTE')).toBe(0x100n);
    expect(idRegisterValue('id_aa64pfr0_el1', () => false)).toBe(0xff1111n);
    expect(idRegisterValue('id_aa64pfr0_el1', (f) => f === 'FEAT_FP' || f === 'FEAT_AdvSIMD')).toBe(0x1111n);
    expect(idRegisterValue('id_aa64pfr0_el1', (f) => f.startsWith('FEAT_FP') || f === 'FEAT_AdvSIMD')).toBe(
      0x111111n,
    );
    expect(idRegisterValue('id_aa64isar0_el1', (f) => all.has(f)) & 0xf00000n).toBe(0x200000n);
  });

  it.skipIf(!hasTool(AS))(
    'are known to GNU as by these names and encodings, every row [needs binutils]',
    () => {
      const moves = SYSTEM_REGISTERS.flatMap((row) => [
        ...(row.access === 'wo' ? [] : [{ row, line: `mrs x1, ${row.name}`, opcode: 0xd5200001 }]),
        ...(row.access === 'ro' ? [] : [{ row, line: `msr ${row.name}, x1`, opcode: 0xd5000001 }]),
      ]);
      const lines = moves.map(({ line }) => line);
      const words = ARCHITECTURES.map((march) => gnuAs(lines, march));
      const wrong = moves.flatMap(({ row, line, opcode }, i) => {
        const wanted = (opcode | (row.encoding << 5)) >>> 0;
        return words.some((of) => of[i] === wanted) ? [] : [`${line}: ${words.map((of) => of[i])}`];
      });
      expect(moves.length).toBeGreaterThan(1000);
      expect(wrong).toEqual([]);
    },
  );

  it.skipIf(!has(OBJDUMP))('have the names binutils prints, all of them [needs binutils]', () => {
    const words: number[] = [];
    for (const L of [1, 0]) {
      for (let e = 0x8000; e < 0x10000; e++) words.push(0xd5000000 + L * 0x200000 + e * 32);
    }
    // op0 2 and 3 are encoded by o0; bit 20 is always one.
    const texts = objdump(words.map((w) => w >>> 0));
    const wrong: string[] = [];
    texts.forEach((text, i) => {
      const e = 0x8000 + (i % 0x8000);
      const read = i < 0x8000;
      const name = read ? /^mrs x0, (\S+)/.exec(text)?.[1] : /^msr (\S+), x0/.exec(text)?.[1];
      if (name === undefined) return;
      const ours = systemRegisterName(e, read ? 'read' : 'write');
      if (ours !== name) wrong.push(`${name}: ours is ${ours}`);
    });
    expect(texts.length).toBe(words.length);
    expect(wrong).toEqual([]);
  });
});

describe('system operations', () => {
  it('are found by name and by encoding', () => {
    const civac = systemOperationByName('DC', 'CIVAC');
    expect(civac?.encoding).toBe(0x5bf1);
    expect(systemOperationByEncoding(0x5bf1)).toBe(civac);
    expect(systemOperationByName('tlbi', 'vmalle1is')).toMatchObject({ hasOperand: false, el: 1 });
    expect(systemOperationByName('dc', 'nothing')).toBeUndefined();
  });

  it.skipIf(!has(OBJDUMP))('have the names binutils prints, all of them [needs binutils]', () => {
    const words: number[] = [];
    for (let e = 0x4000; e < 0x8000; e++) words.push((0xd5000000 + e * 32 + 1) >>> 0);
    const found = new Map<number, string>();
    objdump(words).forEach((text, i) => {
      const match = /^(dc|ic|at|tlbi|cfp|dvp|cpp) ([a-z0-9]+)(, x1)?$/.exec(text);
      if (match) found.set(0x4000 + i, `${match[1]} ${match[2]}`);
    });
    const ours = new Map(SYSTEM_OPERATIONS.map((o) => [o.encoding, `${o.group} ${o.name}`]));
    // With x1 binutils leaves out the operand only where the operation has none.
    expect([...found].filter(([e, text]) => ours.get(e) !== text)).toEqual([]);
    expect([...ours].filter(([e, text]) => found.get(e) !== text)).toEqual([]);
  });
});
