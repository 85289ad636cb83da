/**
 * membarrier(2) and rseq(2): what threads on several CPUs agree on without locks.
 *
 * Every CPU of the machine sees memory in one order, so that a barrier has nothing to wait for; who registered, and
 * restartable sequences that a barrier has to interrupt, are kept.
 *
 * Ref. kernel/sched/membarrier.c.
 */
import { EINVAL, EPERM } from '../contexts/index.js';
import { type Process, registerRseq } from '../process/index.js';
import { int, type Syscall, uint } from './row.js';

const CMD = {
  QUERY: 0,
  GLOBAL: 1,
  GLOBAL_EXPEDITED: 2,
  REGISTER_GLOBAL_EXPEDITED: 4,
  PRIVATE_EXPEDITED: 8,
  REGISTER_PRIVATE_EXPEDITED: 16,
  PRIVATE_EXPEDITED_SYNC_CORE: 32,
  REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: 64,
  PRIVATE_EXPEDITED_RSEQ: 128,
  REGISTER_PRIVATE_EXPEDITED_RSEQ: 256,
  GET_REGISTRATIONS: 512,
} as const;
const ALL = Object.values(CMD).reduce<number>((all, bit) => all | bit, 0);
const REGISTRATIONS: number =
  CMD.REGISTER_GLOBAL_EXPEDITED |
  CMD.REGISTER_PRIVATE_EXPEDITED |
  CMD.REGISTER_PRIVATE_EXPEDITED_SYNC_CORE |
  CMD.REGISTER_PRIVATE_EXPEDITED_RSEQ;
/** Commands that must have been registered for: their registration is the next bit. */
const PRIVATE: number = CMD.PRIVATE_EXPEDITED | CMD.PRIVATE_EXPEDITED_SYNC_CORE | CMD.PRIVATE_EXPEDITED_RSEQ;
const FLAG_CPU = 1;

function membarrier(process: Process, command: number, flags: number): number {
  if (flags !== 0 && (command !== CMD.PRIVATE_EXPEDITED_RSEQ || flags !== FLAG_CPU)) return -EINVAL;
  if (command === CMD.QUERY) return ALL;
  if (command === CMD.GET_REGISTRATIONS) return process.membarriers;
  // One command at a time.
  if ((command & ALL) !== command || (command & (command - 1)) !== 0 || command < 0) return -EINVAL;
  if ((command & REGISTRATIONS) !== 0) {
    process.membarriers |= command;
    return 0;
  }
  if ((command & PRIVATE) !== 0 && (process.membarriers & (command << 1)) === 0) return -EPERM;
  if (command === CMD.PRIVATE_EXPEDITED_RSEQ) {
    for (const { rseq } of process.threads) if (rseq !== undefined) rseq.due = true;
  }
  return 0;
}

export const barrierSyscalls: readonly Syscall[] = [
  {
    number: 283,
    name: 'membarrier',
    args: ['int', 'hex', 'int'],
    run: (_services, { process }, [command, flags]) => membarrier(process, int(command), uint(flags)),
  },
  {
    number: 293,
    name: 'rseq',
    args: ['pointer', 'unsigned', 'hex', 'hex'],
    *run(services, thread, [address, size, flags, signature]) {
      return yield* registerRseq(services, thread, address, uint(size), int(flags), uint(signature));
    },
  },
];
