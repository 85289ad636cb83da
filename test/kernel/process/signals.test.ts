/** Pending signals, handlers, timers, the run queue: the rules beneath the system calls. */
import { describe, expect, it } from 'vitest';
import {
  buildSignalFrame,
  Contexts,
  type MaySleep,
  newRegisters,
  queuedSignal,
  RunQueue,
  restoreSignalFrame,
  SIG_IGN,
  SIGFRAME_BYTES,
  SIGNAL,
  SignalActions,
  SignalQueue,
  Sleeper,
  sentSignal,
  sigbit,
  siginfoBytes,
  signalInfo,
  sleepPoint,
  Timers,
} from '../../../src/kernel/index.js';

describe('pending signals', () => {
  it('are taken by number, those of the own fault first', () => {
    const queue = new SignalQueue();
    for (const signo of [SIGNAL.SIGTERM, SIGNAL.SIGHUP, SIGNAL.SIGSEGV, 40]) {
      queue.add(sentSignal(signo, 'SI_USER'));
    }
    const order = [0, 0, 0, 0].map(() => queue.take(0n)?.signo);
    expect(order).toEqual([SIGNAL.SIGSEGV, SIGNAL.SIGHUP, SIGNAL.SIGTERM, 40]);
    expect(queue.take(0n)).toBeUndefined();
    expect(queue.set).toBe(0n);
  });

  it('are kept once, real-time ones as often as sent', () => {
    const queue = new SignalQueue();
    for (let n = 0; n < 3; n++) {
      queue.add(sentSignal(SIGNAL.SIGUSR1, 'SI_USER', { pid: n }));
      queue.add(sentSignal(34, 'SI_QUEUE', { value: BigInt(n) }));
    }
    expect(queue.take(0n)?.pid).toBe(0);
    expect([0, 1, 2].map(() => queue.take(0n)?.value)).toEqual([0n, 1n, 2n]);
    expect(queue.take(0n)).toBeUndefined();
  });

  it('stay where they are blocked', () => {
    const queue = new SignalQueue();
    queue.add(sentSignal(SIGNAL.SIGUSR1, 'SI_USER'));
    expect(queue.take(sigbit(SIGNAL.SIGUSR1))).toBeUndefined();
    queue.drop(sigbit(SIGNAL.SIGUSR1));
    expect(queue.set).toBe(0n);
  });

  it('do not pile up without bound', () => {
    const queue = new SignalQueue();
    let taken = 0;
    while (queue.add(sentSignal(34, 'SI_QUEUE')) && taken < 100_000) taken++;
    expect(taken).toBeLessThan(10_000);
  });
});

describe('handlers', () => {
  it('are ignored by default where Linux ignores, and kept as ignored by exec only', () => {
    const actions = new SignalActions();
    expect(actions.ignores(SIGNAL.SIGCHLD)).toBe(true);
    expect(actions.ignores(SIGNAL.SIGTERM)).toBe(false);
    actions.set(SIGNAL.SIGTERM, { handler: SIG_IGN, flags: 0, restorer: 0n, mask: 0n });
    actions.set(SIGNAL.SIGINT, { handler: 0x1000n, flags: 4, restorer: 0n, mask: 3n });
    const copy = actions.clone();
    copy.flushHandlers();
    expect(copy.get(SIGNAL.SIGTERM).handler).toBe(SIG_IGN);
    expect(copy.get(SIGNAL.SIGINT)).toEqual({ handler: 0n, flags: 0, restorer: 0n, mask: 0n });
    expect(actions.get(SIGNAL.SIGINT).handler).toBe(0x1000n);
  });
});

describe('siginfo', () => {
  const words = (bytes: Uint8Array, at: number) => new DataView(bytes.buffer).getInt32(at, true);

  it('has its fields where the ABI has them', () => {
    const fault = siginfoBytes(signalInfo('SIGSEGV', 'SEGV_MTESERR', 0x0b00_0000_1234n));
    expect([words(fault, 0), words(fault, 8), new DataView(fault.buffer).getBigUint64(16, true)]).toEqual([
      11,
      9,
      0x0b00_0000_1234n,
    ]);
    const child = siginfoBytes(sentSignal(SIGNAL.SIGCHLD, 'CLD_EXITED', { pid: 7, uid: 1, status: 3 }));
    expect([0, 8, 16, 20, 24].map((at) => words(child, at))).toEqual([17, 1, 7, 1, 3]);
    const raw = new Uint8Array(128).fill(0xff);
    expect(siginfoBytes(queuedSignal(34, raw)).slice(4)).toEqual(raw.slice(4));
  });
});

