import { describe, expect, it } from 'vitest';
import type { Atomic, MaySleep, Strategy } from '../../../src/kernel/contexts/index.js';
import {
  Contexts,
  formatSchedule,
  KernelBug,
  Mutex,
  parseSchedule,
  RwSemaphore,
  racePoint,
  randomStrategy,
  replayStrategy,
  Scheduler,
  SpinLock,
  searchSchedules,
  sleepPoint,
  unsafeSleepInAtomic,
  WaitQueue,
} from '../../../src/kernel/contexts/index.js';

const RACE = racePoint('here');
const SLEEP = sleepPoint('there');

function* sleeping(): MaySleep<number> {
  yield SLEEP;
  return 1;
}

/** The kind of KernelBug that `run` throws. */
function bugOf(run: () => void): string | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof KernelBug) return error.kind;
    throw error;
  }
  return undefined;
}

describe('colours', () => {
  it('a sleeping call inside an Atomic function does not compile', () => {
    function* atomic(): Atomic<number> {
      yield RACE;
      // @ts-expect-error: a SleepPoint does not fit what an Atomic function yields
      return yield* sleeping();
    }
    // The compiler refused; forced through, it is still only a generator.
    expect(new Contexts().runToCompletion(atomic())).toBe(1);
  });

  it('an Atomic call inside a sleeping function compiles', () => {
    function* atomic(): Atomic<number> {
      yield RACE;
      return 2;
    }
    function* outer(): MaySleep<number> {
      return (yield* atomic()) + (yield* sleeping());
    }
    expect(new Contexts().runToCompletion(outer())).toBe(3);
  });

  it('the unsafe cast is caught when it sleeps with a spinlock held', () => {
    const contexts = new Contexts();
    const lock = new SpinLock(contexts, 'page_table_lock');
    function* posted(): Atomic<void> {
      yield* lock.lock();
      yield* unsafeSleepInAtomic(sleeping());
      lock.unlock();
    }
    expect(bugOf(() => contexts.runToCompletion(posted()))).toBe('sleep-in-atomic');
  });
});

