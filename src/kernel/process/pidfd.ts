/**
 * Files that stand for a process: pidfd_open(2), CLONE_PIDFD. Who has one cannot mean another process by it, whatever
 * happens to the number.
 *
 * Ref. kernel/pid.c (pidfd_create, pidfd_prepare), kernel/fork.c (pidfd_poll, pidfd_show_fdinfo).
 */
import { EINVAL, type WaitList } from '../contexts/index.js';
import { type Inode, type Io, O_RDWR, OpenFile, POLLIN, POLLRDNORM } from '../fs/index.js';
import type { Process } from './process.js';

export class ProcessFile extends OpenFile {
  /** Undefined while clone(2) has not made it yet. */
  process: Process | undefined;

  constructor(inode: Inode, flags: number, process?: Process) {
    super(inode, O_RDWR | flags, 'anon_inode:[pidfd]');
    this.process = process;
  }

  read(): Io<Uint8Array | number> {
    return -EINVAL;
  }

  write(): Io<number> {
    return -EINVAL;
  }

  /** Readable: the process has ended. */
  override poll(): number {
    return this.process?.end === undefined ? 0 : POLLIN | POLLRDNORM;
  }

  override get waitLists(): readonly WaitList[] {
    return this.process === undefined ? [] : [this.process.exited];
  }

  override get info(): string {
    // A process that nobody can wait for any more has no number.
    const pid = this.process === undefined || this.process.reaped ? -1 : this.process.pid;
    return `Pid:\t${pid}\nNSpid:\t${pid}\n`;
  }
}
