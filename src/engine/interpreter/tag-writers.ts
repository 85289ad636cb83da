/**
 * Who wrote which tag last, as generated code remembers it: a table in linear memory, found by the
 * granule's place in host memory.
 *
 * Generated code leaves a tag store to the evaluator where the entry belongs to another granule, so
 * that nothing in the table is ever older than what the memory system was told.
 */
import { CHUNK, type Machine, OutOfHostMemory, ZERO_CHUNK } from '../../machine/index.js';
import { TAG_WRITER_ENTRIES, TagWriterEntry } from './layout.js';

/** Instead of a table: there is no room for one, and the evaluator does tag stores. */
export const NO_TAG_WRITERS = 1;

/** Makes the table and gives its host offset for the cell; NO_TAG_WRITERS where there is no room for it. */
export function makeTagWriters(machine: Machine): number {
  const { linear, dram, memory } = machine;
  let table: number;
  try {
    table = linear.allocate(TAG_WRITER_ENTRIES * TagWriterEntry.BYTES);
  } catch (thrown) {
    if (thrown instanceof OutOfHostMemory) return NO_TAG_WRITERS;
    throw thrown;
  }
  /** The table's entry for a granule, and the granule's key; undefined where it has no place in host memory. */
  const entryOf = (pa: number): { readonly at: number; readonly key: number } | undefined => {
    if (!dram.contains(pa)) return undefined;
    const host = dram.hostForRead(pa);
    if (host >= ZERO_CHUNK && host < ZERO_CHUNK + CHUNK) return undefined;
    const key = host >>> 4;
    return { at: table + (key & (TAG_WRITER_ENTRIES - 1)) * TagWriterEntry.BYTES, key };
  };
  memory.tagWritersOfEngine = {
    find: (pa) => {
      const entry = entryOf(pa);
      if (entry === undefined) return undefined;
      const { at, key } = entry;
      if (linear.u32[(at + TagWriterEntry.GRANULE) >>> 2] !== key) return undefined;
      const tags = linear.u32[(at + TagWriterEntry.TAGS) >>> 2]!;
      return {
        pc: linear.u64[(at + TagWriterEntry.PC) >>> 3]!,
        step: linear.u64[(at + TagWriterEntry.STEP) >>> 3]!,
        before: tags & 15,
        after: (tags >> 8) & 15,
      };
    },
    note: (pa, { pc, step, before, after }) => {
      const entry = entryOf(pa);
      if (entry === undefined) return false;
      const { at, key } = entry;
      const known = linear.u32[(at + TagWriterEntry.GRANULE) >>> 2];
      if (known !== 0 && known !== key) return false;
      linear.u32[(at + TagWriterEntry.GRANULE) >>> 2] = key;
      linear.u32[(at + TagWriterEntry.TAGS) >>> 2] = before | (after << 8);
      linear.u64[(at + TagWriterEntry.PC) >>> 3] = pc;
      linear.u64[(at + TagWriterEntry.STEP) >>> 3] = step;
      return true;
    },
  };
  return table;
}
