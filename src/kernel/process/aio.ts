/**
 * Contexts of asynchronous I/O: requests that are not done yet, and events of those that are.
 *
 * The ring that Linux shares with user space is mapped, for its address is the context's number, but says nothing
 * (no magic number): who looks at it asks the kernel instead.
 *
 * Ref. fs/aio.c (ioctx_alloc, aio_complete, read_events); io_setup(2).
 */
import { WaitList } from '../contexts/index.js';

/** fs.aio-max-nr: requests at once, of all contexts. */
export const AIO_MAX_NR = 65536;

export interface AioEvent {
  /** aio_data, and where the iocb is. */
  readonly data: bigint;
  readonly object: bigint;
  readonly result: bigint;
}

/** A request that waits for something. */
export interface AioPending {
  /** Ends it with a result, and what watches for it. */
  readonly finish: (result: bigint) => void;
}

export class AioContext {
  /** Requests and events there is room for. */
  readonly most: number;
  /** Bytes of the ring that is mapped. */
  readonly ringBytes: number;
  readonly events: AioEvent[] = [];
  /** By the address of the iocb. */
  readonly pending = new Map<bigint, AioPending>();
  /** An event came, or the context is gone. */
  readonly changed = new WaitList();
  gone = false;

  constructor(most: number, ringBytes: number) {
    this.most = most;
    this.ringBytes = ringBytes;
  }

  get full(): boolean {
    return this.events.length + this.pending.size >= this.most;
  }

  complete(event: AioEvent): void {
    this.events.push(event);
    this.changed.wake();
  }

  /** io_destroy(), exit_aio(): nobody will ask. */
  destroy(): void {
    this.gone = true;
    for (const { finish } of [...this.pending.values()]) finish(0n);
    this.changed.wake();
  }
}
