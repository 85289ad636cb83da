/**
 * The benchmarks of the tools: assembling and compiling device trees, beside GNU as and dtc where they
 * are installed, and how the time grows with the size of the input.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assemble } from '../assembler/index.js';
import { compileDts, printDts, readDtb } from '../devicetree/index.js';

export interface ToolMeasurement {
  readonly name: string;
  readonly lines: number;
  readonly seconds: number;
  readonly rival: string | undefined;
  /** Time divided by the rival's, process start included in the rival's. */
  readonly ratio: number | undefined;
  /** Time a line at the full size divided by that at a quarter of it: 1 is linear. */
  readonly growth: number;
}

/** A source of `lines` lines in the style of compiled code: labels, branches, loads, literals, directives. */
export function assemblySource(lines: number): string {
  const out = ['        .text', '        .global _start', '_start:'];
  for (let i = 0; out.length < lines; i++) {
    out.push(
      `label${i}:`,
      `        add     x${i % 28}, x${(i + 1) % 28}, #${i % 4096}`,
      `        ldr     x${i % 28}, [x${(i + 2) % 28}, #${(i % 512) * 8}]`,
      `        and     w${i % 28}, w${(i + 3) % 28}, #0xff00ff`,
      `        cbz     x${i % 28}, label${Math.max(0, i - 100)}`,
      `        stp     x29, x30, [sp, #-${16 * (1 + (i % 31))}]!`,
      `        adrp    x${i % 28}, table // a comment`,
      `        add     x${i % 28}, x${i % 28}, :lo12:table + ${i % 64}`,
    );
  }
  out.push('        .data', 'table:  .zero 128', '');
  return out.join('\n');
}

/** Nodes on a bus: dtc's parser has no room for tens of thousands of siblings. */
const NODES_PER_BUS = 100;

/** A tree of about `lines` lines: buses of nodes with the properties of real boards. */
export function treeSource(lines: number): string {
  const out = ['/dts-v1/;', '/ {', '\t#address-cells = <2>;', '\t#size-cells = <2>;'];
  for (let i = 0; out.length < lines; i++) {
    const address = (0x1000_0000 + i * 0x1000).toString(16);
    if (i % NODES_PER_BUS === 0) {
      if (i > 0) out.push('\t};');
      out.push(`\tbus${i} {`, '\t\t#address-cells = <2>;', '\t\t#size-cells = <2>;', '\t\tranges;');
    }
    out.push(
      `\t\tdevice${i}: device@${address} {`,
      '\t\t\tcompatible = "vendor,device", "vendor,base";',
      `\t\t\treg = <0x0 0x${address} 0x0 (0x800 * 2)>;`,
      `\t\t\tclocks = <&device${i > 0 ? i - 1 : 0}>;`,
      '\t\t\tstatus = "okay"; /* in use */',
      '\t\t};',
    );
  }
  out.push('\t};', '};', '');
  return out.join('\n');
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

function measureTool(
  name: string,
  lines: number,
  source: (lines: number) => string,
  own: (text: string) => void,
  rival: { readonly command: string; readonly args: readonly string[]; readonly file: string },
  folder: string,
): ToolMeasurement {
  const full = source(lines);
  const quarter = source(lines / 4);
  // Once to warm up, so that the growth is the work's and not the compiler's.
  own(quarter);
  const small = timed(() => own(quarter));
  const seconds = timed(() => own(full));
  const file = join(folder, rival.file);
  writeFileSync(file, full);
  let theirs: number | undefined;
  if (spawnSync(rival.command, ['--version']).status === 0) {
    let refused = false;
    theirs = timed(() => {
      refused = spawnSync(rival.command, [...rival.args, file], { maxBuffer: 2 ** 28 }).status !== 0;
    });
    // A rival that cannot do the work is none.
    if (refused) theirs = undefined;
  }
  return {
    name,
    lines,
    seconds,
    rival: theirs === undefined ? undefined : rival.command,
    ratio: theirs === undefined ? undefined : seconds / theirs,
    growth: seconds / 4 / small,
  };
}

/** How many of the largest real trees are compiled. */
const LARGEST = 20;

/** The largest blobs below `root`, decompiled: `MTEMU_REAL_DTBS` names a folder of them. */
function largestRealTrees(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.dtb'))
    .map((name) => ({ name, size: statSync(join(root, name)).size }))
    .sort((a, b) => b.size - a.size)
    .slice(0, LARGEST)
    .map(({ name }) => printDts(readDtb(readFileSync(join(root, name)), name)));
}

function measureRealTrees(root: string, folder: string): ToolMeasurement {
  const sources = largestRealTrees(root);
  const own = (texts: readonly string[]) => {
    for (const [i, text] of texts.entries()) compileDts({ name: `${i}.dts`, text }, {});
  };
  const quarter = sources.filter((_, i) => i % 4 === 0);
  own(quarter);
  const small = timed(() => own(quarter));
  const seconds = timed(() => own(sources));
  const length = (texts: readonly string[]) => texts.reduce((sum, text) => sum + text.split('\n').length, 0);
  let theirs: number | undefined;
  if (spawnSync('dtc', ['--version']).status === 0) {
    theirs = timed(() => {
      for (const text of sources) {
        const file = join(folder, 'real.dts');
        writeFileSync(file, text);
        spawnSync('dtc', ['-q', '-O', 'dtb', '-o', '/dev/null', file]);
      }
    });
  }
  return {
    name: `compile the ${sources.length} largest real trees`,
    lines: length(sources),
    seconds,
    rival: theirs === undefined ? undefined : 'dtc',
    ratio: theirs === undefined ? undefined : seconds / theirs,
    growth: seconds / length(sources) / (small / length(quarter)),
  };
}

/** Measures both tools; files go to `folder`. */
export function measureTools(folder: string): ToolMeasurement[] {
  const real = process.env['MTEMU_REAL_DTBS'];
  return [
    ...(real === undefined ? [] : [measureRealTrees(real, folder)]),
    measureTool(
      'assemble',
      100_000,
      assemblySource,
      (text) => assemble({ name: 'bench.s', text }, {}),
      { command: 'aarch64-linux-gnu-as', args: ['-o', '/dev/null'], file: 'bench.s' },
      folder,
    ),
    measureTool(
      'compile a device tree',
      200_000,
      treeSource,
      (text) => compileDts({ name: 'bench.dts', text }, {}),
      { command: 'dtc', args: ['-q', '-O', 'dtb', '-o', '/dev/null'], file: 'bench.dts' },
      folder,
    ),
  ];
}
