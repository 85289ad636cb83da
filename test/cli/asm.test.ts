/**
 * `mtemu asm` and `mtemu disasm`, run in-process on files in memory.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InputError, inputError, renderDiagnostics } from '../../src/base/index.js';
import { asmCommand } from '../../src/cli/asm.js';
import type { Command, CommandIo } from '../../src/cli/command.js';
import { disasmCommand } from '../../src/cli/disasm.js';
import { readElf } from '../../src/elf/index.js';

type Files = Record<string, string | Uint8Array>;

function io(files: Files): CommandIo & { out: string; err: string } {
  return {
    out: '',
    err: '',
    color: false,
    stdout(data) {
      this.out += typeof data === 'string' ? data : new TextDecoder().decode(data);
    },
    stderr(text) {
      this.err += text;
    },
    readFile(path) {
      const found = files[path];
      if (found === undefined) throw inputError('CLI-READ', `cannot read ${path}: no such file or directory`);
      return typeof found === 'string' ? new TextEncoder().encode(found) : found;
    },
    writeFile(path, data) {
      files[path] = data;
    },
  };
}

async function run(command: Command, args: string[], files: Files = {}) {
  const host = io(files);
  try {
    const status = await command.run(args, host);
    return { status, out: host.out, err: host.err, files };
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    return { status: 2, out: host.out, err: renderDiagnostics(thrown.diagnostics), files };
  }
}

const HELLO = '_start: mov x0, #1\n b _start\n ldr x1, =0x123456789\n .data\nvalue: .word 7\n';

describe('asm', () => {
  it('writes an executable, by default to a.out', async () => {
    const { status, out, err, files } = await run(asmCommand, ['h.s'], { 'h.s': HELLO });
    expect([status, out, err]).toEqual([0, '', '']);
    const elf = readElf(files['a.out'] as Uint8Array, 'a.out');
    expect(elf.symbolAt(elf.entry)).toEqual({ name: '_start', offset: 0n });
  });

  it('writes to -o, flat or as hex', async () => {
    const files: Files = { 'h.s': HELLO };
    await run(asmCommand, ['h.s', '--format', 'bin', '-o', 'h.bin'], files);
    expect([...(files['h.bin'] as Uint8Array).subarray(0, 4)]).toEqual([0x20, 0, 0x80, 0xd2]);
    await run(asmCommand, ['--format=hex', '--output', 'h.hex', 'h.s'], files);
    expect(files['h.hex']).toBe('d2800020\n17ffffff\n58000041\n00000000\n23456789\n00000001\n00000007\n');
  });

  it('prints hex to stdout, lower case, and no warning about an entry', async () => {
    const { out, err } = await run(asmCommand, ['h.s', '--format', 'hex'], {
      'h.s': 'nop\n.word 0xABCDEF01',
    });
    expect(out).toBe('d503201f\nabcdef01\n');
    expect(err).toBe('');
  });

  it('links flat images at 0x40080000 or where it is told', async () => {
    const source = 'start: nop\n.quad start';
    expect((await run(asmCommand, ['s.s', '--format', 'hex'], { 's.s': source })).out).toBe(
      'd503201f\n40080000\n00000000\n',
    );
    const told = await run(asmCommand, ['s.s', '--format', 'hex', '--text-base', '0x80000'], {
      's.s': source,
    });
    expect(told.out).toBe('d503201f\n00080000\n00000000\n');
  });

  it('warns on stderr and still writes', async () => {
    const { status, err, files } = await run(asmCommand, ['w.s', '-o', 'w'], { 'w.s': '.byte 300\n' });
    expect(status).toBe(0);
    expect(err).toContain('warning[ASM-TRUNCATED]');
    expect(err).toContain("warning[ASM-ENTRY]: there is no symbol '_start'");
    expect(files['w']).toBeInstanceOf(Uint8Array);
  });

  it('bad input: status 2, all errors, no output', async () => {
    const { status, out, err, files } = await run(asmCommand, ['b.s', '-o', 'out'], {
      'b.s': 'bogus\nb nowhere\n',
    });
    expect(status).toBe(2);
    expect(out).toBe('');
    expect(err).toContain('b.s:1:1');
    expect(err).toContain('b.s:2:3');
    expect(files['out']).toBeUndefined();
  });

  it("includes from the file's own folder, then from -I, and takes --defsym", async () => {
    const files: Files = {
      'dir/m.s': '.include "own.inc"\n.include "far.inc"\n.word N\n.incbin "data"',
      'dir/own.inc': '.word 1',
      'inc/far.inc': '.word 2',
      'inc/data': Uint8Array.of(9, 0, 0, 0),
    };
    const args = ['dir/m.s', '--format', 'hex', '-I', 'inc', '--defsym', 'N=0x30'];
    expect((await run(asmCommand, args, files)).out).toBe('00000001\n00000002\n00000030\n00000009\n');
    const missing = await run(asmCommand, ['dir/m.s', '--defsym', 'N=1'], files);
    expect(missing.err).toContain('ASM-INCLUDE');
  });

  it('wrong usage and files that are no text', async () => {
    for (const args of [
      [],
      ['a.s', 'b.s'],
      ['a.s', '--format', 'coff'],
      ['a.s', '--text-base', 'x'],
      ['a.s', '--defsym', 'x'],
      ['a.s', '--frobnicate'],
      ['none.s'],
    ]) {
      const { status, err } = await run(asmCommand, args, { 'a.s': 'nop' });
      expect(status, args.join(' ')).toBe(2);
      expect(err).toMatch(/^error\[CLI-/);
    }
    const { err } = await run(asmCommand, ['x.s'], { 'x.s': Uint8Array.of(0x6e, 0xff, 0xfe) });
    expect(err).toContain('ASM-ENCODING');
  });
});

describe('disasm', () => {
  it('prints the text of words alone', async () => {
    const { out } = await run(disasmCommand, ['--hex', 'd9201820', '0xD65F03C0', 'ffffffff']);
    expect(out).toBe('stg x0, [x1, #16]\nret\n.inst 0xffffffff // undefined\n');
  });

  it('prints a flat file with addresses and words', async () => {
    const files = {
      'f.bin': Uint8Array.of(0x1f, 0x20, 0x03, 0xd5, 0xc0, 0x03, 0x5f, 0xd6, 0xff, 0xff, 0xff, 0xff, 7),
    };
    const { out } = await run(disasmCommand, ['f.bin', '--base', '0x40080000'], files);
    expect(out).toBe(
      [
        '40080000:\td503201f \tnop',
        '40080004:\td65f03c0 \tret',
        '40080008:\tffffffff \t.inst 0xffffffff // undefined',
        '4008000c:\t07       \t.byte 0x07',
        '',
      ].join('\n'),
    );
  });

  it('prints an executable with its labels, data as words', async () => {
    const files: Files = { 'h.s': HELLO };
    await run(asmCommand, ['h.s', '-o', 'h'], files);
    const { out } = await run(disasmCommand, ['h'], files);
    expect(out).toContain(
      'Disassembly of section .text:\n\n0000000000400158 <_start>:\n  400158:\td2800020 \tmov x0, #0x1',
    );
    expect(out).toMatch(/40015c:\t17ffffff \tb .*<_start>/);
    expect(out).toContain('.word 0x23456789');
    expect(out).not.toContain('.data');
  });

  const objdump = spawnSync('aarch64-linux-gnu-objdump', ['--version']).status === 0;
  it.skipIf(!objdump)(
    'has the addresses, words and labels of objdump -d [needs aarch64 objdump]',
    async () => {
      const scratch = mkdtempSync(join(tmpdir(), 'mtemu-disasm-'));
      const corpus = new URL('../assembler/corpus/', import.meta.url).pathname;
      let lines = 0;
      for (const name of readdirSync(corpus)) {
        const files: Files = { [name]: readFileSync(corpus + name) };
        await run(asmCommand, [name, '-o', 'x'], files);
        const path = join(scratch, 'x');
        writeFileSync(path, files['x'] as Uint8Array);
        const theirs = spawnSync('aarch64-linux-gnu-objdump', ['-d', path], { encoding: 'utf8' }).stdout;
        const code = (text: string) =>
          text
            .split('\n')
            .flatMap((l) => /^\s*([0-9a-f]+):\t([0-9a-f]{8}) \t(?!\.)/.exec(l)?.slice(1, 3).join(' ') ?? []);
        const mine = (await run(disasmCommand, ['x'], files)).out;
        expect(code(mine), name).toEqual(code(theirs));
        lines += code(mine).length;
      }
      rmSync(scratch, { recursive: true, force: true });
      expect(lines).toBeGreaterThan(200);
    },
  );

  it('wrong usage and bad files', async () => {
    for (const args of [
      [],
      ['--hex'],
      ['--hex', 'xyz'],
      ['--hex', '123456789'],
      ['a', 'b'],
      ['none'],
      ['a', '--base', 'q'],
    ]) {
      const { status, err } = await run(disasmCommand, args, { a: Uint8Array.of(1, 2, 3, 4) });
      expect(status, args.join(' ')).toBe(2);
      expect(err).toMatch(/^error\[CLI-/);
    }
    const { status, err } = await run(disasmCommand, ['x.elf'], {
      'x.elf': Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 1),
    });
    expect(status).toBe(2);
    expect(err).toContain('x.elf (byte');
  });
});
