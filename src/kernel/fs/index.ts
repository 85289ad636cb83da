/** Files: the tree in memory, open files, descriptors, pipes, the host's streams. */
export * from './abi.js';
export * from './epoll.js';
export * from './file-store.js';
export * from './file-system.js';
export * from './file-table.js';
export type { HostEntry, HostFolder } from './host-tree.js';
export * from './inode.js';
export * from './inotify.js';
export * from './leases.js';
export * from './locks.js';
export * from './mounts.js';
export * from './mqueue.js';
export * from './open-file.js';
export * from './permissions.js';
export * from './pipe.js';
export * from './streams.js';
