/**
 * POSIX message queues: the folder they have names in, and a queue as an open file.
 *
 * Ref. ipc/mqueue.c (mqueue_get_inode, msg_insert, msg_get, __do_notify, mqueue_read_file); mq_overview(7).
 */
import { bytesOfText } from '../../base/index.js';
import { EACCES, EINVAL, ENAMETOOLONG, WaitList } from '../contexts/index.js';
import { O_NONBLOCK, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, S_IFREG } from './abi.js';
import { type Directory, Inode } from './inode.js';
import { type Io, OpenFile } from './open-file.js';

/** /proc/sys/fs/mqueue. */
export const MQUEUE_LIMITS = {
  queues_max: 256,
  msg_max: 10,
  msgsize_max: 8192,
  msg_default: 10,
  msgsize_default: 8192,
};
/** HARD_MSGMAX and HARD_MSGSIZEMAX: what nobody may have more of. */
export const HARD_MESSAGES = 65536;
export const HARD_BYTES = 1 << 24;
/** MQ_PRIO_MAX. */
export const MOST_PRIORITIES = 32768;
/** sizeof(struct msg_msg) and of struct posix_msg_tree_node, which count against RLIMIT_MSGQUEUE. */
const MESSAGE_OVERHEAD = 48;
const NODE_BYTES = 48;
/** FILENT_SIZE: what stat says of a queue. */
const SHOWN_SIZE = 80;
const NAME_MAX = 255;

export interface QueuedMessage {
  readonly priority: number;
  readonly text: Uint8Array;
}

/** mq_notify(3): who is told of the next message to an empty queue. */
export interface QueueNotification {
  /** The descriptors of the process that asked: it may take it back, and loses it with any descriptor of the queue. */
  readonly owner: object;
  readonly pid: number;
  /** SIGEV_*, and the signal. */
  readonly kind: number;
  readonly signal: number;
  /** Tells it. */
  readonly tell: () => void;
}

export class MqueueInode extends Inode {
  readonly mostMessages: number;
  readonly messageBytes: number;
  /** The highest priority first, then the oldest. */
  readonly messages: QueuedMessage[] = [];
  readonly changed = new WaitList();
  notification: QueueNotification | undefined;
  /** Threads that wait for a message: who waits is served before anybody is told. */
  receivers = 0;

  constructor(ino: number, permissions: number, mostMessages: number, messageBytes: number) {
    super(ino, S_IFREG | (permissions & 0o7777));
    this.mostMessages = mostMessages;
    this.messageBytes = messageBytes;
  }

  override get size(): number {
    return SHOWN_SIZE;
  }

  /** What it takes of its owner's RLIMIT_MSGQUEUE. */
  get charge(): number {
    const nodes = Math.min(this.mostMessages, MOST_PRIORITIES);
    return this.mostMessages * (MESSAGE_OVERHEAD + this.messageBytes) + nodes * NODE_BYTES;
  }

  get full(): boolean {
    return this.messages.length >= this.mostMessages;
  }

  /** msg_insert(), and __do_notify() where the queue was empty and nobody waited. */
  insert(message: QueuedMessage): void {
    const wasEmpty = this.messages.length === 0;
    const after = this.messages.findIndex(({ priority }) => priority < message.priority);
    this.messages.splice(after < 0 ? this.messages.length : after, 0, message);
    const { notification } = this;
    if (wasEmpty && this.receivers === 0 && notification !== undefined) {
      this.notification = undefined;
      notification.tell();
    }
    this.changed.wake(POLLIN | POLLRDNORM);
  }

  /** The next message; there is one. */
  take(): QueuedMessage {
    const message = this.messages.shift()!;
    this.changed.wake(POLLOUT | POLLWRNORM);
    return message;
  }
}

export class MqueueFile extends OpenFile {
  declare readonly inode: MqueueInode;
  #position = 0;

  constructor(inode: MqueueInode, flags: number, path: string) {
    super(inode, flags, path);
  }

  get nonblocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  /** One line of its state. */
  read(_waiter: unknown, count: number, offset?: number): Io<Uint8Array | number> {
    const { messages, notification } = this.inode;
    const bytes = messages.reduce((sum, { text }) => sum + text.length, 0);
    const { kind = 0, signal = 0, pid = 0 } = notification ?? {};
    const pad = (value: number, width: number) => String(value).padEnd(width);
    const text = `QSIZE:${pad(bytes, 10)} NOTIFY:${pad(kind, 5)} SIGNO:${pad(signal, 5)} NOTIFY_PID:${pad(pid, 6)}\n`;
    const at = offset ?? this.#position;
    const piece = bytesOfText(text).slice(at, at + count);
    if (offset === undefined) this.#position += piece.length;
    return piece;
  }

  write(): Io<number> {
    return -EINVAL;
  }

  override poll(): number {
    const { messages, full } = this.inode;
    return (messages.length > 0 ? POLLIN | POLLRDNORM : 0) | (full ? 0 : POLLOUT | POLLWRNORM);
  }

  override get waitLists(): readonly WaitList[] {
    return [this.inode.changed];
  }

  /** mqueue_flush_file(). */
  override flush(owner: object): void {
    if (this.inode.notification?.owner === owner) this.inode.notification = undefined;
  }
}

/** The names of queues: the root of the file system that is at /dev/mqueue, and what users have in it. */
export class Mqueues {
  readonly root: Directory;
  /** The sysctls, which can be written. */
  readonly limits = { ...MQUEUE_LIMITS };

  constructor(root: Directory) {
    this.root = root;
  }

  /** lookup_one_len(): 0 for what can be a name of a queue. */
  checkName(name: string): number {
    if (bytesOfText(name).length > NAME_MAX) return -ENAMETOOLONG;
    return name.includes('/') || name === '.' || name === '..' ? -EACCES : 0;
  }

  get queues(): readonly MqueueInode[] {
    return this.root
      .names()
      .map((name) => this.root.lookup(name))
      .filter((inode) => inode instanceof MqueueInode);
  }

  /** Bytes of the queues that a user made and that still have names. */
  charged(uid: number): number {
    return this.queues.reduce((sum, queue) => sum + (queue.uid === uid ? queue.charge : 0), 0);
  }
}
