/**
 * A folder of the host as a guest may see it: regular files, folders and symbolic links, nothing else.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inputError } from '../base/index.js';
import type { HostEntry, HostFolder } from '../kernel/index.js';

/** Gives what `--root` names. Throws InputError (CLI-READ) where it is no folder. */
export function hostFolder(path: string): HostFolder {
  let root: string;
  try {
    root = realpathSync(path);
    if (!statSync(root).isDirectory()) throw new Error('it is no folder');
  } catch (error) {
    throw inputError('CLI-READ', `cannot use ${path} as the guest's root: ${(error as Error).message}`);
  }
  return {
    list(at) {
      try {
        return readdirSync(join(root, at));
      } catch {
        return [];
      }
    },
    entry: (at) => entryOf(join(root, at)),
    read(at) {
      try {
        return readFileSync(join(root, at));
      } catch {
        return new Uint8Array();
      }
    },
    readLink(at) {
      try {
        return readlinkSync(join(root, at));
      } catch {
        return '';
      }
    },
  };
}

function entryOf(path: string): HostEntry | undefined {
  try {
    const found = lstatSync(path);
    const kind = found.isDirectory()
      ? 'directory'
      : found.isFile()
        ? 'file'
        : found.isSymbolicLink()
          ? 'symlink'
          : undefined;
    if (kind === undefined) return undefined;
    return { kind, mode: found.mode & 0o7777, size: found.size, modified: found.mtimeMs };
  } catch {
    return undefined;
  }
}
