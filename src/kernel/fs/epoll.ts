/**
 * epoll: a file that watches others and keeps a list of those that may have something to tell.
 *
 * A wake-up of a watched file puts its watch on the ready list; whoever waits polls what is on the list.
 * A level-triggered watch goes back on the list after it was reported, an edge-triggered one waits for
 * the next wake-up, a one-shot one for the next EPOLL_CTL_MOD.
 *
 * Ref. fs/eventpoll.c (ep_insert, ep_poll_callback, ep_send_events, ep_loop_check), epoll(7).
 */
import { EEXIST, EINVAL, ELOOP, ENOENT, EPERM, WaitList } from '../contexts/index.js';
import { O_RDWR, POLLERR, POLLHUP, POLLIN, POLLRDNORM } from './abi.js';
import type { Inode } from './inode.js';
import { type Io, OpenFile } from './open-file.js';

export const EPOLLET = 0x80000000;
export const EPOLLONESHOT = 0x40000000;
export const EPOLLWAKEUP = 0x20000000;
export const EPOLLEXCLUSIVE = 0x10000000;
const PRIVATE_BITS = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE;
/** EP_MAX_NESTS: epoll files that watch epoll files. */
const MOST_NESTED = 4;

interface Watch {
  readonly file: OpenFile;
  events: number;
  data: bigint;
  unlisten: (() => void)[];
}

/** What epoll_wait gives for one watch. */
export interface ReadyEvent {
  readonly events: number;
  readonly data: bigint;
}

export class EventPoll extends OpenFile {
  /** By file and descriptor: a duplicate of a descriptor is watched on its own. */
  readonly #watches = new Map<OpenFile, Map<number, Watch>>();
  readonly #ready = new Set<Watch>();
  readonly #changed = new WaitList();

  constructor(inode: Inode) {
    super(inode, O_RDWR, 'anon_inode:[eventpoll]');
  }

  /** get_epoll_tfile_raw_ptr(): of the files that are watched under this descriptor, the `skip`-th. */
  watched(fd: number, skip: number): OpenFile | undefined {
    let left = skip;
    for (const [file, byDescriptor] of this.#watches) {
      if (byDescriptor.has(fd) && left-- === 0) return file;
    }
    return undefined;
  }

  read(): Io<Uint8Array | number> {
    return -EINVAL;
  }

  write(): Io<number> {
    return -EINVAL;
  }

  override poll(): number {
    for (const watch of this.#ready) {
      if (this.#happened(watch) !== 0) return POLLIN | POLLRDNORM;
      this.#ready.delete(watch);
    }
    return 0;
  }

  override get waitLists(): readonly WaitList[] {
    return [this.#changed];
  }

  #find(file: OpenFile, fd: number): Watch | undefined {
    return this.#watches.get(file)?.get(fd);
  }

  #happened(watch: Watch): number {
    if ((watch.events & ~PRIVATE_BITS) === 0) return 0;
    return watch.file.poll() & ((watch.events & ~PRIVATE_BITS) | POLLERR | POLLHUP);
  }

  /** EPOLL_CTL_ADD: 0, -EEXIST, -EPERM for files that are always ready, -EINVAL or -ELOOP for circles. */
  add(file: OpenFile, fd: number, events: number, data: bigint): number {
    if (!file.pollable) return -EPERM;
    if (file === this) return -EINVAL;
    if (this.#find(file, fd) !== undefined) return -EEXIST;
    if (file instanceof EventPoll && (file.#reaches(this) || file.#depth() > MOST_NESTED)) return -ELOOP;
    const watch: Watch = { file, events, data, unlisten: [] };
    // eventpoll_release(): a file that is gone is watched no more.
    const gone = () => void this.remove(file, fd);
    file.onRelease.add(gone);
    watch.unlisten = [
      ...file.waitLists.map((list) => list.listen((woken) => this.#woken(watch, woken))),
      () => void file.onRelease.delete(gone),
    ];
    const ofFile = this.#watches.get(file) ?? new Map<number, Watch>();
    ofFile.set(fd, watch);
    this.#watches.set(file, ofFile);
    this.#look(watch);
    return 0;
  }

  /** EPOLL_CTL_MOD. */
  modify(file: OpenFile, fd: number, events: number, data: bigint): number {
    const watch = this.#find(file, fd);
    if (watch === undefined) return -ENOENT;
    if (((events | watch.events) & EPOLLEXCLUSIVE) !== 0) return -EINVAL;
    watch.events = events;
    watch.data = data;
    this.#look(watch);
    return 0;
  }

  /** EPOLL_CTL_DEL. */
  remove(file: OpenFile, fd: number): number {
    const watch = this.#find(file, fd);
    if (watch === undefined) return -ENOENT;
    const ofFile = this.#watches.get(file)!;
    ofFile.delete(fd);
    if (ofFile.size === 0) this.#watches.delete(file);
    this.#drop(watch);
    return 0;
  }

  #drop(watch: Watch): void {
    this.#ready.delete(watch);
    for (const unlisten of watch.unlisten) unlisten();
  }

  /** A new or changed watch may have something to tell at once. */
  #look(watch: Watch): void {
    if (this.#happened(watch) === 0) return;
    this.#ready.add(watch);
    this.#changed.wake();
  }

  /** ep_poll_callback(). */
  #woken(watch: Watch, events: number): void {
    const wanted = (watch.events & ~PRIVATE_BITS) | POLLERR | POLLHUP;
    if ((watch.events & ~PRIVATE_BITS) === 0 || (events & wanted) === 0) return;
    this.#ready.add(watch);
    this.#changed.wake();
  }

  /** ep_send_events(): at most `most` events, in the order they came. */
  take(most: number): ReadyEvent[] {
    const events: ReadyEvent[] = [];
    const again: Watch[] = [];
    for (const watch of this.#ready) {
      if (events.length >= most) break;
      this.#ready.delete(watch);
      const happened = this.#happened(watch);
      if (happened === 0) continue;
      events.push({ events: happened, data: watch.data });
      if ((watch.events & EPOLLONESHOT) !== 0) watch.events &= PRIVATE_BITS;
      else if ((watch.events & EPOLLET) === 0) again.push(watch);
    }
    for (const watch of again) this.#ready.add(watch);
    return events;
  }

  /** Whether watching goes from this file to `other`. */
  #reaches(other: EventPoll): boolean {
    for (const file of this.#watches.keys()) {
      if (file === other || (file instanceof EventPoll && file.#reaches(other))) return true;
    }
    return false;
  }

  #depth(): number {
    let deepest = 0;
    for (const file of this.#watches.keys()) {
      if (file instanceof EventPoll) deepest = Math.max(deepest, file.#depth());
    }
    return deepest + 1;
  }

  /** Lines of /proc/PID/fdinfo. */
  describe(): string {
    let text = '';
    for (const ofFile of this.#watches.values()) {
      for (const [fd, { events, data }] of ofFile) {
        text += `tfd: ${String(fd).padStart(8)} events: ${(events >>> 0).toString(16).padStart(8)} data: ${data.toString(16).padStart(16)}\n`;
      }
    }
    return text;
  }

  override release(): void {
    for (const [file, ofFile] of [...this.#watches]) {
      this.#watches.delete(file);
      for (const watch of ofFile.values()) this.#drop(watch);
    }
  }
}
