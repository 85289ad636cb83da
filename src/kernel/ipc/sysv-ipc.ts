/**
 * The three kinds of System V IPC of one system, as the kernel's state has them (struct ipc_namespace).
 */
import { MessageQueues } from './msg.js';
import { Semaphores } from './sem.js';
import { type SegmentHooks, SharedMemory } from './shm.js';

export class SysvIpc {
  readonly shm: SharedMemory;
  readonly sem: Semaphores;
  readonly msg: MessageQueues;

  constructor(hooks: SegmentHooks) {
    this.shm = new SharedMemory(hooks);
    this.sem = new Semaphores(() => hooks.now());
    this.msg = new MessageQueues(() => hooks.now());
  }
}
