/** System V IPC: shared memory, semaphores, message queues. */
export * from './ids.js';
export * from './msg.js';
export * from './sem.js';
export * from './shm.js';
export { SysvIpc } from './sysv-ipc.js';
