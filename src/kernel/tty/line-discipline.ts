/**
 * N_TTY: what happens to bytes between a terminal and the programs on it. Lines are edited and echoed, control
 * characters become signals, newlines become what a terminal needs.
 *
 * Ref. drivers/tty/n_tty.c, termios(3).
 */
import { CC, IFLAG, LFLAG, OFLAG, standardTermios, type Termios } from './termios.js';

/** N_TTY_BUF_SIZE: a line has room for one less. */
const BUFFER_BYTES = 4096;
/** Where a line ended without a character: VEOF. */
const END_OF_FILE = -1;

const NEWLINE = 10;
const RETURN = 13;
const TAB = 9;
const BACKSPACE = 8;
const SPACE = 32;
const CARET = 94;

const SIGINT = 2;
const SIGQUIT = 3;
const SIGTSTP = 20;

/** What the discipline does to the world. */
export interface LineSide {
  /** Bytes for the terminal's screen. */
  show(bytes: Uint8Array): void;
  /** To the group in the foreground. */
  signal(signo: number): void;
  /** There is more to be read, or output goes on. */
  changed(): void;
}

const isControl = (byte: number) => byte < SPACE || byte === 127;
const isContinuation = (byte: number) => (byte & 0xc0) === 0x80;
const isWord = (byte: number) =>
  (byte >= 48 && byte <= 57) || byte === 95 || ((byte | 32) >= 97 && (byte | 32) <= 122);

export class LineDiscipline {
  readonly termios: Termios = standardTermios();
  readonly #side: LineSide;
  /** What can be read, and after it the line that is being typed. */
  #input: number[] = [];
  /** How much of it is complete lines. */
  #complete = 0;
  #literalNext = false;
  #column = 0;
  /** Where the echo of the line being typed begins: a tab is erased back to there at most. */
  #startColumn = 0;
  #echoed: number[] = [];
  /** ^S came. */
  stopped = false;

  constructor(side: LineSide) {
    this.#side = side;
  }

