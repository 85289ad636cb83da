/**
 * Locks with an owner (PI futexes) whose waiters give up at the worst moment: while the word's page is brought in for
 * who passes the lock on.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { VA } from '../../../src/base/index.js';
import type { FileTable, FsContext } from '../../../src/kernel/fs/index.js';
import type { MaySleep } from '../../../src/kernel/index.js';
import {
  type FutexEnd,
  Futexes,
  type FutexWaiter,
  Process,
  type Program,
  Thread,
} from '../../../src/kernel/index.js';
import { GFP_HIGHUSER_MOVABLE, type MemoryManager, tryToFreePages } from '../../../src/kernel/mm/index.js';
import { boot, type Fixture, type User } from '../kernel-fixture.js';

const WAITERS = 0x80000000;
const OWNER_DIED = 0x40000000;

let kernel: Fixture;
let user: User;
let word: number;
let futexes: Futexes;
let threads: Thread[];
let threadOf: (tid: number) => Thread | undefined;

/** A thread of the process; threads are numbered from 1. */
function newThread(process: Process): Thread {
  const tid = threads.length + 1;
  const thread = new Thread(tid, process, kernel.contexts.newTask(`thread ${tid}`), 'test');
  threads.push(thread);
  return thread;
}

/** Runs to the first point at which others may move. */
function toFirstPoint<T>(work: Generator<unknown, T, void>): void {
  kernel.contexts.racing = true;
  expect(work.next().done).toBe(false);
}

/** Runs to the end, alone. */
function rest<T>(work: MaySleep<T>): T {
  kernel.contexts.racing = false;
  return kernel.run(work);
}

const key = () => futexes.keyOf(threads[0]!, BigInt(word));

function value(): number {
  return new DataView(user.load(word, 4)!.slice().buffer).getUint32(0, true);
}

function setWord(next: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, next >>> 0, true);
  expect(user.store(word, bytes)).toBe(true);
}

/** The word's page goes to swap, so that whoever needs it has to wait for it. */
function evict(): void {
  const resident = () => kernel.memory.residentPfn(user.as, VA(BigInt(word)));
  for (let round = 0; round < 100 && resident() !== undefined; round++) {
    kernel.run(tryToFreePages(kernel.mm, GFP_HIGHUSER_MOVABLE, 2));
  }
  expect(resident()).toBe(undefined);
}

interface Waiting {
  readonly waiter: FutexWaiter;
  readonly work: MaySleep<FutexEnd | number>;
  giveUp(): FutexEnd | number;
}

/** A thread that waits in line for the lock, and may be told that its time is over. */
function waitInLine(thread: Thread): Waiting {
  const found = rest(futexes.tryLock(thread, () => thread, BigInt(word), key(), false, threadOf));
  if (typeof found !== 'object') throw new Error(`nobody has the lock: ${found}`);
  const waiter = futexes.queue(thread, key(), BigInt(word));
  let over = false;
  const work = futexes.waitForLock(waiter, found, () => over);
  expect(work.next().done).toBe(false);
  return {
    waiter,
    work,
    giveUp() {
      over = true;
      const end = work.next();
      if (end.done !== true) throw new Error('still waits');
      return end.value;
    },
  };
}

beforeEach(() => {
  kernel = boot({ tagPages: 64, pageblockOrder: 5, swapPages: 512, cpus: 4 });
  user = kernel.user();
  word = user.mmap(1, 3);
  futexes = new Futexes(kernel.memory as MemoryManager);
  threads = [];
  threadOf = (tid) => threads[tid - 1];
  const program: Program = {
    name: 'test',
    path: '/test',
    args: [],
    env: [],
    auxv: new Uint8Array(),
    symbolize: () => undefined,
    keys: {} as Program['keys'],
  };
  const process = new Process(1, program, { as: user.as, users: 1 }, {} as FileTable, {} as FsContext);
  for (let n = 0; n < 3; n++) newThread(process);
});

describe('a lock whose owner ends', () => {
  it('goes to who waits next where the first gave up while the word was on its way', () => {
    const [owner, first, second] = threads as [Thread, Thread, Thread];
    setWord(owner.tid);
    const waiting = waitInLine(first);
    const other = waitInLine(second);
    evict();
    const exit = futexes.exit(owner);
    toFirstPoint(exit);
    expect(waiting.giveUp()).toBe('timeout');
    rest(exit);
    expect(waiting.waiter.woken).toBe(false);
    expect(other.waiter.woken).toBe(true);
    expect(value()).toBe((WAITERS | OWNER_DIED | second.tid) >>> 0);
  });

  it('stays as it is where the only one who waited gave up', () => {
    const [owner, first] = threads as [Thread, Thread];
    setWord(owner.tid);
    const waiting = waitInLine(first);
    evict();
    const exit = futexes.exit(owner);
    toFirstPoint(exit);
    expect(waiting.giveUp()).toBe('timeout');
    rest(exit);
    expect(waiting.waiter.woken).toBe(false);
    expect(value()).toBe((WAITERS | owner.tid) >>> 0);
  });

  it('goes to who came to wait while another lock was passed on', () => {
    const [owner, first, second] = threads as [Thread, Thread, Thread];
    const another = user.mmap(1, 3);
    setWord(owner.tid);
    const waiting = waitInLine(first);
    evict();
    word = another;
    setWord(owner.tid);
    const exit = futexes.exit(owner);
    toFirstPoint(exit);
    const late = waitInLine(second);
    rest(exit);
    expect(waiting.waiter.woken).toBe(true);
    expect(late.waiter.woken).toBe(true);
    expect(value()).toBe((WAITERS | OWNER_DIED | second.tid) >>> 0);
  });
});

describe('a condition variable that passes its waiter a free lock', () => {
  it('gives it to the one who is first when the word is written', () => {
    const [waker, first, second] = threads as [Thread, Thread, Thread];
    const condition = 'condition';
    const waiters = [first, second].map((thread) => futexes.queue(thread, condition, 0n, undefined, key()));
    setWord(0);
    evict();
    const requeue = futexes.requeueToLock(waker, condition, key(), BigInt(word), 0, threadOf);
    toFirstPoint(requeue);
    futexes.unqueue(waiters[0]!);
    expect(rest(requeue)).toBe(1);
    expect(waiters.map(({ woken }) => woken)).toEqual([false, true]);
    expect(value()).toBe(second.tid);
  });

  it('leaves the lock free where nobody waits any more', () => {
    const [waker, first] = threads as [Thread, Thread];
    const waiter = futexes.queue(first, 'condition', 0n, undefined, key());
    setWord(0);
    evict();
    const requeue = futexes.requeueToLock(waker, 'condition', key(), BigInt(word), 1, threadOf);
    toFirstPoint(requeue);
    futexes.unqueue(waiter);
    expect(rest(requeue)).toBe(0);
    expect(value()).toBe(0);
  });
});
