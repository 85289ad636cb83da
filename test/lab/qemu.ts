/**
 * qemu-aarch64-static as an oracle: runs a static program and gives its standard output; and, where a
 * test must know what qemu keeps to itself (the pointer authentication keys of a process), reads system
 * registers through qemu's debug stub.
 *
 * Ref. the GDB remote serial protocol: packets `$data#checksum`, binary `}` escapes in qXfer answers.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const QEMU = 'qemu-aarch64-static';
/** A run that takes longer hangs. */
const MOST_MILLISECONDS = 20_000;

export function hasQemu(): boolean {
  return spawnSync(QEMU, ['--version'], { stdio: 'ignore' }).status === 0;
}

async function inScratch<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'mtemu-qemu-'));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The debug stub's side of a conversation. */
class Stub {
  readonly #socket: Socket;
  #received = '';
  #arrived: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data) => {
      this.#received += data.toString('latin1');
      this.#arrived();
    });
  }

  send(packet: string): void {
    const sum = [...packet].reduce((total, c) => total + c.charCodeAt(0), 0) & 255;
    this.#socket.write(`$${packet}#${sum.toString(16).padStart(2, '0')}`, 'latin1');
  }

  async ask(packet: string): Promise<string> {
    this.send(packet);
    for (;;) {
      const match = /\$([^#]*)#../s.exec(this.#received);
      if (match !== null) {
        this.#received = this.#received.slice(match.index + match[0].length);
        this.#socket.write('+');
        return match[1]!.replace(/\}(.)/gs, (_, c: string) => String.fromCharCode(c.charCodeAt(0) ^ 0x20));
      }
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }

  /** The whole of an object that is transferred in parts. */
  async read(name: string): Promise<string> {
    let text = '';
    for (;;) {
      const part = await this.ask(`qXfer:features:read:${name}:${text.length.toString(16)},800`);
      text += part.slice(1);
      if (part[0] !== 'm') return text;
    }
  }
}

/** Register numbers by name, lower case: the target description lists them in order unless it says regnum. */
async function registerNumbers(stub: Stub): Promise<Map<string, number>> {
  const numbers = new Map<string, number>();
  const target = await stub.read('target.xml');
  let next = 0;
  for (const [, file] of target.matchAll(/xi:include href="([^"]+)"/g)) {
    for (const [tag] of (await stub.read(file!)).matchAll(/<reg [^>]*>/g)) {
      const regnum = /regnum="(\d+)"/.exec(tag)?.[1];
      if (regnum !== undefined) next = Number(regnum);
      numbers.set(/name="([^"]+)"/.exec(tag)![1]!.toLowerCase(), next++);
    }
  }
  return numbers;
}

export interface DebuggedRun {
  readonly stdout: Uint8Array;
  /** The registers asked for, read before the first instruction. */
  readonly registers: Readonly<Record<string, bigint>>;
}

/** Runs a program under qemu's debug stub, reads `registers` (64 bits) at its start, and lets it go on. */
export function runDebugged(
  elf: Uint8Array,
  options: readonly string[],
  registers: readonly string[],
): Promise<DebuggedRun> {
  return inScratch(async (directory) => {
    const file = join(directory, 'program');
    const path = join(directory, 'stub');
    writeFileSync(file, elf);
    chmodSync(file, 0o755);
    const child = spawn(QEMU, [...options, '-g', path, file], { timeout: MOST_MILLISECONDS });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
    const socket = await connected(path);
    const stub = new Stub(socket);
    await stub.ask('qSupported:xmlRegisters=aarch64;qXfer:features:read+');
    const numbers = await registerNumbers(stub);
    const values: Record<string, bigint> = {};
    for (const name of registers) {
      const bytes = Buffer.from(await stub.ask(`p${numbers.get(name)!.toString(16)}`), 'hex');
      values[name] = bytes.readBigUInt64LE();
    }
    // Detached: a signal must end the program, not stop it for a debugger.
    await stub.ask('D;1');
    socket.destroy();
    await ended;
    return { stdout: Buffer.concat(chunks), registers: values };
  });
}

/** The stub takes a moment to listen. */
async function connected(path: string): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect(path, () => resolve(socket));
        socket.on('error', reject);
      });
    } catch (error) {
      if (attempt > 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}
