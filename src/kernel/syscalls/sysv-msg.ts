/**
 * System calls of System V message queues.
 *
 * Ref. ipc/msg.c (ksys_msgctl, ksys_msgsnd, ksys_msgrcv).
 */
import { EACCES, EFAULT, EINVAL, EPERM, type MaySleep } from '../contexts/index.js';
import {
  changePermissions,
  IPC,
  IPC_READ,
  IPC_WRITE,
  ipcAllows,
  ipcOwns,
  MSGMAX,
  messageLimits,
  messageQueueBytes,
} from '../ipc/index.js';
import { CAP, capable, readUser, type Thread, writeUser } from '../process/index.js';
import { int, long, type Syscall, type SyscallServices, uint } from './row.js';
import { ipcCaller, ipcStat } from './sysv-ipc.js';

const CTL = { STAT: 11, INFO: 12, STAT_ANY: 13 } as const;
const MSGMNB = 16384;

function* send(
  { mm, ipc }: SyscallServices,
  thread: Thread,
  id: number,
  address: bigint,
  size: bigint,
  flags: number,
): MaySleep<number> {
  if (id < 0 || size > BigInt(MSGMAX)) return -EINVAL;
  const bytes = yield* readUser(mm, thread, address, 8 + Number(size));
  if (bytes === undefined) return -EFAULT;
  const type = new DataView(bytes.buffer).getBigInt64(0, true);
  if (type < 1n) return -EINVAL;
  const queue = ipc.msg.ids.get(id);
  if (typeof queue === 'number') return queue;
  if (ipcAllows(queue, ipcCaller(thread), IPC_WRITE) !== 0) return -EACCES;
  return yield* ipc.msg.send(queue, { type, text: bytes.slice(8) }, flags, thread, thread.process.pid);
}

function* receive(
  { mm, ipc }: SyscallServices,
  thread: Thread,
  id: number,
  address: bigint,
  size: bigint,
  type: bigint,
  flags: number,
): MaySleep<number> {
  if (id < 0 || long(size) < 0n) return -EINVAL;
  const queue = ipc.msg.ids.get(id);
  if (typeof queue === 'number') return queue;
  if (ipcAllows(queue, ipcCaller(thread), IPC_READ) !== 0) return -EACCES;
  const room = Number(size > BigInt(MSGMAX) ? BigInt(MSGMAX) : size);
  const message = yield* ipc.msg.receive(queue, type, room, flags, thread, thread.process.pid);
  if (typeof message === 'number') return message;
  const text = message.text.subarray(0, room);
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigInt64(0, message.type, true);
  bytes.set(text, 8);
  const error = yield* writeUser(mm, thread, address, bytes);
  return error === 0 ? text.length : error;
}

function* control(
  services: SyscallServices,
  thread: Thread,
  id: number,
  command: number,
  address: bigint,
): MaySleep<number> {
  const { mm, ipc } = services;
  const { msg } = ipc;
  if (id < 0 || command < 0) return -EINVAL;
  switch (command) {
    case IPC.INFO:
    case CTL.INFO: {
      const { messages, bytes } = msg.totals();
      const limits =
        command === IPC.INFO ? messageLimits() : messageLimits({ queues: msg.ids.size, messages, bytes });
      const error = yield* writeUser(mm, thread, address, limits);
      return error === 0 ? msg.ids.highestPlace : error;
    }
    case IPC.STAT:
    case CTL.STAT:
    case CTL.STAT_ANY:
      return yield* ipcStat(services, thread, msg.ids, id, command, CTL, address, messageQueueBytes);
    case IPC.SET:
    case IPC.RMID: {
      const bytes = command === IPC.SET ? yield* readUser(mm, thread, address, 120) : new Uint8Array();
      if (bytes === undefined) return -EFAULT;
      const queue = msg.ids.get(id);
      if (typeof queue === 'number') return queue;
      if (ipcOwns(queue, ipcCaller(thread)) !== 0) return -EPERM;
      if (command === IPC.RMID) {
        msg.remove(queue);
        return 0;
      }
      const view = new DataView(bytes.buffer);
      const most = Number(view.getBigUint64(88, true) & 0xffffffffn);
      if (most > MSGMNB && !capable(thread.credentials, CAP.SYS_RESOURCE)) return -EPERM;
      queue.mostBytes = most;
      changePermissions(queue.perm, view);
      msg.touch(queue);
      return 0;
    }
    default:
      return -EINVAL;
  }
}

export const messageQueueSyscalls: readonly Syscall[] = [
  {
    number: 186,
    name: 'msgget',
    args: ['hex', 'octal'],
    run: ({ ipc }, thread, [key, flags]) => ipc.msg.open(ipcCaller(thread), int(key), uint(flags)),
  },
  {
    number: 187,
    name: 'msgctl',
    args: ['int', 'int', 'pointer'],
    *run(services, thread, [id, command, address]) {
      return yield* control(services, thread, int(id), int(command), address);
    },
  },
  {
    number: 188,
    name: 'msgrcv',
    args: ['int', 'pointer', 'unsigned', 'int', 'octal'],
    *run(services, thread, [id, address, size, type, flags]) {
      return yield* receive(services, thread, int(id), address, size, long(type), int(flags));
    },
  },
  {
    number: 189,
    name: 'msgsnd',
    args: ['int', 'pointer', 'unsigned', 'octal'],
    *run(services, thread, [id, address, size, flags]) {
      return yield* send(services, thread, int(id), address, size, int(flags));
    },
  },
];
