/**
 * File locks: flock(2)'s of open files, fcntl(2)'s POSIX locks of descriptor tables, and those of open file
 * descriptions.
 *
 * All are advisory and kept by inode. A POSIX lock goes when its table closes any descriptor of the file, the
 * others when the last descriptor of their open file does.
 *
 * Ref. fs/locks.c (flock_lock_inode, posix_lock_inode, posix_locks_deadlock, locks_show).
 */
import { EAGAIN, EDEADLK, ERESTARTSYS, type MaySleep, type Waiter, WaitList } from '../contexts/index.js';
import type { Inode } from './inode.js';

export const F_RDLCK = 0;
export const F_WRLCK = 1;
export const F_UNLCK = 2;
/** The last byte of any file: a range without an end reaches to it. */
export const OFFSET_MAX = 2n ** 63n - 1n;
/** MAX_DEADLK_ITERATIONS: a longer chain of waiters counts as none. */
const MOST_LINKS = 10;

export type LockKind = 'flock' | 'posix' | 'ofd';

export interface FileLock {
  readonly kind: LockKind;
  readonly type: typeof F_RDLCK | typeof F_WRLCK;
  /** First and last byte. */
  readonly start: bigint;
  readonly end: bigint;
  /** A descriptor table (POSIX) or an open file. */
  readonly owner: object;
  /** The process that took it; -1 of open file descriptions. */
  readonly pid: number;
  /** When it was granted, counted: /proc/locks shows the newest first. */
  readonly since?: number;
}

interface Blocked {
  readonly request: FileLock;
  readonly by: FileLock;
}

const overlap = (a: FileLock, b: FileLock): boolean => a.start <= b.end && b.start <= a.end;
const isFlock = ({ kind }: FileLock): boolean => kind === 'flock';

/** flock_locks_conflict() and posix_locks_conflict(): the two families do not see each other. */
function conflicts(held: FileLock, wanted: FileLock): boolean {
  if (isFlock(held) !== isFlock(wanted)) return false;
  if (held.owner === wanted.owner && held.kind === wanted.kind) return false;
  return (held.type === F_WRLCK || wanted.type === F_WRLCK) && overlap(held, wanted);
}

/** Parts of `lock` outside [start, end]. */
function outside(lock: FileLock, start: bigint, end: bigint): FileLock[] {
  const parts: FileLock[] = [];
  if (lock.start < start) parts.push({ ...lock, end: start - 1n });
  if (lock.end > end) parts.push({ ...lock, start: end + 1n });
  return parts;
}

/** The locks of one inode. */
export class InodeLocks {
  readonly inode: Inode;
  readonly #all: FileLocks;
  held: readonly FileLock[] = [];
  readonly blocked = new Set<Blocked>();
  readonly #changed = new WaitList();

  constructor(inode: Inode, all: FileLocks) {
    this.inode = inode;
    this.#all = all;
  }

  /** F_GETLK: a lock that is in the way. */
  inTheWay(wanted: FileLock): FileLock | undefined {
    return this.held.find((held) => conflicts(held, wanted));
  }

