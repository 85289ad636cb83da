/**
 * The initial user stack: argc, argv, envp and the auxiliary vector, as create_elf_tables lays it out.
 *
 * From high to low: the strings (execfn last-written, so nearest the top), the platform string, the
 * AT_RANDOM bytes, then, 16-byte aligned, the vectors that SP points at.
 *
 * Ref. fs/binfmt_elf.c (create_elf_tables); the AAPCS64 wants SP 16-byte aligned.
 */
import { bytesOfText } from '../../base/index.js';
import { AT } from './abi.js';

export interface StackContents {
  /** First address above the stack. */
  readonly top: bigint;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Entries other than those that point into the stack itself and AT_NULL. */
  readonly auxv: readonly (readonly [type: number, value: bigint])[];
  /** 16 bytes for AT_RANDOM. */
  readonly random: Uint8Array;
  readonly execfn: string;
}

export interface StackImage {
  /** What SP starts as, and where `bytes` go. */
  readonly sp: bigint;
  readonly bytes: Uint8Array;
  /** The auxiliary vector alone, AT_NULL included. */
  readonly auxv: Uint8Array;
}

export function buildInitialStack(contents: StackContents): StackImage {
  const chunks: { address: bigint; bytes: Uint8Array }[] = [];
  let cursor = contents.top - 8n; // the kernel leaves a null word at the very top
  const push = (bytes: Uint8Array): bigint => {
    cursor -= BigInt(bytes.length);
    chunks.push({ address: cursor, bytes });
    return cursor;
  };
  const pushString = (text: string): bigint => {
    const bytes = bytesOfText(text);
    const ended = new Uint8Array(bytes.length + 1);
    ended.set(bytes);
    return push(ended);
  };

  const execfn = pushString(contents.execfn);
  // Pushed last to first, so that the strings read upwards in order, as on Linux.
  const env = [...contents.env].reverse().map(pushString).reverse();
  const args = [...contents.args].reverse().map(pushString).reverse();
  const platform = pushString('aarch64');
  cursor &= ~15n;
  const random = push(contents.random);

  const auxv: (readonly [number, bigint])[] = [
    ...contents.auxv,
    [AT.RANDOM, random],
    [AT.EXECFN, execfn],
    [AT.PLATFORM, platform],
    [AT.NULL, 0n],
  ];
  const words: bigint[] = [BigInt(args.length), ...args, 0n, ...env, 0n];
  for (const [type, value] of auxv) words.push(BigInt(type), value);
  const sp = (cursor - BigInt(words.length * 8)) & ~15n;

  const bytes = new Uint8Array(Number(contents.top - sp));
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => {
    view.setBigUint64(i * 8, BigInt.asUintN(64, word), true);
  });
  for (const chunk of chunks) bytes.set(chunk.bytes, Number(chunk.address - sp));
  const auxvBytes = 16 * auxv.length;
  const auxvAt = 8 * (words.length - 2 * auxv.length);
  return { sp, bytes, auxv: bytes.slice(auxvAt, auxvAt + auxvBytes) };
}
