/**
 * Standard input as what a machine's serial line receives.
 *
 * It is read when the machine's receiver asks. Where the host can read without waiting, the machine goes on
 * while nobody types, and an idle machine sleeps; else a read waits. A terminal hands on every key, so that
 * Control-C is the guest's; Control-A x ends the run, as it does QEMU's, Control-A twice is one of them.
 */
import type { SerialSource } from '../machine/index.js';
import type { CommandIo } from './command.js';

const READ_AHEAD = 4096;
const CONTROL_A = 1;
const LETTER_X = 0x78;
const LONGEST_SLEEP = 20;

export class SerialInput implements SerialSource {
  readonly #io: CommandIo;
  readonly #raw: boolean;
  #bytes = new Uint8Array();
  #at = 0;
  /** A Control-A came, and what it is for has not. */
  #escaped = false;
  isOver = false;
  /** The user wants the run to end. */
  isEnded = false;
  /** More may come at any time: nobody waits for it. */
  readonly isLive: boolean;
  /** The last look found nothing. */
  #isWaiting = false;

  /** `raw`: keys of a terminal are handed on one by one, where standard input is one. */
  constructor(io: CommandIo, raw: boolean) {
    this.#io = io;
    this.#raw = raw && io.isTerminal === true;
    this.isLive = this.#raw && io.stdinNow !== undefined;
    this.isOver = io.stdin === undefined && io.stdinNow === undefined;
  }

  next(): number | undefined {
    for (;;) {
      const byte = this.#take();
      if (byte === undefined || !this.#raw) return byte;
      if (!this.#escaped && byte === CONTROL_A) {
        this.#escaped = true;
        continue;
      }
      const wasEscaped = this.#escaped;
      this.#escaped = false;
      if (!wasEscaped || byte === CONTROL_A) return byte;
      if (byte === LETTER_X) {
        this.isEnded = true;
        return undefined;
      }
    }
  }

  #take(): number | undefined {
    if (this.isOver) return undefined;
    if (this.#at === this.#bytes.length) {
      const { stdin, stdinNow } = this.#io;
      const read = stdinNow === undefined ? stdin!(READ_AHEAD) : stdinNow(READ_AHEAD, this.#raw);
      this.#isWaiting = read === undefined;
      if (read === undefined) return undefined;
      this.isOver = read.length === 0;
      this.#bytes = read.slice();
      this.#at = 0;
    }
    return this.#bytes[this.#at++];
  }

  /** For an idle machine: passes the time until there may be input. `milliseconds`: of the guest's. */
  idle(milliseconds: number): void {
    if (this.#isWaiting && !this.isOver) this.#io.sleep?.(Math.min(milliseconds, LONGEST_SLEEP));
  }
}