  #set(held: readonly FileLock[]): void {
    this.held = held;
    this.#all.note(this);
    this.#changed.wake();
  }

  /** Gives up what the owner has in [start, end] of that kind. */
  unlock(kind: LockKind, owner: object, start = 0n, end = OFFSET_MAX): void {
    const next = this.held.flatMap((lock) =>
      lock.kind === kind && lock.owner === owner && lock.start <= end && lock.end >= start
        ? outside(lock, start, end)
        : [lock],
    );
    if (next.length !== this.held.length || next.some((lock, i) => lock !== this.held[i])) this.#set(next);
  }

  /** The new lock takes the place of the owner's others there, and joins what it touches of its own type. */
  #grant(wanted: FileLock): void {
    let { start, end } = wanted;
    const rest: FileLock[] = [];
    let since: number | undefined;
    for (const lock of this.held) {
      const own = lock.kind === wanted.kind && lock.owner === wanted.owner;
      const touches = lock.start <= wanted.end + 1n && wanted.start <= lock.end + 1n;
      if (own && lock.type === wanted.type && touches) {
        if (lock.start < start) start = lock.start;
        if (lock.end > end) end = lock.end;
        since ??= lock.since;
      } else if (own && overlap(lock, wanted)) {
        rest.push(...outside(lock, wanted.start, wanted.end));
      } else {
        rest.push(lock);
      }
    }
    const granted = { ...wanted, start, end, since: since ?? this.#all.grants() };
    const after = rest.findIndex(
      (lock) => !isFlock(lock) && lock.owner === wanted.owner && lock.start > start,
    );
    rest.splice(after < 0 ? rest.length : after, 0, granted);
    this.#set(rest);
  }

  /**
   * Takes a lock: 0, -EAGAIN where one is in the way and nobody waits, -EDEADLK, or -ERESTARTSYS after a signal.
   */
  *lock(wanted: FileLock, waits: boolean, waiter: Waiter): MaySleep<number> {
    const before = this.held.find((lock) => isFlock(lock) && lock.owner === wanted.owner);
    if (isFlock(wanted) && before !== undefined) {
      if (before.type === wanted.type) return 0;
      // A conversion is not atomic: the old lock goes first.
      this.unlock('flock', wanted.owner);
    }
    for (;;) {
      const by = this.inTheWay(wanted);
      if (by === undefined) {
        this.#grant(wanted);
        return 0;
      }
      if (!waits) return -EAGAIN;
      if (wanted.kind === 'posix' && this.#all.deadlocks(wanted, by)) return -EDEADLK;
      if (waiter.interrupted) return -ERESTARTSYS;
      const blocked: Blocked = { request: wanted, by };
      this.blocked.add(blocked);
      this.#changed.add(waiter);
      this.#all.note(this);
      try {
        yield waiter.sleeper.point;
      } finally {
        this.#changed.remove(waiter);
        this.blocked.delete(blocked);
        this.#all.note(this);
      }
    }
  }
}

export class FileLocks {
  /** Inodes with locks or waiters. */
  readonly #used = new Set<InodeLocks>();
  #granted = 0;

  /** The locks of an inode, made where it has none yet. */
  of(inode: Inode): InodeLocks {
    inode.locks ??= new InodeLocks(inode, this);
    return inode.locks;
  }

  note(locks: InodeLocks): void {
    if (locks.held.length > 0 || locks.blocked.size > 0) this.#used.add(locks);
    else this.#used.delete(locks);
  }

  /** How many were granted so far. */
  grants(): number {
    return ++this.#granted;
  }

  /** posix_locks_deadlock(): whoever is in the way waits, in the end, for the caller. */
  deadlocks(wanted: FileLock, by: FileLock): boolean {
    let holder = by.owner;
    for (let links = 0; links < MOST_LINKS; links++) {
      if (holder === wanted.owner) return true;
      const blocked = this.#waitOf(holder);
      if (blocked === undefined) return false;
      holder = blocked.by.owner;
    }
    return false;
  }

  #waitOf(owner: object): Blocked | undefined {
    for (const { blocked } of this.#used) {
      for (const each of blocked)
        if (each.request.kind === 'posix' && each.request.owner === owner) return each;
    }
    return undefined;
  }

  /** /proc/locks. */
  text(): string {
    const lines: string[] = [];
    const all = [...this.#used].flatMap((locks) => locks.held.map((lock) => ({ lock, locks })));
    all.sort((a, b) => (b.lock.since ?? 0) - (a.lock.since ?? 0));
    all.forEach(({ lock, locks: { blocked, inode } }, i) => {
      lines.push(`${i + 1}: ${describeLock(lock, inode)}\n`);
      for (const { request, by } of blocked) {
        if (by === lock) lines.push(`${i + 1}: -> ${describeLock(request, inode)}\n`);
      }
    });
    return lines.join('');
  }
}

/** A lock as /proc/locks and fdinfo show it, without its number. */
export function describeLock(lock: FileLock, inode: Inode): string {
  const kind = { flock: 'FLOCK  ADVISORY ', posix: 'POSIX  ADVISORY ', ofd: 'OFDLCK ADVISORY ' }[lock.kind];
  const device = inode.store?.device ?? 1;
  const place = [device >>> 8, device & 0xff].map((part) => part.toString(16).padStart(2, '0')).join(':');
  const end = lock.end === OFFSET_MAX ? 'EOF' : String(lock.end);
  return `${kind} ${lock.type === F_WRLCK ? 'WRITE' : 'READ'} ${lock.pid} ${place}:${inode.ino} ${lock.start} ${end}`;
}
