/**
 * The house rules that no compiler checks: imports go down only, `node:` stays in the faces, public
 * surfaces are index.ts, files keep their size.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('..', import.meta.url).pathname;

/** Lower floors first; a folder may import from its own floor's folder and from those before it. */
const FLOORS: readonly (readonly string[])[] = [
  ['src/base'],
  ['isa'],
  ['src/assembler', 'src/devicetree', 'src/elf'],
  ['src/machine'],
  ['src/engine'],
  ['src/kernel'],
  ['src/lab'],
  ['src/cli', 'src/web', 'src/gdb'],
];

/** The kernel's own floors, likewise. */
const KERNEL_FLOORS: readonly (readonly string[])[] = [
  ['src/kernel/contexts'],
  ['src/kernel/arch/pgtable'],
  ['src/kernel/mm'],
  ['src/kernel/arch', 'src/kernel/tag-storage'],
  ['src/kernel/report', 'src/kernel/fs'],
  ['src/kernel/net', 'src/kernel/ipc', 'src/kernel/tty'],
  ['src/kernel/process'],
  ['src/kernel/syscalls'],
];

/** Firmware texts and trees are data that the board and the faces embed; the build makes the interpreter. */
const DATA = [
  'firmware',
  'dts',
  'package.json',
  'dist/interpreter.wasm',
  'dist/vectors.wasm',
  'dist/floats.wasm',
];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(folder, name));
}

const FILES = [...sources('src'), ...sources('isa')];

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const out: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)) {
    const target = match[2]!;
    const to = target.startsWith('.') ? relative(ROOT, normalize(join(ROOT, dirname(file), target))) : target;
    out.push({ from: file, to: to.replace(/\.js$/, '.ts'), typeOnly: match[1] !== undefined });
  }
  return out;
}

const IMPORTS = FILES.flatMap(importsOf);

/** The index of the most specific floor that holds `path`, or -1. */
function floorOf(path: string, floors: readonly (readonly string[])[]): number {
  let best = -1;
  let length = -1;
  floors.forEach((folders, level) => {
    for (const folder of folders) {
      if ((path === `${folder}.ts` || path.startsWith(`${folder}/`)) && folder.length > length) {
        best = level;
        length = folder.length;
      }
    }
  });
  return best;
}

function folderOf(path: string, floors: readonly (readonly string[])[]): string | undefined {
  return floors[floorOf(path, floors)]?.find((f) => path === `${f}.ts` || path.startsWith(`${f}/`));
}

describe('the house', () => {
  it('has files to check', () => {
    expect(FILES.length).toBeGreaterThan(20);
    expect(IMPORTS.length).toBeGreaterThan(20);
  });

  it('imports go down only', () => {
    const wrong = IMPORTS.filter(({ from, to }) => {
      if (!to.startsWith('src/') && !to.startsWith('isa')) return false;
      const above = floorOf(from, FLOORS);
      const below = floorOf(to, FLOORS);
      if (above < 0) return from !== 'src/index.ts';
      if (above === below) return folderOf(from, FLOORS) !== folderOf(to, FLOORS);
      return below < 0 || below > above;
    });
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('imports inside the kernel go down only', () => {
    const wrong = IMPORTS.filter(({ from, to }) => {
      if (!from.startsWith('src/kernel/') || !to.startsWith('src/kernel/')) return false;
      const above = floorOf(from, KERNEL_FLOORS);
      const below = floorOf(to, KERNEL_FLOORS);
      if (above < 0) return false;
      return below < 0 || below > above;
    });
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('reaches another folder through its index only', () => {
    const wrong = IMPORTS.filter(({ from, to }) => {
      const mine = folderOf(from, FLOORS);
      const theirs = folderOf(to, FLOORS);
      if (theirs === undefined || mine === theirs || !to.startsWith(`${theirs}/`)) return false;
      return !to.endsWith('/index.ts');
    });
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('keeps node: imports in the faces', () => {
    const wrong = IMPORTS.filter(({ from, to }) => to.startsWith('node:') && !/^src\/(cli|gdb)\//.test(from));
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('imports nothing from outside but the chosen packages', () => {
    const allowed = new Set(['arcsecond', 'long']);
    const wrong = IMPORTS.filter(
      ({ to }) =>
        !to.startsWith('src/') &&
        !to.startsWith('isa') &&
        !to.startsWith('node:') &&
        !DATA.some((d) => to === d || to.startsWith(`${d}/`)) &&
        !allowed.has(to),
    );
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('keeps files readable: at most 1000 lines, each with a head paragraph', () => {
    const wrong = FILES.filter((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      const lines = text.split('\n').length;
      return lines > 1000 || !/^(#!.*\n)?(import [^\n]*\n|import [^;]*;\n|\n)*\/\*\*/.test(text);
    });
    expect(wrong).toEqual([]);
  });
});
