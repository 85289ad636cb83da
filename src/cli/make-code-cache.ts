/**
 * The last step of the build: stamps the program's text and writes its code cache.
 *
 * The cache holds the functions that have been compiled when it is made, so everyday commands run first.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CACHE_FILE, loadProgram, PROGRAM_FILE, packCache, stamped, stampOf } from './code-cache.js';
import type { CommandIo } from './command.js';

/** Uses what most runs use: assembler, kernel, files, tag checks with their report; bare programs. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'checked.s': `
        .global _start
_start: mov     x0, #1
        adr     x1, text
        mov     x2, #5
        mov     x8, #64
        svc     #0
        mov     x0, #0
        mov     x1, #4096
        mov     x2, #0x23
        mov     x3, #0x22
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #222
        svc     #0
        irg     x0, x0
        stg     x0, [x0]
        ldr     x1, [x0, #16]
text:   .ascii  "mtemu"
`,
  // Long enough for generated code.
  'loop.s': `
        .global _start
_start: mov     x1, #60000
        sub     sp, sp, #32
1:      ldp     x2, x3, [sp]
        add     x2, x2, x1, lsl #1
        stp     x2, x3, [sp]
        fmov    d0, x2
        add     v1.4s, v1.4s, v0.4s
        str     q1, [sp, #16]
        bl      2f
        subs    x1, x1, #1
        b.ne    1b
        mov     x0, #0
        mov     x8, #93
        svc     #0
2:      tbz     x1, #3, 3f
        eor     w4, w4, w1
3:      ret
`,
  'exit.s': `
        .global _start
_start: mov     x0, #0
        mov     x8, #93
        svc     #0
`,
};

const COMMANDS: readonly (readonly string[])[] = [
  ['run', 'exit.s'],
  ['run', '--stats', 'checked.s'],
  ['run', 'exit.elf'],
  ['run', 'loop.s'],
  ['run', '--bare', '--max-steps', '100', 'exit.s'],
  ['disasm', '--hex', 'd9200800'],
  ['--help'],
];

/** Stamps the program in `folder` and writes its cache. */
export async function makeCodeCache(path: string): Promise<void> {
  const folder = `${resolve(path)}/`;
  const text = folder + PROGRAM_FILE;
  rmSync(folder + CACHE_FILE, { force: true });
  const source = readFileSync(text, 'latin1');
  let hash = stampOf(source);
  if (hash === undefined) {
    hash = createHash('sha256').update(source).digest('hex');
    writeFileSync(text, stamped(source, hash), 'latin1');
  }
  const { program, script } = loadProgram(folder);
  const files = new Map<string, Uint8Array>();
  for (const [name, program] of Object.entries(PROGRAMS)) files.set(name, new TextEncoder().encode(program));
  const io: CommandIo = {
    stdout() {},
    stderr() {},
    readFile: (name) => files.get(name) ?? new Uint8Array(),
    writeFile(name, data) {
      files.set(name, typeof data === 'string' ? new TextEncoder().encode(data) : data);
    },
    color: false,
  };
  await program.dispatch(['asm', 'exit.s', '-o', 'exit.elf'], io);
  for (const command of COMMANDS) await program.dispatch(command, io);
  writeFileSync(folder + CACHE_FILE, packCache(hash, program.assembledFirmware(), script.createCachedData()));
}
