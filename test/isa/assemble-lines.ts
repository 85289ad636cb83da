/**
 * Lines through mtemu's own assembler, each placed where the caller says.
 */

import { assemble, toFlat } from '../../src/assembler/index.js';
import { InputError, VA } from '../../src/base/index.js';

function assembleAt(lines: readonly string[], base: bigint): number[] | string {
  const text = `${lines.join('\n')}\n`;
  try {
    const program = assemble({ name: 'lines.s', text }, { textBase: base, layout: 'flat' });
    const image = toFlat(program, VA(base));
    const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
    return lines.map((_, at) => view.getUint32(4 * at, true));
  } catch (error) {
    if (error instanceof InputError) return error.diagnostics[0]!.message;
    throw error;
  }
}

/** The word of one line at `pc`; a string says why there is none. */
export function encodeLine(line: string, pc: bigint): number | string {
  const words = assembleAt([line], pc);
  return typeof words === 'string' ? words : words[0]!;
}

/** Lines per run of the assembler: one wrong line costs a run of each line of its group. */
const GROUP = 64;

/** The words of lines that follow each other from `base`; a string says why a line has none. */
export function encodeLines(lines: readonly string[], base: bigint): (number | string)[] {
  const whole = assembleAt(lines, base);
  if (typeof whole !== 'string') return whole;
  const out: (number | string)[] = [];
  for (let from = 0; from < lines.length; from += GROUP) {
    const group = lines.slice(from, from + GROUP);
    const at = base + 4n * BigInt(from);
    const words = assembleAt(group, at);
    if (typeof words !== 'string') out.push(...words);
    else for (const [i, line] of group.entries()) out.push(encodeLine(line, at + 4n * BigInt(i)));
  }
  return out;
}
