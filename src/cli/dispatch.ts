/**
 * From a command line to an exit status: finds the subcommand, runs it, and turns what it throws into
 * what the user sees.
 *
 * Wrong input (InputError) is rendered and gives 2. Anything else that escapes is a bug of the
 * emulator: a line, 125, and the stack only where it was asked for.
 */
import { InputError, inputError, renderDiagnostics, suggest } from '../base/index.js';
import type { Command, CommandIo } from './command.js';
import { COMMANDS } from './commands.js';
import { generalHelp, versionText } from './help.js';

export interface DispatchOptions {
  /** Show where an internal error came from. */
  readonly debug?: boolean;
}

/** Runs one command line. Never throws. */
export async function dispatch(
  args: readonly string[],
  io: CommandIo,
  options: DispatchOptions = {},
): Promise<number> {
  try {
    return await run(args, io);
  } catch (error) {
    if (error instanceof InputError) {
      io.stderr(`${renderDiagnostics(error.diagnostics, { color: io.color })}\n`);
      return 2;
    }
    const { message, stack } = error as Error;
    io.stderr(`mtemu: internal error: ${options.debug === true ? stack : message}\n`);
    io.stderr('mtemu: this is a bug of the emulator, not of your program; MTEMU_DEBUG=1 shows where\n');
    return 125;
  }
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

async function run(args: readonly string[], io: CommandIo): Promise<number> {
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
