/**
 * The tools that know A64 besides us: GNU as and objdump, llvm-mc. Each helper runs its tool once over
 * all the lines or words it is given, because starting a process costs more than a thousand lines.
 *
 * Normalisation of `objdump -d` text, the only one made anywhere: the tab after the mnemonic becomes a
 * space, comments (`// #-1`, `// b.none`) and symbol names (`<main+0x4>`) go, and every undefined word
 * is `.inst 0x........ // undefined`, which is how mtemu writes it.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The address words are placed at: far from 0, so that ADRP reaches both ways. */
export const BASE = 0x2_0000_0000n;

export const AS = 'aarch64-linux-gnu-as';
export const LD = 'aarch64-linux-gnu-ld';
export const OBJDUMP = 'aarch64-linux-gnu-objdump';
export const LLVM_MC = 'llvm-mc-14';

/** What GNU as is told to know: our features, named as it names them. */
export const GNU_MARCH =
  'armv8.5-a+memtag+rng+sb+ssbs+predres+profile+fp16+fp16fml+rdma+dotprod+aes+sha2+sha3+hbc';
export const LLVM_MATTR =
  '+v8.5a,+mte,+rand,+ssbs,+sb,+predres,+spe,+crc,+lse,+pauth,+flagm,+altnzcv,+ras,+fullfp16,+fp16fml,+rdm,+dotprod,+aes,+sha2,+sha3,+hbc';

export function hasTool(name: string): boolean {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0;
}

function run(command: string, args: readonly string[], input?: string): { out: string; err: string } {
  const result = spawnSync(command, args, { input, encoding: 'utf8', maxBuffer: 1 << 30 });
  if (result.error !== undefined) throw result.error;
  return { out: result.stdout, err: result.stderr };
}

function inScratch<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'mtemu-oracle-'));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export const undefinedText = (word: number): string =>
  `.inst 0x${(word >>> 0).toString(16).padStart(8, '0')} // undefined`;

/** The normalised text of one `objdump -d` instruction (what stands after the word). */
export function normalizeObjdump(text: string, word: number): string {
  if (/; undefined$|NYI/.test(text)) return undefinedText(word);
  return text
    .replace(/\s*\/\/ .*$/, '')
    .replace(/\s+<[^>]*>$/, '')
    .replace('\t', ' ')
    .trim();
}

/** objdump's text of each word, the first at BASE. */
export function objdump(words: ArrayLike<number>): string[] {
  return inScratch((directory) => {
    const file = join(directory, 'words.bin');
    writeFileSync(file, new Uint8Array(Uint32Array.from(words).buffer));
    const { out } = run(OBJDUMP, [
      '-D',
      '-z',
      '-b',
      'binary',
      '-m',
      'aarch64',
      `--adjust-vma=0x${BASE.toString(16)}`,
      file,
    ]);
    const texts: string[] = [];
    for (const line of out.split('\n')) {
      const match = /^ *[0-9a-f]+:\t([0-9a-f]{8}) \t(.*)$/.exec(line);
      if (match !== null) texts.push(normalizeObjdump(match[2]!, Number.parseInt(match[1]!, 16)));
    }
    if (texts.length !== words.length)
      throw new Error(`objdump gave ${texts.length} of ${words.length} lines`);
    return texts;
  });
}

const TARGET = /^((?:bl?|b[a-z.]+|cbn?z|tbn?z|adrp?|ldr|ldrsw|prfm) .*?)0x([0-9a-f]+)$/;

/** `text` with its absolute PC-relative target, if it has one, written by `write` from the distance. */
function retarget(text: string, pc: bigint, write: (distance: bigint, page: boolean) => string): string {
  const match = TARGET.exec(text);
  if (match === null || !/[ ,] ?$/.test(match[1]!)) return text;
  const page = text.startsWith('adrp');
  const target = BigInt(`0x${match[2]}`);
  return match[1]! + write(target - (page ? pc & ~0xfffn : pc), page);
}

