import type { HostFolder } from '../kernel/index.js';

/**
 * What a subcommand of `mtemu` is. The dispatcher renders a thrown InputError and exits 2; a command
 * never touches the process itself, so that tests run commands in-process.
 */
export interface CommandIo {
  stdout(data: string | Uint8Array): void;
  stderr(text: string): void;
  /** Throws InputError (CLI-READ) where the file cannot be read. */
  readFile(path: string): Uint8Array;
  writeFile(path: string, data: Uint8Array | string): void;
  /** Adds to a file that this command began with writeFile: output too large to hold. */
  appendFile?(path: string, data: string): void;
  /** Standard input: at most `count` bytes, none at its end; waits for them. Left out, it is at its end. */
  stdin?(count: number): Uint8Array;
  /** The same without waiting: undefined while there are none. `raw`: a terminal hands on every key. */
  stdinNow?: ((count: number, raw: boolean) => Uint8Array | undefined) | undefined;
  /** Standard input is a terminal. */
  readonly isTerminal?: boolean;
  /** Standard output and error are a terminal as well: its size. */
  readonly terminalSize?: { readonly rows: number; readonly columns: number } | undefined;
  /** Lets so much time pass, at most, as there is nothing to do. */
  sleep?(milliseconds: number): void;
  /** A folder that a guest may read. Throws InputError (CLI-READ) where it is none. */
  folder?(path: string): HostFolder;
  readonly color: boolean;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly help: string;
  /** Index in `args` from where words belong to the guest program, not to mtemu (`run PROGRAM ARG...`). */
  optionsEnd?(args: readonly string[]): number;
  /** Gives the exit status (interfaces: 0 done, 1 the check did not hold, 2 bad input, ...). */
  run(args: string[], io: CommandIo): number | Promise<number>;
}
