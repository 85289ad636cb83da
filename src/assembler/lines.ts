/**
 * The line table: which line of which file an instruction comes from.
 *
 * Hand-written code is its own source. Where a compiler says better (`.file 1 "x.c"`, `.loc 1 12`),
 * its word counts. Statements of macros and repetitions belong to the line of the body they stand on.
 */
import { VA } from '../base/index.js';
import type { LineEntry } from './program.js';
import type { Section } from './section.js';
import { type Line, originOf } from './source.js';

export class LineTable {
  readonly #names: string[] = [];
  readonly #indices = new Map<string, number>();
  readonly #files = new Map<number, string>();
  #location: { readonly file: number; readonly line: number } | undefined;

  /** `.file NUMBER "name"`. */
  nameFile(number: number, name: string): void {
    this.#files.set(number, name);
  }

  /** `.loc FILE LINE`; false where the file has no name. */
  locate(file: number, line: number): boolean {
    const name = this.#files.get(file);
    if (name === undefined) return false;
    this.#location = { file: this.#index(name), line };
    return true;
  }

  record(section: Section, offset: number, line: Line): void {
    if (this.#location !== undefined) {
      section.lines.push(offset, this.#location.file, this.#location.line);
      return;
    }
    const { source, start } = originOf({ source: line.source, start: line.start, end: line.end });
    section.lines.push(offset, this.#index(source.name), source.lineAt(start).line);
  }

  /** The entries of a section that has its address. */
  entries(section: Section): LineEntry[] {
    const out: LineEntry[] = [];
    for (let i = 0; i < section.lines.length; i += 3) {
      out.push({
        address: VA(section.address + BigInt(section.lines[i]!)),
        file: this.#names[section.lines[i + 1]!]!,
        line: section.lines[i + 2]!,
      });
    }
    return out;
  }

  #index(name: string): number {
    let index = this.#indices.get(name);
    if (index === undefined) {
      index = this.#names.length;
      this.#names.push(name);
      this.#indices.set(name, index);
    }
    return index;
  }
}