/** The words GNU as makes of the lines, the first at BASE; its message where it refuses the line. */
export function gnuAs(lines: readonly string[], march = GNU_MARCH): (number | string)[] {
  return inScratch((directory) => {
    const source = join(directory, 'lines.s');
    const object = join(directory, 'lines.o');
    const image = join(directory, 'lines.elf');
    const binary = join(directory, 'lines.bin');
    const refused = new Map<number, string>();
    const text = () =>
      lines.map((line, at) => {
        if (refused.has(at)) return '.inst 0';
        const pc = BASE + 4n * BigInt(at);
        return retarget(line, pc, (distance, page) => {
          const offset = page ? distance - (pc & 0xfffn) : distance;
          return `. ${offset < 0n ? '-' : '+'} ${offset < 0n ? -offset : offset}`;
        });
      });
    for (;;) {
      writeFileSync(source, `${text().join('\n')}\n`);
      const { err } = run(AS, [`-march=${march}`, source, '-o', object]);
      const before = refused.size;
      for (const match of err.matchAll(/:(\d+): Error: (.*)/g)) refused.set(Number(match[1]) - 1, match[2]!);
      if (refused.size === before) break;
    }
    run(LD, [`-Ttext=0x${BASE.toString(16)}`, '-e', '0', object, '-o', image]);
    run('aarch64-linux-gnu-objcopy', ['-O', 'binary', '-j', '.text', image, binary]);
    const bytes = readFileSync(binary);
    return lines.map((_, at) => refused.get(at) ?? bytes.readUInt32LE(4 * at));
  });
}

/** The words llvm-mc makes of the lines, the first at BASE; its message where it refuses the line. */
export function llvmMc(lines: readonly string[]): (number | string)[] {
  const text = lines.map((line, at) =>
    retarget(line, BASE + 4n * BigInt(at), (distance) => `#${distance}`).replace(' // undefined', ''),
  );
  const { out, err } = run(
    LLVM_MC,
    ['-triple=aarch64', `-mattr=${LLVM_MATTR}`, '-show-encoding'],
    `${text.join('\n')}\n`,
  );
  const refused = new Map<number, string>();
  for (const match of err.matchAll(/^<stdin>:(\d+):\d+: error: (.*)/gm)) {
    refused.set(Number(match[1]) - 1, match[2]!);
  }
  const encoded: number[] = [];
  for (const match of out.matchAll(/encoding: \[0x(..),0x(..),0x(..),0x(..)\]/g)) {
    encoded.push(Number.parseInt(`${match[4]}${match[3]}${match[2]}${match[1]}`, 16));
  }
  if (encoded.length !== lines.length - refused.size) {
    throw new Error(`llvm-mc gave ${encoded.length} encodings of ${lines.length - refused.size}`);
  }
  let next = 0;
  return lines.map((_, at) => refused.get(at) ?? encoded[next++]!);
}

/** llvm-mc's time grows with the square of the lines it complains about. */
const LLVM_CHUNK = 25_000;

/** Whether llvm-mc's disassembler knows each word (with our features on). */
export function llvmDefined(words: readonly number[]): boolean[] {
  const out: boolean[] = [];
  for (let from = 0; from < words.length; from += LLVM_CHUNK) {
    const lines = words
      .slice(from, from + LLVM_CHUNK)
      .map((word) => [0, 8, 16, 24].map((shift) => `0x${((word >>> shift) & 255).toString(16)}`).join(' '));
    const { err } = run(
      LLVM_MC,
      ['-triple=aarch64', `-mattr=${LLVM_MATTR}`, '-disassemble'],
      `${lines.join('\n')}\n`,
    );
    const unknown = new Set<number>();
    for (const match of err.matchAll(/^<stdin>:(\d+):\d+: warning: invalid/gm)) {
      unknown.add(Number(match[1]) - 1);
    }
    for (const at of lines.keys()) out.push(!unknown.has(at));
  }
  return out;
}