describe('locks', () => {
  it('a mutex may not be taken with a spinlock held, in RCU, or with interrupts off', () => {
    for (const enter of ['spin', 'rcu', 'irq'] as const) {
      const contexts = new Contexts();
      const lock = new SpinLock(contexts, 'zone');
      const mutex = new Mutex(contexts, 'cma_mutex');
      function* work(): MaySleep<void> {
        if (enter === 'spin') yield* lock.lock();
        else if (enter === 'rcu') contexts.rcuReadLock();
        else contexts.localIrqSave();
        yield* mutex.lock();
      }
      expect(bugOf(() => contexts.runToCompletion(work()))).toBe('sleep-in-atomic');
    }
  });

  it('two classes in both orders are an inversion, though nobody ever met', () => {
    const contexts = new Contexts();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => new SpinLock(contexts, name)) as [
      SpinLock,
      SpinLock,
      SpinLock,
    ];
    function* inOrder(first: SpinLock, second: SpinLock): Atomic<void> {
      yield* first.lock();
      yield* second.lock();
      second.unlock();
      first.unlock();
    }
    contexts.runToCompletion(inOrder(a, b));
    contexts.runToCompletion(inOrder(b, c));
    contexts.runToCompletion(inOrder(a, c));
    expect(bugOf(() => contexts.runToCompletion(inOrder(c, a)))).toBe('lock-order');
  });

  it('two locks of one class nest only where said so', () => {
    const contexts = new Contexts();
    const parent = new SpinLock(contexts, 'page_table_lock');
    const child = new SpinLock(contexts, 'page_table_lock');
    function* fork(nested: boolean): Atomic<void> {
      yield* child.lock();
      yield* nested ? parent.lockNested() : parent.lock();
      parent.unlock();
      child.unlock();
    }
    expect(contexts.runToCompletion(fork(true))).toBeUndefined();
    expect(bugOf(() => contexts.runToCompletion(fork(false)))).toBe('lock-order');
  });

  it('unlock by another task, and twice the same lock, are named', () => {
    const contexts = new Contexts();
    const lock = new SpinLock(contexts, 'x');
    contexts.runToCompletion(lock.lock());
    expect(bugOf(() => contexts.runToCompletion(lock.lock()))).toBe('recursive-lock');
    contexts.current = contexts.newTask('other');
    expect(bugOf(() => lock.unlock())).toBe('foreign-unlock');
    contexts.current = contexts.boot;
    lock.unlock();
    expect(bugOf(() => lock.unlock())).toBe('foreign-unlock');
  });

  it('a class used in an interrupt may not be taken elsewhere with interrupts on', () => {
    const contexts = new Contexts(2);
    const lock = new SpinLock(contexts, 'tags_by_pfn');
    function* careless(): Atomic<void> {
      yield* lock.lock();
      yield RACE;
      lock.unlock();
    }
    const scheduler = new Scheduler(contexts);
    scheduler.spawn('task', careless(), { cpu: 0 });
    scheduler.spawn('irq', careless(), { cpu: 1, interrupt: true });
    expect(bugOf(() => scheduler.run())).toBe('irq-unsafe-lock');
  });

  it('readers share, a writer does not, and a waiting writer is not starved', () => {
    const contexts = new Contexts(4);
    const semaphore = new RwSemaphore(contexts, 'mmap_lock');
    const trace: string[] = [];
    function* reader(name: string): MaySleep<void> {
      yield* semaphore.downRead();
      trace.push(`+${name}`);
      yield SLEEP;
      trace.push(`-${name}`);
      semaphore.upRead();
    }
    function* writer(): MaySleep<void> {
      yield* semaphore.downWrite();
      trace.push('+w');
      yield SLEEP;
      trace.push('-w');
      semaphore.upWrite();
    }
    const scheduler = new Scheduler(contexts);
    scheduler.spawn('r1', reader('r1'));
    scheduler.spawn('r2', reader('r2'));
    scheduler.spawn('w', writer());
    scheduler.spawn('r3', reader('r3'));
    scheduler.run();
    expect(trace.indexOf('-w')).toBe(trace.indexOf('+w') + 1);
    expect(trace.slice(0, 2).sort()).toEqual(['+r1', '+r2']);
    expect(trace.indexOf('+w')).toBeLessThan(trace.indexOf('+r3'));
  });
});

describe('scheduler', () => {
  it('runs each task to its next SleepPoint, in turn', () => {
    const contexts = new Contexts(2);
    const trace: string[] = [];
    function* work(name: string): MaySleep<void> {
      for (let i = 0; i < 2; i++) {
        trace.push(name);
        yield RACE;
        trace.push(name);
        yield SLEEP;
      }
    }
    const scheduler = new Scheduler(contexts);
    scheduler.spawn('a', work('a'));
    scheduler.spawn('b', work('b'));
    scheduler.run();
    expect(trace.join('')).toBe('aabbaabb');
  });

  it('a sleeper runs again once woken, and never before', () => {
    const contexts = new Contexts(2);
    const queue = new WaitQueue(contexts, 'event');
    let ready = false;
    let woken = false;
    function* waiter(): MaySleep<void> {
      yield* queue.waitEvent(() => ready);
      woken = ready;
    }
    function* waker(): MaySleep<void> {
      yield SLEEP;
      ready = true;
      queue.wakeUp();
    }
    const scheduler = new Scheduler(contexts);
    scheduler.spawn('waiter', waiter());
    scheduler.spawn('waker', waker());
    scheduler.run();
    expect(woken).toBe(true);
  });

  it('names a deadlock', () => {
    const contexts = new Contexts(2);
    const [a, b] = [new Mutex(contexts, 'a'), new Mutex(contexts, 'b')];
    const queue = new WaitQueue(contexts, 'never');
    function* work(): MaySleep<void> {
      yield* a.lock();
      yield* queue.waitEvent(() => false);
    }
    const scheduler = new Scheduler(contexts);
    scheduler.spawn('one', work());
    expect(bugOf(() => scheduler.run())).toBe('deadlock');
    expect(b.held).toBe(false);
  });

  it('a task that ends with a lock held is named', () => {
    const contexts = new Contexts();
    const lock = new SpinLock(contexts, 'x');
    const scheduler = new Scheduler(contexts);
    scheduler.spawn('forgetful', lock.lock());
    expect(bugOf(() => scheduler.run())).toBe('unbalanced');
  });

  it('an interrupt runs over a task that holds a spinlock, but not with interrupts off', () => {
    const contexts = new Contexts(1);
    const trace: string[] = [];
    const lock = new SpinLock(contexts, 'x');
    function* task(irqs: boolean): Atomic<void> {
      yield* irqs ? lock.lock() : lock.lockIrqsave();
      trace.push('locked');
      for (let i = 0; i < 4; i++) yield RACE;
      trace.push('unlocking');
      if (irqs) lock.unlock();
      else lock.unlockIrqrestore();
    }
    function* interrupt(): Atomic<void> {
      trace.push('irq');
      yield RACE;
    }
    const run = (irqs: boolean): string => {
      trace.length = 0;
      const scheduler = new Scheduler(contexts, (runnable) => runnable.length - 1);
      scheduler.spawn('task', task(irqs), { cpu: 0 });
      contexts.racing = true;
      let spawned = false;
      scheduler.run(() => {
        if (!spawned && lock.held) {
          spawned = true;
          scheduler.spawn('irq', interrupt(), { cpu: 0, interrupt: true });
        }
      });
      return trace.join(' ');
    };
    expect(run(true)).toBe('locked irq unlocking');
    expect(run(false)).toBe('locked unlocking irq');
  });
});

