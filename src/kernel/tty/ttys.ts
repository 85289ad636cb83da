/**
 * The terminals there are: the console where the host has one, pseudo-terminals, and their places in /dev.
 *
 * Ref. drivers/tty/tty_io.c (tty_open, tty_open_current_tty), fs/devpts/inode.c.
 */
import { EBUSY, EIO, ENOSPC, ENXIO } from '../contexts/index.js';
import { Directory, type FileSystem, O_NOCTTY, type OpenFile, S_IFCHR, SpecialFile } from '../fs/index.js';
import type { Console } from './console.js';
import { PTMX_MAJOR, Pty, PtyMaster } from './pty.js';
import { Tty, TtyFile, type TtyHost } from './tty.js';

/** kernel.pty.max. */
const MOST_PTYS = 4096;
/** gid=5,mode=620 of devpts, as everybody mounts it. */
const TTY_GROUP = 5;
const device = (minor: number): number => (PTMX_MAJOR << 8) | minor;

export class Ttys {
  readonly #host: TtyHost;
  readonly #files: FileSystem;
  readonly #ptys = new Map<number, Pty>();
  #consoleNode: SpecialFile | undefined;
  /** Undefined where the guest's streams are no terminal. */
  console: Tty | undefined;

  constructor(host: TtyHost, files: FileSystem, console?: Console) {
    this.#host = host;
    this.#files = files;
    const dev = files.root.lookup('dev');
    if (!(dev instanceof Directory)) return;
    const special = (
      minor: number,
      mode: number,
      open: (flags: number, inode: SpecialFile) => OpenFile | number,
    ) => new SpecialFile(files.nextInode(), S_IFCHR | mode, open, device(minor));
    dev.add(
      'tty',
      special(0, 0o666, (flags, inode) => this.#openCurrent(flags, inode)),
    );
    const makePair = (flags: number, inode: SpecialFile) => this.#openMaster(flags, inode);
    dev.add('ptmx', special(2, 0o666, makePair));
    const ptmx = special(2, 0, makePair);
    const slaves = {
      list: () => ['ptmx', ...[...this.#ptys.keys()].map(String)],
      lookup: (name: string) => (name === 'ptmx' ? ptmx : this.#slaveNode(name)),
    };
    dev.add('pts', new Directory(files.nextInode(), 0o755, dev, slaves, true));
    if (console === undefined) return;
    const tty = new Tty('/dev/console', device(1), host, console);
    tty.windowSize = [console.rows, console.columns, 0, 0];
    console.attach(tty);
    this.console = tty;
    this.#consoleNode = special(1, 0o600, (flags, inode) => this.#open(tty, flags, inode));
    dev.add('console', this.#consoleNode);
  }

  /** Everybody's terminal that has the session as its own. */
  ofSession(sid: number): Tty | undefined {
    if (this.console?.session === sid) return this.console;
    for (const { tty } of this.#ptys.values()) if (tty.session === sid) return tty;
    return undefined;
  }

  /** disassociate_ctty(): the leader of a session ends. */
  leaderEnds(sid: number): void {
    this.ofSession(sid)?.hangUp(true);
  }

  /** An open file of the console, which becomes the terminal of a process that begins with it. */
  openConsole(flags: number, owner: { readonly pid: number; readonly pgid: number }): TtyFile | undefined {
    if (this.console === undefined || this.#consoleNode === undefined) return undefined;
    this.console.adopt(owner);
    return new TtyFile(this.#consoleNode, flags, this.console);
  }

  /** The slave's open file (TIOCGPTPEER). */
  openSlave(pty: Pty, flags: number): TtyFile | number {
    return this.#openPty(pty, flags, this.#nodeOf(pty));
  }

  readonly #nodes = new Map<Pty, SpecialFile>();

  #nodeOf(pty: Pty): SpecialFile {
    let node = this.#nodes.get(pty);
    if (node === undefined) {
      const open = (flags: number, inode: SpecialFile) => this.#openPty(pty, flags, inode);
      node = new SpecialFile(this.#files.nextInode(), S_IFCHR | 0o620, open, pty.tty.device);
      node.gid = TTY_GROUP;
      this.#nodes.set(pty, node);
    }
    return node;
  }

  #slaveNode(name: string): SpecialFile | undefined {
    const pty = /^(0|[1-9][0-9]*)$/.test(name) ? this.#ptys.get(Number(name)) : undefined;
    return pty && this.#nodeOf(pty);
  }

  #openMaster(flags: number, inode: SpecialFile): OpenFile | number {
    let index = 0;
    while (this.#ptys.has(index)) index++;
    if (index >= MOST_PTYS) return -ENOSPC;
    const pty = new Pty(index, this.#host);
    this.#ptys.set(index, pty);
    const caller = this.#host.caller();
    if (caller !== undefined) this.#nodeOf(pty);
    return new PtyMaster(inode, flags & ~O_NOCTTY, pty, () => {
      this.#ptys.delete(index);
      this.#nodes.delete(pty);
    });
  }

  #openPty(pty: Pty, flags: number, inode: SpecialFile): TtyFile | number {
    return pty.locked || !this.#ptys.has(pty.index) ? -EIO : this.#open(pty.tty, flags, inode);
  }

  #open(tty: Tty, flags: number, inode: SpecialFile): TtyFile | number {
    if (tty.exclusive) return -EBUSY;
    const caller = this.#host.caller();
    const isFree = tty.session === 0 && (flags & O_NOCTTY) === 0;
    const wantsOne =
      caller !== undefined && caller.pid === caller.sid && this.ofSession(caller.sid) === undefined;
    if (caller !== undefined && isFree && wantsOne) tty.adopt(caller);
    return new TtyFile(inode, flags & ~O_NOCTTY, tty);
  }

  #openCurrent(flags: number, inode: SpecialFile): TtyFile | number {
    const caller = this.#host.caller();
    const tty = caller && this.ofSession(caller.sid);
    return tty === undefined ? -ENXIO : new TtyFile(inode, flags & ~O_NOCTTY, tty);
  }
}
