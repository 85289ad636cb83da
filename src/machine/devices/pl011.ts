/**
 * PL011 UART: enough of it that firmware and kernels print and read.
 *
 * Bytes written go to a callback at once, so the transmit FIFO is always empty. Received bytes come from
 * `receive`, or from a source: while UART and receiver are enabled (CR) and the FIFO has room, one byte each
 * time that a byte takes on a line of 115200 baud. What drives the line stops while there is no room, so
 * nothing is lost; a driver that empties the FIFO when it starts finds little in it. The interrupt line
 * follows the raw status and the mask; the board wires it up where there is an interrupt controller.
 *
 * Ref. ARM DDI 0183, PrimeCell UART (PL011), chapter 3.
 */
import type { Device } from '../memory/bus.js';

/** What is at the other end of the receive line. */
export interface SerialSource {
  /** The next byte; undefined while there is none. */
  next(): number | undefined;
  /** There will be none any more. */
  readonly isOver: boolean;
}

const DR = 0x00;
const RSR = 0x04;
const FR = 0x18;
const ILPR = 0x20;
const IBRD = 0x24;
const FBRD = 0x28;
const LCRH = 0x2c;
const CR = 0x30;
const IFLS = 0x34;
const IMSC = 0x38;
const RIS = 0x3c;
const MIS = 0x40;
const ICR = 0x44;
/** Peripheral and PrimeCell identification, one byte a word from 0xfe0. */
const ID = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

const FR_TXFE = 1 << 7;
const FR_RXFF = 1 << 6;
const FR_RXFE = 1 << 4;
/** CR: UART and receiver enabled. */
const CR_UARTEN = 1 << 0;
const CR_RXE = 1 << 9;
/** LCR_H: the FIFOs are enabled; else there is one holding register. */
const LCRH_FEN = 1 << 4;
const FIFO_BYTES = 16;
/** Bytes a second on the line: 115200 baud, ten bits a byte. */
const BYTES_PER_SECOND = 11_520;
/** Looks a second at a source that had nothing. */
const LOOKS_PER_SECOND = 100;
const INT_RX = 1 << 4;
const INT_TX = 1 << 5;

export class Pl011 implements Device {
  readonly name: string;
  readonly base: number;
  readonly size: number;
  readonly #output: (byte: number) => void;
  readonly #input: number[] = [];
  /** Plain read/write registers by offset. */
  readonly #plain = new Map<number, number>([
    [CR, 0x300],
    [IFLS, 0x12],
  ]);
  #mask = 0;
  #raw = INT_TX;
  /** Told when the interrupt line changes. */
  onInterrupt: ((level: boolean) => void) | undefined;
  #line = false;
  #source: SerialSource | undefined;
  /** Ticks of the system counter: of a byte, of a pause before the source is asked again, of the next look. */
  #byteTicks = 0;
  #pauseTicks = 0;
  #nextLook = 0;
  /** At the last look there was someone to receive. */
  #isReady = false;

  constructor(base: number, size: number, output: (byte: number) => void) {
    this.name = `pl011@${base.toString(16)}`;
    this.base = base;
    this.size = size;
    this.#output = output;
  }

  /** A byte arrives at the receiver. */
  receive(byte: number): void {
    this.#input.push(byte & 0xff);
    this.#raw |= INT_RX;
    this.#update();
  }

  /** Lets bytes of `source` arrive from now on. `frequency`: ticks of the system counter a second. */
  connect(source: SerialSource, frequency: number): void {
    this.#source = source;
    this.#byteTicks = Math.ceil(frequency / BYTES_PER_SECOND);
    this.#pauseTicks = Math.ceil(frequency / LOOKS_PER_SECOND);
  }

  advance(now: number): number {
    const source = this.#source;
    const isReady = this.#canReceive;
    const wasReady = this.#isReady;
    this.#isReady = isReady;
    if (source === undefined || source.isOver || !isReady) return Number.POSITIVE_INFINITY;
    // A byte begins when it can be received, and has arrived when all of it is there.
    if (!wasReady) this.#nextLook = Math.max(this.#nextLook, now + this.#byteTicks);
    if (now >= this.#nextLook) {
      const byte = source.next();
      if (byte !== undefined) this.receive(byte);
      this.#nextLook = now + (byte === undefined ? this.#pauseTicks : this.#byteTicks);
    }
    return source.isOver ? Number.POSITIVE_INFINITY : this.#nextLook - now;
  }

  get #canReceive(): boolean {
    const enabled = CR_UARTEN | CR_RXE;
    return (this.#plain.get(CR)! & enabled) === enabled && this.#input.length < this.#room;
  }

  get #room(): number {
    return ((this.#plain.get(LCRH) ?? 0) & LCRH_FEN) === 0 ? 1 : FIFO_BYTES;
  }

  #update(): void {
    const line = (this.#raw & this.#mask) !== 0;
    if (line === this.#line) return;
    this.#line = line;
    this.onInterrupt?.(line);
  }

  read(offset: number, _bytes: 1 | 2 | 4 | 8): bigint {
    switch (offset) {
      case DR: {
        const byte = this.#input.shift() ?? 0;
        if (this.#input.length === 0) this.#raw &= ~INT_RX;
        this.#update();
        return BigInt(byte);
      }
      case FR:
        return BigInt(
          FR_TXFE |
            (this.#input.length === 0 ? FR_RXFE : 0) |
            (this.#input.length >= this.#room ? FR_RXFF : 0),
        );
      case IMSC:
        return BigInt(this.#mask);
      case RIS:
        return BigInt(this.#raw);
      case MIS:
        return BigInt(this.#raw & this.#mask);
      case RSR:
        return 0n;
      default:
        if (offset >= 0xfe0 && offset < 0x1000) return BigInt(ID[(offset - 0xfe0) / 4] ?? 0);
        return BigInt(this.#plain.get(offset) ?? 0);
    }
  }

  write(offset: number, _bytes: 1 | 2 | 4 | 8, value: bigint): void {
    const low = Number(BigInt.asUintN(16, value));
    switch (offset) {
      case DR:
        this.#output(low & 0xff);
        // Sent at once: the level that the FIFO must fall below is reached again.
        this.#raw |= INT_TX;
        this.#update();
        return;
      case IMSC:
        this.#mask = low & 0x7ff;
        this.#update();
        return;
      case ICR:
        this.#raw &= ~low;
        if (this.#input.length > 0) this.#raw |= INT_RX;
        this.#update();
        return;
      case ILPR:
      case IBRD:
      case FBRD:
      case LCRH:
      case CR:
      case IFLS:
        this.#plain.set(offset, low);
        return;
      default:
    }
  }
}
