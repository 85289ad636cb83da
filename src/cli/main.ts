#!/usr/bin/env node
/**
 * The `mtemu` command: finds the subcommand, gives it the process's files and streams, and turns what
 * it returns or throws into an exit status.
 *
 * Wrong input (InputError) is rendered and exits 2. Anything else that escapes is a bug of the
 * emulator: one line, exit 125, with the stack only where MTEMU_DEBUG is set.
 */
import { appendFileSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { InputError, inputError, renderDiagnostics, suggest } from '../base/index.js';
import type { Command, CommandIo } from './command.js';
import { COMMANDS } from './commands.js';
import { generalHelp, versionText } from './help.js';

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
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

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

function findCommand(name: string): Command {
  const command = COMMANDS.find((c) => c.name === name);
  if (command !== undefined) return command;
  const near = suggest(
    name,
    COMMANDS.map((c) => c.name),
  );
  throw inputError('CLI-USAGE', `there is no command '${name}'`, {
    help: near.length > 0 ? `did you mean '${near[0]}'?` : "'mtemu --help' lists the commands",
  });
}

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const topic = name === 'help' ? rest[0] : undefined;
    io.stdout(topic === undefined ? generalHelp(COMMANDS) : findCommand(topic).help);
    return 0;
  }
  if (name === '--version' || name === '-V') {
    io.stdout(versionText());
    return 0;
  }
  const command = findCommand(name);
  const stop = rest.indexOf('--');
  const own = stop < 0 ? rest : rest.slice(0, stop);
  const isOption = command.optionsEnd?.(own) ?? own.length;
  if (own.slice(0, isOption).includes('--help')) {
    io.stdout(command.help);
    return 0;
  }
  return command.run(rest, io);
}

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    if (error instanceof InputError) {
      io.stderr(`${renderDiagnostics(error.diagnostics, { color: io.color })}\n`);
      process.exitCode = 2;
      return;
    }
    const { message, stack } = error as Error;
    io.stderr(`mtemu: internal error: ${process.env['MTEMU_DEBUG'] ? stack : message}\n`);
    io.stderr('mtemu: this is a bug of the emulator, not of your program; MTEMU_DEBUG=1 shows where\n');
    process.exitCode = 125;
  },
);
