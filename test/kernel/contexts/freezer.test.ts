/** Freezing: tasks stop where they hold nothing, those elsewhere go on until they get there, and thaw where they were. */
import { describe, expect, it } from 'vitest';
import type { MaySleep, Task } from '../../../src/kernel/contexts/index.js';
import {
  Contexts,
  freezablePoint,
  Mutex,
  RunQueue,
  Sleeper,
  sleepPoint,
  turnPoint,
  WaitQueue,
} from '../../../src/kernel/contexts/index.js';

const SLICE = freezablePoint('user code');
const USER = turnPoint('EL0');
const INSIDE = sleepPoint('inside the kernel');

interface Stage {
  readonly contexts: Contexts;
  readonly queue: RunQueue;
  readonly log: string[];
  spawn(name: string, work: MaySleep<void>): Task;
  settle(steps?: number): void;
}

function stage(cpus = 1): Stage {
  const contexts = new Contexts(cpus);
  const queue = new RunQueue(contexts, 1);
  return {
    contexts,
    queue,
    log: [],
    spawn(name, work) {
      const task = contexts.newTask(name);
      queue.spawn(task, work);
      return task;
    },
    settle(steps = 200) {
      for (let i = 0; i < steps && queue.step(); i++);
    },
  };
}

/** Counts for ever, in slices. */
function* program(counts: { n: number }): MaySleep<void> {
  for (;;) {
    counts.n++;
    yield USER;
    yield SLICE;
  }
}

describe.each([1, 4])('on %i CPUs', (cpus) => {
  it('programs stand still from freeze to thaw, and go on', () => {
    const s = stage(cpus);
    const counts = [{ n: 0 }, { n: 0 }, { n: 0 }];
    for (const each of counts) s.spawn('program', program(each));
    const seen: number[][] = [];
    const freezer = s.spawn(
      'freezer',
      (function* (): MaySleep<void> {
        expect(yield* s.queue.freeze((task) => task.name === 'program')).toBe(true);
        seen.push(counts.map(({ n }) => n));
        for (let i = 0; i < 50; i++) yield INSIDE;
        seen.push(counts.map(({ n }) => n));
        s.queue.thaw();
      })(),
    );
    s.settle(400);
    expect(seen[1]).toEqual(seen[0]);
    for (const [i, { n }] of counts.entries()) expect(n).toBeGreaterThan(seen[1]![i]! + 3);
    expect(freezer.held).toEqual([]);
  });

  it('who holds a lock, or is in the middle of something, gets out of it first', () => {
    const s = stage(cpus);
    const mutex = new Mutex(s.contexts, 'm');
    const sleeper = new Sleeper('answer');
    s.spawn(
      'program',
      (function* (): MaySleep<void> {
        yield* mutex.lock();
        s.log.push('locked');
        yield sleeper.point;
        for (let i = 0; i < 5; i++) yield INSIDE;
        mutex.unlock();
        s.log.push('unlocked');
        yield SLICE;
        s.log.push('after');
      })(),
    );
    s.settle();
    s.spawn(
      'other',
      (function* (): MaySleep<void> {
        yield INSIDE;
        sleeper.wake();
      })(),
    );
    s.spawn(
      'freezer',
      (function* (): MaySleep<void> {
        expect(yield* s.queue.freeze((task) => task.name === 'program')).toBe(true);
        s.log.push('frozen');
        yield* mutex.lock();
        for (let i = 0; i < 20; i++) yield INSIDE;
        mutex.unlock();
        s.log.push('thaw');
        s.queue.thaw();
      })(),
    );
    s.settle();
    expect(s.log).toEqual(['locked', 'unlocked', 'frozen', 'thaw', 'after']);
  });

  it('who is woken meanwhile does not move before the thaw; a wait of the kernel’s own threads is one too', () => {
    const s = stage(cpus);
    const sleeper = new Sleeper('futex');
    const wait = new WaitQueue(s.contexts, 'kswapd_wait', true);
    let asked = false;
    s.spawn(
      'program',
      (function* (): MaySleep<void> {
        yield sleeper.point;
        s.log.push('program');
      })(),
    );
    s.spawn(
      'kswapd',
      (function* (): MaySleep<void> {
        yield* wait.waitEvent(() => asked);
        s.log.push('kswapd');
      })(),
    );
    s.settle();
    s.spawn(
      'freezer',
      (function* (): MaySleep<void> {
        expect(yield* s.queue.freeze((task) => task.name === 'program')).toBe(true);
        expect(yield* s.queue.freeze(() => true)).toBe(true);
        sleeper.wake();
        asked = true;
        wait.wakeUp();
        for (let i = 0; i < 20; i++) yield INSIDE;
        s.log.push('thaw');
        s.queue.thaw();
      })(),
    );
    s.settle();
    expect(s.log[0]).toBe('thaw');
    expect(s.log.slice(1).sort()).toEqual(['kswapd', 'program']);
  });

  it('fails, and freezes nobody, where one waits for another that is frozen', () => {
    const s = stage(cpus);
    const mutex = new Mutex(s.contexts, 'm');
    const page = new WaitQueue(s.contexts, 'folio_wait_bit');
    let done = false;
    s.spawn(
      'waits',
      (function* (): MaySleep<void> {
        yield* mutex.lock();
        yield* page.waitEvent(() => done);
        mutex.unlock();
        s.log.push('waited');
      })(),
    );
    s.spawn(
      'program',
      (function* (): MaySleep<void> {
        for (let i = 0; i < 6; i++) yield SLICE;
        done = true;
        page.wakeUp();
      })(),
    );
    s.settle(2);
    s.spawn(
      'freezer',
      (function* (): MaySleep<void> {
        s.log.push(`frozen ${yield* s.queue.freeze((task) => task.name !== 'freezer')}`);
      })(),
    );
    s.settle();
    expect(s.log).toEqual(['frozen false', 'waited']);
  });
});
