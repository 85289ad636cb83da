/**
 * What a generated module was made for: the instruction set's rows and every place that the module and the
 * TypeScript around it agree on. A module with another fingerprint is of another build, and would run wild.
 *
 * It covers the layouts and the rows' encodings, not the code that is made from them: the build makes both
 * together, and this is what tells that they were not.
 */
import { ROWS, SYSTEM_REGISTERS } from '../../../isa/index.js';
import {
  CPU_STATE_BASE,
  CPU_STATE_SIZE,
  CpuLayout,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
} from '../../machine/index.js';
import * as layout from './layout.js';

export const FINGERPRINT_SECTION = 'fingerprint';

/** Two 32-bit sums (FNV-1a and a rotated one). */
class Sum {
  #a = 0x811c_9dc5;
  #b = 0x9e37_79b9;

  add(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x0100_0193);
    this.#b = Math.imul((this.#b << 7) | (this.#b >>> 25), 0x85eb_ca6b) ^ word;
  }

  addText(text: string): void {
    for (let i = 0; i < text.length; i++) this.add(text.charCodeAt(i));
  }

  get digits(): string {
    return [this.#a, this.#b].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }
}

let known: string | undefined;

/** The fingerprint of this program: 16 hexadecimal digits. Every run that gets to generated code asks for it. */
export function fingerprint(): string {
  if (known === undefined) {
    const sum = new Sum();
    // In the order of their names: a module's own order is the bundler's.
    const own = Object.entries(layout).sort(([a], [b]) => (a < b ? -1 : 1));
    sum.addText(
      JSON.stringify([own, CpuLayout, CPU_STATE_BASE, CPU_STATE_SIZE, TLB_ENTRIES, TLB_ENTRY_BYTES]),
    );
    for (const { mask, value } of ROWS) {
      sum.add(mask);
      sum.add(value);
    }
    // Cells are in the order of the table.
    for (const { encoding } of SYSTEM_REGISTERS) sum.add(encoding);
    known = sum.digits;
  }
  return known;
}

/** Throws Error where the module with these custom sections was made for another program. */
export function checkFingerprint(module: WebAssembly.Module): void {
  const [section] = WebAssembly.Module.customSections(module, FINGERPRINT_SECTION);
  const found = section === undefined ? 'none' : new TextDecoder().decode(section);
  if (found !== fingerprint()) {
    throw new Error(
      `the generated interpreter is of another build (its fingerprint is ${found}, the program's ${fingerprint()}); npm run build makes it anew`,
    );
  }
}