  #has(flag: keyof typeof LFLAG): boolean {
    return (this.termios.lflag & LFLAG[flag]) !== 0;
  }

  #hasInput(flag: keyof typeof IFLAG): boolean {
    return (this.termios.iflag & IFLAG[flag]) !== 0;
  }

  #isChar(byte: number, which: keyof typeof CC): boolean {
    // _POSIX_VDISABLE: 0 is no character.
    return byte !== 0 && this.termios.cc[CC[which]] === byte;
  }

  // ---- input ---------------------------------------------------------------------------------------

  /** Bytes that the terminal sends. */
  receive(bytes: Uint8Array): void {
    for (const byte of bytes) this.#receiveByte(this.#hasInput('ISTRIP') ? byte & 0x7f : byte);
    this.#commit();
    this.#side.changed();
  }

  #receiveByte(given: number): void {
    let byte = given;
    if (this.#literalNext) {
      this.#literalNext = false;
      this.#append(byte);
      return;
    }
    if (this.stopped && this.#hasInput('IXON') && this.#hasInput('IXANY')) this.#start();
    if (this.#hasInput('IXON')) {
      if (this.#isChar(byte, 'START')) {
        this.#start();
        return;
      }
      if (this.#isChar(byte, 'STOP')) {
        this.stopped = true;
        return;
      }
    }
    if (this.#has('ISIG') && this.#signalled(byte)) return;
    if (byte === RETURN) {
      if (this.#hasInput('IGNCR')) return;
      if (this.#hasInput('ICRNL')) byte = NEWLINE;
    } else if (byte === NEWLINE && this.#hasInput('INLCR')) {
      byte = RETURN;
    }
    if (this.#has('ICANON') && this.#edited(byte)) return;
    this.#append(byte);
  }

  #start(): void {
    this.stopped = false;
    this.#side.changed();
  }

  #signalled(byte: number): boolean {
    const signo = this.#isChar(byte, 'INTR')
      ? SIGINT
      : this.#isChar(byte, 'QUIT')
        ? SIGQUIT
        : this.#isChar(byte, 'SUSP')
          ? SIGTSTP
          : undefined;
    if (signo === undefined) return false;
    if (!this.#has('NOFLSH')) {
      this.flushInput();
      this.#echoed = [];
    }
    if (this.#hasInput('IXON')) this.stopped = false;
    if (this.#has('ECHO')) this.#echo(byte);
    this.#commit();
    this.#side.signal(signo);
    return true;
  }

  /** Canonical mode's characters. */
  #edited(byte: number): boolean {
    const extended = this.#has('IEXTEN');
    if (this.#isChar(byte, 'ERASE') || this.#isChar(byte, 'KILL')) {
      this.#erase(byte, this.#isChar(byte, 'ERASE') ? 'one' : 'line');
      return true;
    }
    if (extended && this.#isChar(byte, 'WERASE')) {
      this.#erase(byte, 'word');
      return true;
    }
    if (extended && this.#isChar(byte, 'LNEXT')) {
      this.#literalNext = true;
      if (this.#has('ECHO') && this.#has('ECHOCTL')) this.#echoed.push(CARET, BACKSPACE);
      return true;
    }
    if (extended && this.#has('ECHO') && this.#isChar(byte, 'REPRINT')) {
      this.#echo(byte);
      this.#echoed.push(NEWLINE);
      for (const each of this.#input.slice(this.#complete)) this.#echo(each);
      return true;
    }
    if (byte === NEWLINE) {
      if (this.#has('ECHO') || this.#has('ECHONL')) this.#echoed.push(NEWLINE);
      this.#endLine(NEWLINE);
      return true;
    }
    if (this.#isChar(byte, 'EOF')) {
      this.#endLine(END_OF_FILE);
      return true;
    }
    if (this.#isChar(byte, 'EOL') || (extended && this.#isChar(byte, 'EOL2'))) {
      if (this.#has('ECHO')) this.#echo(byte);
      this.#endLine(byte);
      return true;
    }
    return false;
  }

  #endLine(byte: number): void {
    this.#input.push(byte);
    this.#complete = this.#input.length;
  }

  #append(byte: number): void {
    // A line that does not end has no more room; its end still has.
    if (this.#input.length >= BUFFER_BYTES - 1) return;
    if (this.#has('ECHO')) {
      if (this.#input.length === this.#complete) {
        this.#commit();
        this.#startColumn = this.#column;
      }
      if (byte === NEWLINE) this.#echoed.push(NEWLINE);
      else this.#echo(byte);
    }
    this.#input.push(byte);
    if (!this.#has('ICANON')) this.#complete = this.#input.length;
  }

  /** eraser(): a character, a word or the line that is being typed. */
  #erase(byte: number, what: 'one' | 'word' | 'line'): void {
    if (this.#input.length === this.#complete) return;
    const echoes = this.#has('ECHO');
    if (what === 'line' && !(echoes && this.#has('ECHOK') && this.#has('ECHOKE') && this.#has('ECHOE'))) {
      this.#input.length = this.#complete;
      if (!echoes) return;
      this.#echo(byte);
      if (this.#has('ECHOK')) this.#echoed.push(NEWLINE);
      return;
    }
    let inWord = false;
    while (this.#input.length > this.#complete) {
      const last = this.#input.at(-1)!;
      if (what === 'word') {
        if (isWord(last)) inWord = true;
        else if (inWord) break;
      }
      let erased = this.#input.pop()!;
      while (this.#hasInput('IUTF8') && isContinuation(erased) && this.#input.length > this.#complete) {
        erased = this.#input.pop()!;
      }
      if (echoes) {
        if (what === 'one' && !this.#has('ECHOE')) this.#echo(byte);
        else this.#unshow(erased);
      }
      if (what === 'one') break;
    }
  }

  /** Takes a character from the screen. */
  #unshow(byte: number): void {
    if (byte === TAB) {
      let column = this.#startColumn;
      for (const each of this.#input.slice(this.#complete)) {
        if (each === TAB) column = (column | 7) + 1;
        else if (isControl(each)) column += this.#has('ECHOCTL') ? 2 : 0;
        else if (!(this.#hasInput('IUTF8') && isContinuation(each))) column++;
      }
      const width = 8 - (column & 7);
      for (let n = 0; n < width; n++) this.#echoed.push(BACKSPACE);
      return;
    }
    const cells = isControl(byte) ? (this.#has('ECHOCTL') ? 2 : 0) : 1;
    for (let n = 0; n < cells; n++) this.#echoed.push(BACKSPACE, SPACE, BACKSPACE);
  }

  #echo(byte: number): void {
    if (this.#has('ECHOCTL') && isControl(byte) && byte !== TAB) this.#echoed.push(CARET, byte ^ 64);
    else this.#echoed.push(byte);
  }

  /** What was echoed goes to the screen. */
  #commit(): void {
    if (this.#echoed.length === 0) return;
    const bytes = Uint8Array.from(this.#echoed);
    this.#echoed = [];
    this.#side.show(this.process(bytes));
  }

  /** TCIFLUSH. */
  flushInput(): void {
    this.#input = [];
    this.#complete = 0;
  }

  /** The mode may have changed: what is there counts as lines, or as bytes. */
  modeChanged(wasCanonical: boolean): void {
    const canonical = this.#has('ICANON');
    if (canonical === wasCanonical) return;
    // What had no line's end when bytes were read has one now, so that it can be read at all.
    this.#complete = this.#input.length;
    this.#side.changed();
  }

  get canonical(): boolean {
    return this.#has('ICANON');
  }

  /** Bytes (FIONREAD). */
  get available(): number {
    return this.#input.slice(0, this.#complete).filter((byte) => byte !== END_OF_FILE).length;
  }

  /** Something to read: in canonical mode a line, be it an empty one at the end. */
  get ready(): boolean {
    return this.#complete > 0;
  }

  /** At most `count` bytes, of one line only in canonical mode. */
  take(count: number): Uint8Array {
    const out: number[] = [];
    const { canonical } = this;
    while (this.#complete > 0 && out.length < count) {
      const byte = this.#input.shift()!;
      this.#complete--;
      if (byte === END_OF_FILE) {
        if (canonical) break;
        continue;
      }
      out.push(byte);
      if (canonical && this.#endsLine(byte)) break;
      // A line that ends at VEOF right after what was asked for is over too.
      if (canonical && out.length === count && this.#complete > 0 && this.#input[0] === END_OF_FILE) {
        this.#input.shift();
        this.#complete--;
      }
    }
    return Uint8Array.from(out);
  }

  #endsLine(byte: number): boolean {
    return byte === NEWLINE || this.#isChar(byte, 'EOL') || this.#isChar(byte, 'EOL2');
  }

  // ---- output --------------------------------------------------------------------------------------

  /** do_output_char() for each byte: what the terminal is given. */
  process(bytes: Uint8Array): Uint8Array {
    const { oflag } = this.termios;
    if ((oflag & OFLAG.OPOST) === 0) return bytes;
    const out: number[] = [];
    for (const byte of bytes) this.#outputByte(byte, oflag, out);
    return Uint8Array.from(out);
  }

  #outputByte(byte: number, oflag: number, out: number[]): void {
    if (byte === NEWLINE) {
      if ((oflag & OFLAG.ONLRET) !== 0) this.#column = 0;
      if ((oflag & OFLAG.ONLCR) !== 0) {
        this.#column = 0;
        out.push(RETURN);
      }
      out.push(NEWLINE);
    } else if (byte === RETURN) {
      if ((oflag & OFLAG.ONOCR) !== 0 && this.#column === 0) return;
      const becomesNewline = (oflag & OFLAG.OCRNL) !== 0;
      if (!becomesNewline || (oflag & OFLAG.ONLRET) !== 0) this.#column = 0;
      out.push(becomesNewline ? NEWLINE : RETURN);
    } else if (byte === TAB) {
      const spaces = 8 - (this.#column & 7);
      this.#column += spaces;
      if ((oflag & OFLAG.TABDLY) === OFLAG.TABDLY) for (let n = 0; n < spaces; n++) out.push(SPACE);
      else out.push(TAB);
    } else {
      if (byte === BACKSPACE) this.#column = Math.max(0, this.#column - 1);
      else if (!isControl(byte) && !(this.#hasInput('IUTF8') && isContinuation(byte))) this.#column++;
      out.push(byte);
    }
  }
}
