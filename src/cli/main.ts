/**
 * The `mtemu` command's program: gives the dispatcher the process's files and streams, and exits as it says.
 */
import {
  appendFileSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { isatty } from 'node:tty';
import { setFlagsFromString } from 'node:v8';
import { inputError } from '../base/index.js';
import { readModulesWith } from '../engine/index.js';
import { assembledFirmware, useAssembledFirmware } from '../machine/index.js';
import type { CommandIo } from './command.js';
import { dispatch } from './dispatch.js';
import { hostFolder } from './host-folder.js';

/** Writes everything, however small the pipe: a partial write or a full pipe is retried. */
function writeAll(fd: 1 | 2, data: string | Uint8Array): void {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') process.exit(fd === 1 ? 141 : 125);
      if (code !== 'EAGAIN') throw error;
      sleep(1);
    }
  }
}

/** What there is of standard input, waiting for the first byte. */
function readInput(count: number): Uint8Array {
  const buffer = new Uint8Array(count);
  for (;;) {
    try {
      return buffer.subarray(0, readSync(0, buffer, 0, count, null));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EOF') return new Uint8Array();
      // A terminal or pipe that does not block has nothing yet.
      if (code !== 'EAGAIN') return new Uint8Array();
      sleep(5);
    }
  }
}

/** Standard input once more, opened not to wait; -1 where it cannot be. */
let eager: number | undefined;

function openEager(raw: boolean): number {
  if (raw) process.stdin.setRawMode(true);
  try {
    return openSync('/dev/stdin', constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return -1;
  }
}

/** What there is of standard input now: undefined for nothing yet, no bytes at its end. */
function readInputNow(count: number, raw: boolean): Uint8Array | undefined {
  eager ??= openEager(raw);
  if (eager < 0) return readInput(count);
  const buffer = new Uint8Array(count);
  try {
    return buffer.subarray(0, readSync(eager, buffer, 0, count, null));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? undefined : new Uint8Array();
  }
}

/** Sleeps without giving the event loop a turn. */
const sleep = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};

const io: CommandIo = {
  stdout: (data) => writeAll(1, data),
  stderr: (text) => writeAll(2, text),
  readFile(path) {
    try {
      return readFileSync(path);
    } catch (error) {
      throw inputError('CLI-READ', `cannot read ${path}: ${reason(error)}`);
    }
  },
  writeFile(path, data) {
    try {
      writeFileSync(path, data);
    } catch (error) {
      throw inputError('CLI-WRITE', `cannot write ${path}: ${reason(error)}`);
    }
  },
  appendFile(path, data) {
    try {
      appendFileSync(path, data);
    } catch (error) {
      throw inputError('CLI-WRITE', `cannot write ${path}: ${reason(error)}`);
    }
  },
  stdin: readInput,
  stdinNow: readInputNow,
  isTerminal: isatty(0),
  get terminalSize() {
    if (!isatty(1) || !isatty(2)) return undefined;
    return { rows: process.stdout.rows ?? 24, columns: process.stdout.columns ?? 80 };
  },
  sleep,
  folder: hostFolder,
  color: process.stderr.isTTY === true && (process.env['NO_COLOR'] ?? '') === '',
};

function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Record<string, string> = {
    ENOENT: 'no such file or directory',
    EISDIR: 'it is a directory',
    EACCES: 'permission denied',
  };
  return (code !== undefined ? words[code] : undefined) ?? message;
}

/** Major versions of node that follow branch hints only if told to; later ones always do. */
const HINTS_ARE_OPTIONAL: readonly string[] = ['20', '22'];

/** Runs one command line and sets the process's exit status. */
export async function main(args: readonly string[]): Promise<void> {
  // Regions are faster where what nearly never happens is out of the way.
  if (HINTS_ARE_OPTIONAL.includes(process.versions.node.split('.')[0]!)) {
    setFlagsFromString('--experimental-wasm-branch-hinting');
  }
  process.exitCode = await dispatch(args, io, { debug: (process.env['MTEMU_DEBUG'] ?? '') !== '' });
}

/** Says where the build put what belongs to the program; `folder` has a slash at its end. */
export function useFolder(folder: string): void {
  readModulesWith((name) => new Uint8Array(readFileSync(folder + name)));
}

export { assembledFirmware, dispatch, useAssembledFirmware };
