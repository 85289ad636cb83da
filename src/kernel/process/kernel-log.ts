/**
 * The kernel's log (dmesg): its latest lines, with the time each was said, for syslog(2).
 *
 * Ref. kernel/printk/printk.c.
 */
import { bytesOfText } from '../../base/index.js';

/** 1 << CONFIG_LOG_BUF_SHIFT, and lines kept at most. */
export const LOG_BUFFER_BYTES = 1 << 17;
const MOST_LINES = 1024;
/** KERN_INFO. */
const PREFIX = '<6>';

export class KernelLog {
  readonly #lines: Uint8Array[] = [];
  /** Lines before it were cleared, and were read. */
  #cleared = 0;
  #read = 0;

  /** @param at nanoseconds since boot. */
  add(at: bigint, text: string): void {
    const us = at / 1000n;
    const time = `${us / 1_000_000n}.${String(us % 1_000_000n).padStart(6, '0')}`;
    this.#lines.push(bytesOfText(`${PREFIX}[${time.padStart(12)}] ${text}\n`));
    if (this.#lines.length <= MOST_LINES) return;
    this.#lines.shift();
    this.#cleared = Math.max(0, this.#cleared - 1);
    this.#read = Math.max(0, this.#read - 1);
  }

  /** SYSLOG_ACTION_READ_ALL: the last whole lines that fit. */
  last(room: number): Uint8Array {
    let from = this.#lines.length;
    for (let bytes = 0; from > this.#cleared; from--) {
      bytes += this.#lines[from - 1]!.length;
      if (bytes > room) break;
    }
    return joined(this.#lines.slice(from));
  }

  /** SYSLOG_ACTION_READ: whole lines that were not read before. */
  next(room: number): Uint8Array {
    const from = this.#read;
    for (let bytes = 0; this.#read < this.#lines.length; this.#read++) {
      bytes += this.#lines[this.#read]!.length;
      if (bytes > room) break;
    }
    return joined(this.#lines.slice(from, this.#read));
  }

  clear(): void {
    this.#cleared = this.#lines.length;
  }

  /** Bytes that `next` still has. */
  get unread(): number {
    return this.#lines.slice(this.#read).reduce((sum, line) => sum + line.length, 0);
  }
}

function joined(lines: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(lines.flatMap((line) => [...line]));
}
