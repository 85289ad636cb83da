/**
 * The console of a host that has a terminal: keys come from there, output goes there.
 *
 * Keys are taken when a program asks for input, up to a newline at a time, so that a script that is typed gives the
 * same run whatever pieces it comes in; a live terminal's also while programs run, since one of them may be a ^C.
 */
import { CC } from './termios.js';
import type { Tty, TtyEnd } from './tty.js';

export interface Keyboard {
  /** The next byte; undefined: none is there, now or ever. */
  next(): number | undefined;
  /** None will come any more. */
  readonly isOver: boolean;
  /** More may come at any time, and nobody waits for it. */
  readonly isLive: boolean;
  /** Passes time until there may be input. */
  idle(milliseconds: number): void;
}

/** Bytes taken at once where no line ends. */
const PIECE = 256;
/** What a write finds free: the host takes everything. */
const ROOM = 65536;
const NEWLINE = 10;
/** An idle machine looks for keys this often. */
const LOOK_MS = 20;

export class Console implements TtyEnd {
  readonly rows: number;
  readonly columns: number;
  readonly #keyboard: Keyboard;
  readonly #show: (bytes: Uint8Array) => void;
  #tty: Tty | undefined;

  constructor(
    keyboard: Keyboard,
    show: (bytes: Uint8Array) => void,
    size: { readonly rows: number; readonly columns: number },
  ) {
    this.#keyboard = keyboard;
    this.#show = show;
    this.rows = size.rows;
    this.columns = size.columns;
  }

  /** Which terminal it is the other end of. */
  attach(tty: Tty): void {
    this.#tty = tty;
  }

  get isLive(): boolean {
    return this.#keyboard.isLive;
  }

  take(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#show(bytes);
  }

  room(): number {
    return ROOM;
  }

  wanted(): void {
    const discipline = this.#tty?.discipline;
    if (discipline === undefined) return;
    while (!discipline.ready && this.feed());
    // Whoever typed is gone: every further read finds the end.
    if (!discipline.ready && this.#keyboard.isOver) {
      discipline.receive(Uint8Array.of(discipline.termios.cc[CC.EOF]!));
    }
  }

  /** Hands on keys that are there; false where none are. */
  feed(): boolean {
    const bytes: number[] = [];
    while (bytes.length < PIECE && bytes.at(-1) !== NEWLINE) {
      const byte = this.#keyboard.next();
      if (byte === undefined) break;
      bytes.push(byte);
    }
    if (bytes.length === 0 || this.#tty === undefined) return false;
    this.#tty.discipline.receive(Uint8Array.from(bytes));
    return true;
  }

  /** Every thread sleeps: passes a while, `milliseconds` at most, unless there are keys already; how long it was. */
  wait(milliseconds: number): number {
    if (this.feed()) return 0;
    const passes = Math.min(milliseconds, LOOK_MS);
    this.#keyboard.idle(passes);
    this.feed();
    return passes;
  }
}
