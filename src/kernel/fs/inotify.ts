/**
 * inotify: files that tell of what happens to other files, and the points of the file system that tell them.
 *
 * A watch belongs to an inode. What happens to a file is told to its own watches, and with its name to those of the
 * folder it was found in; what happens to a name is told to the folder's alone.
 *
 * Ref. fs/notify/inotify (inotify_merge, copy_event_to_user, inotify_update_existing_watch), fs/notify/fsnotify.c
 * (__fsnotify_parent), include/linux/fsnotify.h (fsnotify_move, fsnotify_change); inotify(7).
 */
import { bytesOfText } from '../../base/index.js';
import {
  EAGAIN,
  EEXIST,
  EINVAL,
  ENOSPC,
  ERESTARTSYS,
  type MaySleep,
  type Waiter,
  WaitList,
  waitFor,
} from '../contexts/index.js';
import { O_NONBLOCK, O_RDONLY, POLLIN, POLLRDNORM } from './abi.js';
import { Directory, type Inode } from './inode.js';
import { type Io, OpenFile } from './open-file.js';
import { FIONREAD } from './pipe.js';

/** include/uapi/linux/inotify.h. */
export const IN = {
  ACCESS: 0x1,
  MODIFY: 0x2,
  ATTRIB: 0x4,
  CLOSE_WRITE: 0x8,
  CLOSE_NOWRITE: 0x10,
  OPEN: 0x20,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  UNMOUNT: 0x2000,
  Q_OVERFLOW: 0x4000,
  IGNORED: 0x8000,
  ONLYDIR: 0x1000000,
  DONT_FOLLOW: 0x2000000,
  EXCL_UNLINK: 0x4000000,
  MASK_CREATE: 0x10000000,
  MASK_ADD: 0x20000000,
  ISDIR: 0x40000000,
  ONESHOT: 0x80000000,
} as const;
/** IN_ALL_EVENTS. */
const EVENTS = 0xfff;
/** FS_DN_RENAME: a name changed inside one folder; dnotify alone asks. */
export const DN_RENAMED = 0x20000;
/** What a folder is told of its files. */
const ON_CHILD = IN.ACCESS | IN.MODIFY | IN.ATTRIB | IN.CLOSE_WRITE | IN.CLOSE_NOWRITE | IN.OPEN;
/** ALL_INOTIFY_BITS. */
export const IN_ALL_BITS = Object.values(IN).reduce((all, bit) => (all | bit) >>> 0, EVENTS);

/** fs.inotify.max_queued_events, max_user_instances and max_user_watches. */
export const INOTIFY_LIMITS = { max_queued_events: 16384, max_user_instances: 128, max_user_watches: 8192 };
/** struct inotify_event without the name, which is padded to a multiple of it. */
const EVENT_BYTES = 16;

/** A name in a folder. */
export interface Place {
  readonly parent: Directory;
  readonly name: string;
}

/** Who is told: an inotify file, or the owner of a folder's file (dnotify). */
interface Listener {
  tell(watch: Watch, mask: number, name: string, cookie: number): void;
  drop(watch: Watch): void;
}

interface Watch {
  readonly file: Listener;
  readonly wd: number;
  readonly inode: Inode;
  mask: number;
}

interface Event {
  readonly wd: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

const nameRoom = (name: string): number =>
  name === '' ? 0 : Math.ceil((bytesOfText(name).length + 1) / EVENT_BYTES) * EVENT_BYTES;

/** Every watch there is, and the points that tell them. */
export class Notifier {
  readonly #watches = new Map<Inode, Set<Watch>>();
  /** Files that are open, by the user who opened them. */
  readonly instances = new Map<number, number>();
  /** The sysctls, which can be written. */
  readonly limits = { ...INOTIFY_LIMITS };
  #nextCookie = 1;

  /** Whether anybody listens: where nobody does, nothing is looked up. */
  get active(): boolean {
    return this.#watches.size > 0;
  }

