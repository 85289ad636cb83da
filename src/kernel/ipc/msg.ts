/**
 * System V message queues.
 *
 * Ref. ipc/msg.c (do_msgsnd, do_msgrcv, pipelined_send, find_msg); msgop(2).
 */
import {
  E2BIG,
  EAGAIN,
  EIDRM,
  EINVAL,
  ENOMSG,
  ERESTARTNOHAND,
  type MaySleep,
  type Waiter,
  WaitList,
} from '../contexts/index.js';
import {
  IPC,
  type IpcCaller,
  IpcIds,
  type IpcObject,
  type IpcPermissions,
  ipcLine,
  writePermissions,
} from './ids.js';

const MSGMNI = 32000;
export const MSGMAX = 8192;
const MSGMNB = 16384;
export const MSG = { NOERROR: 0o10000, EXCEPT: 0o20000, COPY: 0o40000 } as const;

export interface Message {
  readonly type: bigint;
  readonly text: Uint8Array;
}

export interface MessageQueue extends IpcObject {
  readonly perm: IpcPermissions;
  readonly messages: Message[];
  /** Bytes of text it holds, and holds at most. */
  bytes: number;
  mostBytes: number;
  sent: bigint;
  received: bigint;
  changed: bigint;
  lastSender: number;
  lastReceiver: number;
  removed: boolean;
  /** Woken at every change. */
  readonly events: WaitList;
}

/** find_msg(): by type as msgrcv has it; with MSG_COPY by place. */
function findMessage({ messages }: MessageQueue, type: bigint, flags: number): number {
  if ((flags & MSG.COPY) !== 0) return type >= 0n && type < BigInt(messages.length) ? Number(type) : -1;
  if (type === 0n) return messages.length > 0 ? 0 : -1;
  if (type > 0n) {
    const except = (flags & MSG.EXCEPT) !== 0;
    return messages.findIndex((message) => (message.type === type) !== except);
  }
  let best = -1;
  messages.forEach((message, i) => {
    if (message.type <= -type && (best < 0 || message.type < messages[best]!.type)) best = i;
  });
  return best;
}

export class MessageQueues {
  readonly ids = new IpcIds<MessageQueue>(MSGMNI);
  readonly #now: () => bigint;

  /** @param now seconds since 1970. */
  constructor(now: () => bigint) {
    this.#now = now;
  }

  /** msgget(2). */
  open(caller: IpcCaller, key: number, flags: number): number {
    return this.ids.open(
      caller,
      key,
      flags,
      (perm) => ({
        perm,
        messages: [],
        bytes: 0,
        mostBytes: MSGMNB,
        sent: 0n,
        received: 0n,
        changed: this.#now(),
        lastSender: 0,
        lastReceiver: 0,
        removed: false,
        events: new WaitList(),
      }),
      () => 0,
    );
  }

  /** Sleeps until the queue changes; a negative errno where nothing more will come of it. */
  *#wait(queue: MessageQueue, waiter: Waiter): MaySleep<number> {
    if (waiter.interrupted) return -ERESTARTNOHAND;
    queue.events.add(waiter);
    try {
      yield waiter.sleeper.point;
    } finally {
      queue.events.remove(waiter);
    }
    return queue.removed ? -EIDRM : 0;
  }

  /** msgsnd(2). */
  *send(queue: MessageQueue, message: Message, flags: number, waiter: Waiter, pid: number): MaySleep<number> {
    const { length } = message.text;
    while (length + queue.bytes > queue.mostBytes || queue.messages.length + 1 > queue.mostBytes) {
      if ((flags & IPC.NOWAIT) !== 0) return -EAGAIN;
      const error = yield* this.#wait(queue, waiter);
      if (error !== 0) return error;
    }
    queue.messages.push(message);
    queue.bytes += length;
    queue.lastSender = pid;
    queue.sent = this.#now();
    queue.events.wake();
    return 0;
  }

  /** msgrcv(2): the message, or a negative errno. `most`: bytes of text there is room for. */
  *receive(
    queue: MessageQueue,
    type: bigint,
    most: number,
    flags: number,
    waiter: Waiter,
    pid: number,
  ): MaySleep<Message | number> {
    const isCopy = (flags & MSG.COPY) !== 0;
    if (isCopy && ((flags & MSG.EXCEPT) !== 0 || (flags & IPC.NOWAIT) === 0)) return -EINVAL;
    for (;;) {
      const at = findMessage(queue, type, flags);
      const message = queue.messages[at];
      if (message !== undefined) {
        if (message.text.length > most && (flags & MSG.NOERROR) === 0) return -E2BIG;
        if (isCopy) return message;
        queue.messages.splice(at, 1);
        queue.bytes -= message.text.length;
        queue.lastReceiver = pid;
        queue.received = this.#now();
        queue.events.wake();
        return message;
      }
      if ((flags & IPC.NOWAIT) !== 0) return -ENOMSG;
      const error = yield* this.#wait(queue, waiter);
      if (error !== 0) return error;
    }
  }

  /** IPC_RMID: who waits gets -EIDRM. */
  remove(queue: MessageQueue): void {
    this.ids.remove(queue);
    queue.removed = true;
    queue.events.wake();
  }

  touch(queue: MessageQueue): void {
    queue.changed = this.#now();
    queue.events.wake();
  }

  /** Messages and bytes of all queues: MSG_INFO. */
  totals(): { readonly messages: number; readonly bytes: number } {
    return this.ids.all.reduce(
      (sum, queue) => ({
        messages: sum.messages + queue.messages.length,
        bytes: sum.bytes + queue.bytes,
      }),
      { messages: 0, bytes: 0 },
    );
  }

  /** /proc/sysvipc/msg. */
  text(): string {
    const rows = this.ids.all.map((queue) => {
      const { perm } = queue;
      return ipcLine([
        [perm.key | 0, 10],
        [perm.id, 10],
        [perm.mode.toString(8), 5],
        [queue.bytes, 11],
        [queue.messages.length, 10],
        [queue.lastSender, 5],
        [queue.lastReceiver, 5],
        [perm.uid, 5],
        [perm.gid, 5],
        [perm.cuid, 5],
        [perm.cgid, 5],
        [String(queue.sent), 10],
        [String(queue.received), 10],
        [String(queue.changed), 10],
      ]);
    });
    return [
      '       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n',
      ...rows,
    ].join('');
  }
}

/** struct msqid64_ds of 120 bytes. */
export function messageQueueBytes(queue: MessageQueue): Uint8Array {
  const bytes = new Uint8Array(120);
  const view = new DataView(bytes.buffer);
  writePermissions(view, queue.perm);
  [
    queue.sent,
    queue.received,
    queue.changed,
    BigInt(queue.bytes),
    BigInt(queue.messages.length),
    BigInt(queue.mostBytes),
  ].forEach((word, i) => {
    view.setBigUint64(48 + 8 * i, word, true);
  });
  view.setInt32(96, queue.lastSender, true);
  view.setInt32(100, queue.lastReceiver, true);
  return bytes;
}

/** struct msginfo of 32 bytes; for MSG_INFO the first, second and seventh are what is in use. */
export function messageLimits(used = { queues: 512000, messages: 16384, bytes: 16384 }): Uint8Array {
  const words = Int32Array.of(used.queues, used.messages, MSGMAX, MSGMNB, MSGMNI, 16, used.bytes, 0xffff);
  return new Uint8Array(words.buffer);
}
