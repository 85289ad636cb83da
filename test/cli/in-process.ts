/**
 * Runs `mtemu` command lines in this process, with files that exist only here.
 */
import { readFileSync } from 'node:fs';
import { inputError } from '../../src/base/index.js';
import type { CommandIo } from '../../src/cli/command.js';
import { dispatch } from '../../src/cli/dispatch.js';
import { hostFolder } from '../../src/cli/host-folder.js';

const ROOT = new URL('../..', import.meta.url).pathname;

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What was written, by name. */
  readonly written: ReadonlyMap<string, Uint8Array>;
}

/** Paths are those of `files`, else relative to the repository. */
export async function mtemu(
  args: readonly string[],
  files: Readonly<Record<string, string | Uint8Array>> = {},
  stdin = '',
): Promise<Outcome> {
  let input = new TextEncoder().encode(stdin);
  const encoder = new TextEncoder();
  const out: Uint8Array[] = [];
  let stderr = '';
  const written = new Map<string, Uint8Array>();
  const bytesOf = (data: string | Uint8Array) => (typeof data === 'string' ? encoder.encode(data) : data);
  const io: CommandIo = {
    stdout: (data) => out.push(bytesOf(data).slice()),
    stderr: (text) => {
      stderr += text;
    },
    readFile(path) {
      const own = files[path];
      if (own !== undefined) return bytesOf(own);
      try {
        return readFileSync(`${ROOT}${path}`);
      } catch {
        throw inputError('CLI-READ', `cannot read ${path}: no such file or directory`);
      }
    },
    writeFile: (path, data) => void written.set(path, bytesOf(data).slice()),
    appendFile(path, data) {
      const before = written.get(path) ?? new Uint8Array();
      written.set(path, Uint8Array.from([...before, ...bytesOf(data)]));
    },
    stdin(count) {
      const taken = input.slice(0, count);
      input = input.slice(taken.length);
      return taken;
    },
    folder: hostFolder,
    color: false,
  };
  const status = await dispatch(args, io, { debug: true });
  const stdout = new TextDecoder().decode(Buffer.concat(out));
  return { status, stdout, stderr, written };
}