  watchOf(inode: Inode, file: Listener): Watch | undefined {
    for (const watch of this.#watches.get(inode) ?? []) if (watch.file === file) return watch;
    return undefined;
  }

  readonly #folders = new Map<Watch, object>();

  /** The F_NOTIFY watch of a folder that belongs to a process's descriptors. */
  folderWatch(inode: Directory, owner: object): Watch | undefined {
    for (const watch of this.#watches.get(inode) ?? []) if (this.#folders.get(watch) === owner) return watch;
    return undefined;
  }

  /** F_NOTIFY: `tell` at each event, or with IN_ONESHOT at the first; no longer than a descriptor of it is open. */
  watchFolder(inode: Directory, owner: object, file: OpenFile, mask: number, tell: () => void): void {
    const drop = (watch: Watch) => this.remove(watch);
    const listener: Listener = {
      drop,
      tell(watch) {
        tell();
        if ((watch.mask & IN.ONESHOT) !== 0) drop(watch);
      },
    };
    const watch: Watch = { file: listener, wd: 0, inode, mask };
    this.add(watch);
    this.#folders.set(watch, owner);
    file.onRelease.add(() => drop(watch));
  }

  add(watch: Watch): void {
    const known = this.#watches.get(watch.inode);
    if (known === undefined) this.#watches.set(watch.inode, new Set([watch]));
    else known.add(watch);
  }

  remove(watch: Watch): void {
    const known = this.#watches.get(watch.inode);
    known?.delete(watch);
    if (known?.size === 0) this.#watches.delete(watch.inode);
    this.#folders.delete(watch);
  }

  /** fsnotify_create(), fsnotify_delete() and the two halves of a move: of a name in a folder. */
  name(place: Place, inode: Inode, event: number, cookie = 0): void {
    this.#send(place.parent, event | isFolder(inode), place.name, cookie);
  }

  /** fsnotify_dentry(): of a file, and of one of a folder where it was found in one. */
  inode(inode: Inode, event: number, place: Place | undefined = inode.place): void {
    if (!this.active) return;
    const mask = event | isFolder(inode);
    if (place !== undefined && (event & ON_CHILD) !== 0) {
      const named = place.parent.lookup(place.name) === inode ? place : inode.place;
      if (named !== undefined && named.name !== '' && inode !== named.parent) {
        this.#send(named.parent, mask, named.name, 0, inode.links === 0);
      }
    }
    this.#send(inode, mask, '', 0);
  }

  /** fsnotify_inode(): of a file alone, whoever watches its folder. */
  self(inode: Inode, event: number): void {
    // inotify_handle_inode_event(): what happens to a folder itself does not say that it is one.
    const says = (event & (IN.DELETE_SELF | IN.MOVE_SELF)) === 0 ? isFolder(inode) : 0;
    this.#send(inode, event | says, '', 0);
  }

  /** fsnotify_inoderemove(): the last name and the last user are gone, and the watches with them. */
  gone(inode: Inode): void {
    this.self(inode, IN.DELETE_SELF);
    this.#end(inode);
  }

  /** fsnotify_move(): both folders, the file that was there, and the one that moved. */
  moved(from: Place, to: Place, inode: Inode, replaced: Inode | undefined): void {
    if (!this.active) return;
    const cookie = this.#nextCookie++;
    const inside = from.parent === to.parent ? DN_RENAMED : 0;
    this.name(from, inode, IN.MOVED_FROM | inside, cookie);
    this.name(to, inode, IN.MOVED_TO | inside, cookie);
    if (replaced !== undefined) this.self(replaced, IN.ATTRIB);
    this.self(inode, IN.MOVE_SELF);
  }

  /** fsnotify_sb_delete(): a file system went away. */
  unmounted(isOfIt: (inode: Inode) => boolean): void {
    for (const inode of [...this.#watches.keys()].filter(isOfIt)) {
      this.self(inode, IN.UNMOUNT);
      this.#end(inode);
    }
  }

  #send(inode: Inode, mask: number, name: string, cookie: number, nameless = false): void {
    for (const watch of [...(this.#watches.get(inode) ?? [])]) {
      if (nameless && (watch.mask & IN.EXCL_UNLINK) !== 0) continue;
      const wanted = watch.mask & mask & (EVENTS | IN.UNMOUNT | DN_RENAMED);
      if (wanted !== 0) watch.file.tell(watch, mask & ~DN_RENAMED, name, cookie);
    }
  }

  #end(inode: Inode): void {
    for (const watch of [...(this.#watches.get(inode) ?? [])]) watch.file.drop(watch);
  }
}

const isFolder = (inode: Inode): number => (inode instanceof Directory ? IN.ISDIR : 0);

export class InotifyFile extends OpenFile {
  readonly #notifier: Notifier;
  readonly #watches = new Map<number, Watch>();
  readonly #changed = new WaitList();
  readonly #events: Event[] = [];
  readonly #most: number;
  #nextWatch = 1;

  constructor(inode: Inode, flags: number, notifier: Notifier) {
    super(inode, O_RDONLY | flags, 'anon_inode:inotify');
    this.#notifier = notifier;
    this.#most = notifier.limits.max_queued_events;
  }

  /** inotify_add_watch(2): the descriptor of a watch that is there already, or of a new one. */
  watch(inode: Inode, bits: number): number {
    const mask = ((bits & (EVENTS | IN.EXCL_UNLINK | IN.ONESHOT)) | IN.UNMOUNT) >>> 0;
    const known = this.#notifier.watchOf(inode, this);
    if (known !== undefined) {
      if ((bits & IN.MASK_CREATE) !== 0) return -EEXIST;
      known.mask = (bits & IN.MASK_ADD) !== 0 ? known.mask | mask : mask;
      return known.wd;
    }
    if (this.#watches.size >= this.#notifier.limits.max_user_watches) return -ENOSPC;
    const watch: Watch = { file: this, wd: this.#nextWatch++, inode, mask };
    this.#watches.set(watch.wd, watch);
    this.#notifier.add(watch);
    return watch.wd;
  }

  /** inotify_rm_watch(2). */
  unwatch(wd: number): number {
    const watch = this.#watches.get(wd);
    if (watch === undefined) return -EINVAL;
    this.drop(watch);
    return 0;
  }

  /** The watch ends, which is an event of its own. */
  drop(watch: Watch): void {
    this.#notifier.remove(watch);
    this.#watches.delete(watch.wd);
    this.#queue({ wd: watch.wd, mask: IN.IGNORED, cookie: 0, name: '' });
  }

  tell(watch: Watch, mask: number, name: string, cookie: number): void {
    this.#queue({ wd: watch.wd, mask: mask >>> 0, cookie, name });
    if ((watch.mask & IN.ONESHOT) !== 0) this.drop(watch);
  }

  #queue(event: Event): void {
    const last = this.#events.at(-1);
    const same = last?.wd === event.wd && last.mask === event.mask && last.name === event.name;
    if (same || last?.mask === IN.Q_OVERFLOW) return;
    const isFull = this.#events.length >= this.#most;
    this.#events.push(isFull ? { wd: -1, mask: IN.Q_OVERFLOW, cookie: 0, name: '' } : event);
    this.#changed.wake(POLLIN | POLLRDNORM);
  }

  *read(waiter: Waiter, count: number): MaySleep<Uint8Array | number> {
    if (this.#events.length === 0) {
      if ((this.flags & O_NONBLOCK) !== 0) return -EAGAIN;
      if (!(yield* waitFor(waiter, [this.#changed], () => this.#events.length > 0))) return -ERESTARTSYS;
    }
    const bytes = new Uint8Array(Math.min(count, this.#queuedBytes()));
    const view = new DataView(bytes.buffer);
    let used = 0;
    let taken = 0;
    for (const { wd, mask, cookie, name } of this.#events) {
      const room = nameRoom(name);
      if (used + EVENT_BYTES + room > count) break;
      view.setInt32(used, wd, true);
      view.setUint32(used + 4, mask, true);
      view.setUint32(used + 8, cookie, true);
      view.setUint32(used + 12, room, true);
      bytes.set(bytesOfText(name), used + EVENT_BYTES);
      used += EVENT_BYTES + room;
      taken++;
    }
    this.#events.splice(0, taken);
    return used === 0 ? -EINVAL : bytes.subarray(0, used);
  }

  #queuedBytes(): number {
    return this.#events.reduce((sum, { name }) => sum + EVENT_BYTES + nameRoom(name), 0);
  }

  write(): Io<number> {
    return -EINVAL;
  }

  override ioctl(request: number): Uint8Array | number {
    if (request !== FIONREAD) return super.ioctl(request);
    return new Uint8Array(Int32Array.of(this.#queuedBytes()).buffer);
  }

  override poll(): number {
    return this.#events.length > 0 ? POLLIN | POLLRDNORM : 0;
  }

  override get waitLists(): readonly WaitList[] {
    return [this.#changed];
  }

  override get info(): string {
    return [...this.#watches.values()]
      .map(({ wd, inode, mask }) => {
        const device = inode.store?.device ?? 0;
        const shown = (mask & (EVENTS | IN.EXCL_UNLINK | IN.ONESHOT)) >>> 0;
        return `inotify wd:${wd} ino:${inode.ino.toString(16)} sdev:${device.toString(16)} mask:${shown.toString(16)} ignored_mask:0 \n`;
      })
      .join('');
  }

  override release(): void {
    for (const watch of this.#watches.values()) this.#notifier.remove(watch);
    this.#watches.clear();
  }
}
