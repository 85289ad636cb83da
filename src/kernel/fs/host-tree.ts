/**
 * A folder of the host under the guest's root: read when looked at, never written.
 *
 * Names are handed to the host one component at a time, and a symbolic link of the host becomes one of
 * the guest, which resolves it inside its own tree: nothing outside the folder can be reached.
 */

import type { FileStore } from './file-store.js';
import type { DirectorySource, Inode } from './inode.js';
import { Directory, RegularFile, Symlink } from './inode.js';

export interface HostEntry {
  readonly kind: 'file' | 'directory' | 'symlink';
  /** Permission bits. */
  readonly mode: number;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
}

/** What the surroundings offer: paths are relative to the folder, `/` between components. */
export interface HostFolder {
  list(path: string): readonly string[];
  /** Undefined where there is nothing, or nothing a guest may see. Does not follow links. */
  entry(path: string): HostEntry | undefined;
  read(path: string): Uint8Array;
  readLink(path: string): string;
}

/** The entries of one folder of the host. */
export class HostSource implements DirectorySource {
  readonly #folder: HostFolder;
  readonly #path: string;
  readonly #store: FileStore;
  readonly #nextInode: () => number;
  readonly #owner: () => Directory;

  constructor(
    folder: HostFolder,
    path: string,
    store: FileStore,
    nextInode: () => number,
    owner: () => Directory,
  ) {
    this.#folder = folder;
    this.#path = path;
    this.#store = store;
    this.#nextInode = nextInode;
    this.#owner = owner;
  }

  list(): readonly string[] {
    return this.#folder.list(this.#path);
  }

  lookup(name: string): Inode | undefined {
    const path = this.#path === '' ? name : `${this.#path}/${name}`;
    const entry = this.#folder.entry(path);
    if (entry === undefined) return undefined;
    const inode = this.#make(path, entry);
    const time = BigInt(Math.trunc(entry.modified)) * 1_000_000n;
    inode.times = { access: time, modify: time, change: time };
    return inode;
  }

  #make(path: string, entry: HostEntry): Inode {
    const ino = this.#nextInode();
    switch (entry.kind) {
      case 'directory': {
        const directory: Directory = new Directory(
          ino,
          entry.mode,
          this.#owner(),
          new HostSource(this.#folder, path, this.#store, this.#nextInode, () => directory),
        );
        return directory;
      }
      case 'file':
        return new RegularFile(ino, entry.mode, this.#store, `/${path}`, {
          size: entry.size,
          load: () => this.#folder.read(path),
        });
      case 'symlink':
        return new Symlink(ino, this.#folder.readLink(path));
    }
  }
}
