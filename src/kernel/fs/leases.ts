/**
 * Leases: who has one on a file is told before another opens it in a way that is in conflict, and has a while to give
 * it back.
 *
 * Ref. fs/locks.c (generic_add_lease, check_conflicting_open, __break_lease, time_out_leases); fcntl(2).
 */
import { EAGAIN, EINVAL, WaitList } from '../contexts/index.js';
import { O_ACCMODE, O_RDONLY, O_TRUNC } from './abi.js';
import { RegularFile } from './inode.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from './locks.js';
import type { OpenFile } from './open-file.js';

/** fs.lease-break-time, in seconds. */
export const LEASE_BREAK_TIME = 45;

export interface Lease {
  readonly file: OpenFile;
  type: number;
  /** What it is to become, F_UNLCK or F_RDLCK, and until when. */
  breaking: { readonly to: number; readonly until: bigint } | undefined;
  /** Tells the holder. */
  readonly tell: () => void;
}

export class Leases {
  readonly #byInode = new Map<RegularFile, Set<Lease>>();
  readonly changed = new WaitList();

  get none(): boolean {
    return this.#byInode.size === 0;
  }

  #of(inode: RegularFile): readonly Lease[] {
    return [...(this.#byInode.get(inode) ?? [])];
  }

  /** F_GETLEASE: of one that is being broken, what it is to become. */
  typeOf(file: OpenFile, now: bigint): number {
    if (!(file.inode instanceof RegularFile)) return F_UNLCK;
    this.#timeOut(file.inode, now);
    const own = this.#of(file.inode).find((lease) => lease.file === file);
    return own === undefined ? F_UNLCK : (own.breaking?.to ?? own.type);
  }

  /** F_SETLEASE: 0 or a negative errno. */
  set(file: OpenFile, type: number, now: bigint, tell: () => void): number {
    const { inode } = file;
    if (!(inode instanceof RegularFile)) return -EINVAL;
    this.#timeOut(inode, now);
    const leases = this.#of(inode);
    const own = leases.find((lease) => lease.file === file);
    if (type === F_UNLCK) {
      if (own === undefined) return -EAGAIN;
      this.#drop(inode, own);
      return 0;
    }
    if (type === F_RDLCK ? inode.writers > 0 : inode.opens > 1) return -EAGAIN;
    const others = leases.filter((lease) => lease !== own);
    if (others.some((lease) => type === F_WRLCK || lease.breaking?.to === F_UNLCK)) return -EAGAIN;
    if (own !== undefined) {
      // A lease that is being broken can be given back, or be made what it is to become.
      if (own.breaking !== undefined && type === F_WRLCK) return -EAGAIN;
      own.type = type;
      own.breaking = undefined;
      this.changed.wake();
      return 0;
    }
    const lease: Lease = { file, type, breaking: undefined, tell };
    this.#byInode.set(inode, new Set([...leases, lease]));
    file.onRelease.add(() => this.#drop(inode, lease));
    return 0;
  }

  #drop(inode: RegularFile, lease: Lease): void {
    const leases = this.#byInode.get(inode);
    if (leases?.delete(lease) !== true) return;
    if (leases.size === 0) this.#byInode.delete(inode);
    this.changed.wake();
  }

  /** time_out_leases(): the time to give it back is over. */
  #timeOut(inode: RegularFile, now: bigint): void {
    for (const lease of this.#of(inode)) {
      if (lease.breaking === undefined || lease.breaking.until > now) continue;
      if (lease.breaking.to === F_UNLCK) {
        this.#drop(inode, lease);
      } else {
        lease.type = lease.breaking.to;
        lease.breaking = undefined;
      }
    }
  }

  /**
   * __break_lease(): holders of what is in the way of an open are told, once.
   *
   * @returns when it is to be asked again (monotonic nanoseconds); undefined where nothing is in the way.
   */
  breakFor(inode: RegularFile, flags: number, now: bigint): bigint | undefined {
    this.#timeOut(inode, now);
    const writes = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
    const inTheWay = this.#of(inode).filter(({ type }) => writes || type === F_WRLCK);
    const to = writes ? F_UNLCK : F_RDLCK;
    for (const lease of inTheWay) {
      if (lease.breaking !== undefined && (lease.breaking.to === to || lease.breaking.to === F_UNLCK))
        continue;
      lease.breaking = { to, until: now + BigInt(LEASE_BREAK_TIME) * 1_000_000_000n };
      lease.tell();
    }
    return inTheWay.reduce<bigint | undefined>((latest, { breaking }) => {
      const until = breaking?.until ?? now;
      return latest === undefined || until > latest ? until : latest;
    }, undefined);
  }
}