/** A lost update: the smallest race there is. */
function lostUpdate(strategy: Strategy): { scheduler: Scheduler; verify: () => void } {
  const contexts = new Contexts(2);
  let counter = 0;
  function* increment(): Atomic<void> {
    const seen = counter;
    yield RACE;
    counter = seen + 1;
  }
  const scheduler = new Scheduler(contexts, strategy);
  scheduler.spawn('a', increment());
  scheduler.spawn('b', increment());
  return {
    scheduler,
    verify: () => {
      if (counter !== 2) throw new Error(`counter ${counter}`);
    },
  };
}

describe('search', () => {
  it('finds a lost update and replays it from its schedule', () => {
    const failure = searchSchedules(lostUpdate, { runs: 50, seed: 1 });
    expect(failure?.error).toBeInstanceOf(Error);
    const schedule = parseSchedule(failure!.schedule)!;
    const again = lostUpdate(replayStrategy(schedule));
    again.scheduler.run();
    expect(() => again.verify()).toThrow('counter 1');
  });

  it('finds nothing where a lock guards the update', () => {
    const guarded = (strategy: Strategy) => {
      const contexts = new Contexts(2);
      const lock = new SpinLock(contexts, 'counter');
      let counter = 0;
      function* increment(): Atomic<void> {
        yield* lock.lock();
        const seen = counter;
        yield RACE;
        counter = seen + 1;
        lock.unlock();
      }
      const scheduler = new Scheduler(contexts, strategy);
      scheduler.spawn('a', increment());
      scheduler.spawn('b', increment());
      return { scheduler, verify: () => expect(counter).toBe(2) };
    };
    expect(searchSchedules(guarded, { runs: 200, seed: 3 })).toBeUndefined();
  });

  it('the same seed makes the same choices', () => {
    const run = (seed: number) => {
      const { scheduler } = lostUpdate(randomStrategy(seed));
      scheduler.run();
      return formatSchedule(scheduler.schedule);
    };
    expect(run(5)).toBe(run(5));
  });

  it('schedules print and parse', () => {
    const schedule = [0, 0, 0, 1, 0, 2, 2];
    expect(formatSchedule(schedule)).toBe('0*3,1,0,2*2');
    expect(parseSchedule('0*3,1,0,2*2')).toEqual(schedule);
    expect(parseSchedule('')).toEqual([]);
    expect(parseSchedule('x')).toBeUndefined();
  });
});
