/**
 * struct termios, and what its bits mean.
 *
 * Ref. include/uapi/asm-generic/{termbits,termbits-common,ioctls}.h, include/linux/tty.h (tty_std_termios), termios(3).
 */

export const NCCS = 19;
/** Indices into c_cc. */
export const CC = {
  INTR: 0,
  QUIT: 1,
  ERASE: 2,
  KILL: 3,
  EOF: 4,
  TIME: 5,
  MIN: 6,
  START: 8,
  STOP: 9,
  SUSP: 10,
  EOL: 11,
  REPRINT: 12,
  WERASE: 14,
  LNEXT: 15,
  EOL2: 16,
} as const;

export const IFLAG = {
  ISTRIP: 0x20,
  INLCR: 0x40,
  IGNCR: 0x80,
  ICRNL: 0x100,
  IXON: 0x400,
  IXANY: 0x800,
  IUTF8: 0x4000,
} as const;
export const OFLAG = { OPOST: 1, ONLCR: 4, OCRNL: 8, ONOCR: 0x10, ONLRET: 0x20, TABDLY: 0x1800 } as const;
export const LFLAG = {
  ISIG: 1,
  ICANON: 2,
  ECHO: 8,
  ECHOE: 0x10,
  ECHOK: 0x20,
  ECHONL: 0x40,
  NOFLSH: 0x80,
  TOSTOP: 0x100,
  ECHOCTL: 0x200,
  ECHOKE: 0x800,
  IEXTEN: 0x8000,
} as const;

export interface Termios {
  iflag: number;
  oflag: number;
  cflag: number;
  lflag: number;
  line: number;
  readonly cc: Uint8Array;
  ispeed: number;
  ospeed: number;
}

/** B38400 | CS8 | CREAD, and for ptys no more. */
const STANDARD_CFLAG = 0xbf;

/** tty_std_termios: what a terminal begins with. */
export function standardTermios(): Termios {
  const cc = new Uint8Array(NCCS);
  // INIT_C_CC: ^C ^\ DEL ^U ^D, TIME 0, MIN 1, ^Q ^S ^Z, ^R ^O ^W ^V.
  cc.set([3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0]);
  return {
    iflag: IFLAG.ICRNL | IFLAG.IXON,
    oflag: OFLAG.OPOST | OFLAG.ONLCR,
    cflag: STANDARD_CFLAG,
    lflag:
      LFLAG.ISIG |
      LFLAG.ICANON |
      LFLAG.ECHO |
      LFLAG.ECHOE |
      LFLAG.ECHOK |
      LFLAG.ECHOCTL |
      LFLAG.ECHOKE |
      LFLAG.IEXTEN,
    line: 0,
    cc,
    ispeed: 38400,
    ospeed: 38400,
  };
}

/** sizeof(struct termios) and of struct termios2, which ends with speeds. */
export const TERMIOS_BYTES = 36;
export const TERMIOS2_BYTES = 44;

export function termiosBytes(termios: Termios, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, termios.iflag, true);
  view.setUint32(4, termios.oflag, true);
  view.setUint32(8, termios.cflag, true);
  view.setUint32(12, termios.lflag, true);
  bytes[16] = termios.line;
  bytes.set(termios.cc, 17);
  if (length === TERMIOS2_BYTES) {
    view.setUint32(36, termios.ispeed, true);
    view.setUint32(40, termios.ospeed, true);
  }
  return bytes;
}

/** What TCSETS gives; the line discipline stays. */
export function setTermios(termios: Termios, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  termios.iflag = view.getUint32(0, true);
  termios.oflag = view.getUint32(4, true);
  termios.cflag = view.getUint32(8, true);
  termios.lflag = view.getUint32(12, true);
  termios.cc.set(bytes.subarray(17, 17 + NCCS));
  if (bytes.length < TERMIOS2_BYTES) return;
  termios.ispeed = view.getUint32(36, true);
  termios.ospeed = view.getUint32(40, true);
}