describe('signal frames', () => {
  const registers = () => {
    const made = newRegisters();
    for (let i = 0; i < 31; i++) made.x[i] = BigInt(i) * 0x0101_0101n;
    for (let i = 0; i < 64; i++) made.v[i] = BigInt(i) << 40n;
    made.sp = 0x7ff0n;
    made.pc = 0x400100n;
    made.pstate = 0x6200_0000n;
    made.fpsr = 0x1fn;
    made.fpcr = 0x0100_0000n;
    return made;
  };
  const frame = (esr = 0n) => {
    const bytes = new Uint8Array(SIGFRAME_BYTES);
    bytes.set(
      buildSignalFrame({
        siginfo: new Uint8Array(128),
        stack: { sp: 1n, flags: 2, size: 3n },
        mask: 5n,
        registers: registers(),
        faultAddress: 0n,
        esr,
        fp: true,
      }),
    );
    return bytes;
  };
  const restore = (bytes: Uint8Array, into = newRegisters()) => {
    const noExtra = function* (): Generator<never, undefined, void> {};
    const step = restoreSignalFrame(bytes, 0x1000n, true, into, noExtra).next();
    return { restored: step.value, into };
  };
  /** Of the first record. */
  const RECORDS = 128 + 176 + 288;

  it.each([0n, 0x9200_0047n])('come back as they were made, esr %s', (esr) => {
    const { restored, into } = restore(frame(esr));
    expect(restored).toEqual({ mask: 5n, stack: { sp: 1n, flags: 2, size: 3n } });
    expect({ ...into, tls: 0n }).toEqual(registers());
  });

  it.each([
    ['an unknown record', (view: DataView) => view.setUint32(RECORDS, 0x1234, true)],
    ['a wrong size', (view: DataView) => view.setUint32(RECORDS + 4, 512, true)],
    ['no room for a record', (view: DataView) => view.setUint32(RECORDS + 528, 0x45535201, true)],
    ['EL1 in PSTATE', (view: DataView) => view.setUint32(128 + 176 + 8 + 33 * 8, 5, true)],
    ['interrupts masked', (view: DataView) => view.setUint32(128 + 176 + 8 + 33 * 8, 0x80, true)],
  ])('are refused with %s', (_name, spoil) => {
    const bytes = frame();
    spoil(new DataView(bytes.buffer));
    expect(restore(bytes).restored).toBeUndefined();
  });

  it("keep only the PSTATE bits that are user space's", () => {
    const bytes = frame();
    new DataView(bytes.buffer).setBigUint64(128 + 176 + 8 + 33 * 8, 0xffff_ffff_f230_0c00n & ~0x3c0n, true);
    const { into } = restore(bytes);
    expect(into.pstate).toBe(0xf200_0c00n);
  });
});

describe('timers', () => {
  it('fire in the order of their deadlines, equal ones as set, cancelled ones never', () => {
    const timers = new Timers();
    const fired: string[] = [];
    const add = (deadline: bigint, name: string) => timers.add(deadline, () => fired.push(name));
    add(30n, 'c');
    add(10n, 'a');
    const doomed = add(20n, 'never');
    add(10n, 'b');
    add(40n, 'late');
    timers.cancel(doomed);
    expect(timers.next).toBe(10n);
    timers.run(30n);
    expect(fired).toEqual(['a', 'b', 'c']);
    expect(timers.next).toBe(40n);
    timers.cancel(doomed);
  });
});

describe('the run queue', () => {
  it('moves ready tasks in turn and leaves sleeping ones until they are woken', () => {
    const contexts = new Contexts();
    const queue = new RunQueue(contexts);
    const log: string[] = [];
    const nap = sleepPoint('nap');
    const sleeper = new Sleeper('x');
    function* busy(name: string): MaySleep<void> {
      for (let i = 0; i < 2; i++) {
        log.push(`${name}${i} ${contexts.current.name}`);
        yield nap;
      }
    }
    function* waits(): MaySleep<void> {
      log.push('waits');
      yield sleeper.point;
      log.push('woken');
    }
    queue.spawn(contexts.newTask('A'), busy('a'));
    queue.spawn(contexts.newTask('W'), waits());
    queue.spawn(contexts.newTask('B'), busy('b'));
    while (queue.step());
    expect(log).toEqual(['a0 A', 'waits', 'b0 B', 'a1 A', 'b1 B']);
    sleeper.wake();
    expect(queue.step()).toBe(true);
    expect(log.at(-1)).toBe('woken');
    expect(queue.step()).toBe(false);
  });
});
