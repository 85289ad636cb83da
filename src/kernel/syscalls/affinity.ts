/**
 * System calls about CPUs: which ones a thread may run on, and which it is on.
 *
 * Ref. kernel/sched/core.c (sched_setaffinity, sched_getaffinity), kernel/sys.c (getcpu).
 */
import { EFAULT, EINVAL, EPERM, ESRCH, sleepPoint } from '../contexts/index.js';
import { CAP, capable, readUser, type Thread, writeU32, writeWords } from '../process/index.js';
import { int, type Syscall, type SyscallServices, uint } from './row.js';

/** cpumask_size(): bytes. */
const MASK_BYTES = 8;
const MIGRATE = sleepPoint('migrate_task');

function find({ table }: SyscallServices, thread: Thread, pid: number): Thread | undefined {
  return pid === 0 ? thread : table.thread(pid);
}

/** cpu_possible_mask, all of which is online. */
const possible = ({ contexts }: SyscallServices): number => (1 << contexts.cpus) - 1;

export const affinitySyscalls: readonly Syscall[] = [
  {
    number: 122,
    name: 'sched_setaffinity',
    args: ['int', 'unsigned', 'pointer'],
    *run(services, thread, [pid, size, address]) {
      const bytes = yield* readUser(services.mm, thread, address, Math.min(uint(size), MASK_BYTES));
      if (bytes === undefined) return -EFAULT;
      const target = find(services, thread, int(pid));
      if (target === undefined) return -ESRCH;
      const { effective } = thread.credentials.user;
      const { user } = target.credentials;
      const own = effective === user.effective || effective === user.real;
      if (!own && !capable(thread.credentials, CAP.SYS_NICE)) return -EPERM;
      const mask = (bytes[0] ?? 0) & possible(services);
      if (mask === 0) return -EINVAL;
      services.runQueue.setAllowed(target.task, mask);
      if (services.runQueue.misplaced(thread.task)) yield MIGRATE;
      return 0;
    },
  },
  {
    number: 123,
    name: 'sched_getaffinity',
    args: ['int', 'unsigned', 'pointer'],
    *run(services, thread, [pid, size, address]) {
      if (uint(size) * 8 < services.contexts.cpus || size % 8n !== 0n) return -EINVAL;
      const target = find(services, thread, int(pid));
      if (target === undefined) return -ESRCH;
      const mask = target.task.cpusAllowed & possible(services);
      const error = yield* writeWords(services.mm, thread, address, [BigInt(mask)]);
      return error === 0 ? MASK_BYTES : error;
    },
  },
  {
    number: 168,
    name: 'getcpu',
    args: ['pointer', 'pointer', 'pointer'],
    *run({ mm }, thread, [cpu, node]) {
      const answer = thread.task.cpu;
      if (cpu !== 0n && (yield* writeU32(mm, thread, cpu, answer)) !== 0) return -EFAULT;
      return node !== 0n && (yield* writeU32(mm, thread, node, 0)) !== 0 ? -EFAULT : 0;
    },
  },
];
