/**
 * System calls of System V semaphores.
 *
 * Ref. ipc/sem.c (do_semtimedop, ksys_semctl).
 */
import { E2BIG, EACCES, EFAULT, EINVAL, EPERM, type MaySleep } from '../contexts/index.js';
import {
  changePermissions,
  IPC,
  IPC_READ,
  IPC_WRITE,
  ipcAllows,
  ipcOwns,
  SEMOPM,
  type SemaphoreSet,
  semaphoreLimits,
  semaphoreSetBytes,
  waitersOf,
} from '../ipc/index.js';
import { readUser, type Thread, writeUser } from '../process/index.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';
import { readTimespec } from './sleeping.js';
import { ipcCaller, ipcStat } from './sysv-ipc.js';

const CTL = {
  GETPID: 11,
  GETVAL: 12,
  GETALL: 13,
  GETNCNT: 14,
  GETZCNT: 15,
  SETVAL: 16,
  SETALL: 17,
  STAT: 18,
  INFO: 19,
  STAT_ANY: 20,
} as const;

function* operate(
  services: SyscallServices,
  thread: Thread,
  id: number,
  address: bigint,
  count: number,
  timeout: bigint,
): MaySleep<number> {
  const { mm, ipc, clock, timers } = services;
  if (count < 1 || id < 0) return -EINVAL;
  if (count > SEMOPM) return -E2BIG;
  let deadline: bigint | undefined;
  if (timeout !== 0n) {
    const time = yield* readTimespec(services, thread, timeout);
    if (typeof time === 'number') return time;
    deadline = clock.monotonic + time;
  }
  const bytes = yield* readUser(mm, thread, address, 6 * count);
  if (bytes === undefined) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const operations = Array.from({ length: count }, (_, i) => ({
    number: view.getUint16(6 * i, true),
    change: view.getInt16(6 * i + 2, true),
    flags: view.getInt16(6 * i + 4, true),
  }));
  const set = ipc.sem.ids.get(id);
  if (typeof set === 'number') return set;
  const alters = operations.some(({ change }) => change !== 0);
  if (ipcAllows(set, ipcCaller(thread), alters ? IPC_WRITE : IPC_READ) !== 0) return -EACCES;
  const timer = deadline === undefined ? undefined : timers.add(deadline, () => thread.sleeper.wake());
  const expired = () => deadline !== undefined && clock.monotonic >= deadline;
  const { process } = thread;
  const result = yield* ipc.sem.operate(set, operations, thread, process, process.pid, expired);
  timers.cancel(timer);
  return result;
}

/** Commands about one semaphore, or all of a set. */
function* valueControl(
  { mm, ipc }: SyscallServices,
  thread: Thread,
  set: SemaphoreSet,
  number: number,
  command: number,
  arg: bigint,
): MaySleep<number> {
  const { sem } = ipc;
  const { pid } = thread.process;
  const alters = command === CTL.SETVAL || command === CTL.SETALL;
  if (ipcAllows(set, ipcCaller(thread), alters ? IPC_WRITE : IPC_READ) !== 0) return -EACCES;
  const { semaphores } = set;
  if (command === CTL.GETALL) {
    const values = Uint16Array.from(semaphores, ({ value }) => value);
    return yield* writeUser(mm, thread, arg, new Uint8Array(values.buffer));
  }
  if (command === CTL.SETALL) {
    const bytes = yield* readUser(mm, thread, arg, 2 * semaphores.length);
    if (bytes === undefined) return -EFAULT;
    const view = new DataView(bytes.buffer);
    const values = semaphores.map((_, i) => view.getUint16(2 * i, true));
    return sem.setValues(set, 0, values, pid);
  }
  const semaphore = semaphores[number];
  if (semaphore === undefined) return -EINVAL;
  switch (command) {
    case CTL.GETVAL:
      return semaphore.value;
    case CTL.GETPID:
      return semaphore.pid;
    case CTL.SETVAL:
      return sem.setValues(set, number, [int(arg)], pid);
    default:
      return waitersOf(set, number, command === CTL.GETZCNT);
  }
}

function* control(
  services: SyscallServices,
  thread: Thread,
  id: number,
  number: number,
  command: number,
  arg: bigint,
): MaySleep<number> {
  const { mm, ipc } = services;
  const { sem } = ipc;
  if (id < 0) return -EINVAL;
  switch (command) {
    case IPC.INFO:
    case CTL.INFO: {
      const limits = command === IPC.INFO ? semaphoreLimits() : semaphoreLimits(sem.ids.size, sem.total);
      const error = yield* writeUser(mm, thread, arg, new Uint8Array(limits.buffer));
      return error === 0 ? sem.ids.highestPlace : error;
    }
    case IPC.STAT:
    case CTL.STAT:
    case CTL.STAT_ANY:
      return yield* ipcStat(services, thread, sem.ids, id, command, CTL, arg, semaphoreSetBytes);
    case IPC.SET:
    case IPC.RMID: {
      const bytes = command === IPC.SET ? yield* readUser(mm, thread, arg, 88) : new Uint8Array();
      if (bytes === undefined) return -EFAULT;
      const set = sem.ids.get(id);
      if (typeof set === 'number') return set;
      if (ipcOwns(set, ipcCaller(thread)) !== 0) return -EPERM;
      if (command === IPC.RMID) {
        sem.remove(set);
        return 0;
      }
      changePermissions(set.perm, new DataView(bytes.buffer));
      sem.touch(set);
      return 0;
    }
    default: {
      if (command < CTL.GETPID || command > CTL.SETALL) return -EINVAL;
      const set = sem.ids.get(id);
      if (typeof set === 'number') return set;
      return yield* valueControl(services, thread, set, number, command, arg);
    }
  }
}

export const semaphoreSyscalls: readonly Syscall[] = [
  {
    number: 190,
    name: 'semget',
    args: ['hex', 'int', 'octal'],
    run: ({ ipc }, thread, [key, count, flags]) =>
      ipc.sem.open(ipcCaller(thread), int(key), int(count), uint(flags)),
  },
  {
    number: 191,
    name: 'semctl',
    args: ['int', 'int', 'int', 'hex'],
    *run(services, thread, [id, number, command, arg]) {
      return yield* control(services, thread, int(id), int(number), int(command), arg);
    },
  },
  {
    number: 192,
    name: 'semtimedop',
    args: ['int', 'pointer', 'unsigned', 'pointer'],
    *run(services, thread, [id, operations, count, timeout]) {
      return yield* operate(services, thread, int(id), operations, uint(count), timeout);
    },
  },
  {
    number: 193,
    name: 'semop',
    args: ['int', 'pointer', 'unsigned'],
    *run(services, thread, [id, operations, count]) {
      return yield* operate(services, thread, int(id), operations, uint(count), 0n);
    },
  },
];
