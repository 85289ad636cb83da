/**
 * What terminals ask of processes: who is calling, signals to groups, orphaned groups.
 *
 * Ref. kernel/exit.c (will_become_orphaned_pgrp), drivers/tty/tty_jobctrl.c.
 */
import type { TtyCaller, TtyHost } from '../tty/index.js';
import { SIGNAL } from './abi.js';
import type { KernelState } from './kernel-state.js';
import type { Process } from './process.js';
import { sendToProcess } from './send-signal.js';
import { sentSignal } from './siginfo.js';
import { sigbit } from './signals.js';
import type { Thread } from './thread.js';

const STOPS: ReadonlySet<number> = new Set([SIGNAL.SIGTSTP, SIGNAL.SIGTTIN, SIGNAL.SIGTTOU]);

type Needed = Pick<KernelState, 'table' | 'timers' | 'clock' | 'currentThread'>;

/** No member has a parent in another group of the same session, who could continue it. */
function isOrphaned({ table }: Needed, pgid: number): boolean {
  return table.group(pgid).every((member) => {
    const { parent } = member;
    return (
      member.end !== undefined || parent === undefined || parent.pgid === pgid || parent.sid !== member.sid
    );
  });
}

const send = (process: Process, signo: number) => sendToProcess(process, sentSignal(signo, 'SI_KERNEL'));

function callerOf(state: Needed, { process, blocked }: Thread): TtyCaller {
  const { pid, pgid, sid } = process;
  return {
    pid,
    pgid,
    sid,
    get orphaned() {
      return isOrphaned(state, pgid);
    },
    ignores: (signo) => process.actions.ignores(signo) || (blocked & sigbit(signo)) !== 0n,
  };
}

export function terminalHost(state: Needed): TtyHost {
  const { table, timers, clock } = state;
  return {
    caller() {
      const thread = state.currentThread();
      return thread && callerOf(state, thread);
    },
    signalGroup(pgid, signo) {
      // do_signal_stop() of an orphaned group: nobody could continue it.
      if (STOPS.has(signo) && isOrphaned(state, pgid)) return;
      for (const process of table.group(pgid)) send(process, signo);
    },
    signalProcess(pid, signo) {
      const process = table.get(pid);
      if (process !== undefined) send(process, signo);
    },
    after(milliseconds, fire) {
      const timer = timers.add(clock.monotonic + BigInt(milliseconds) * 1_000_000n, fire);
      return () => timers.cancel(timer);
    },
  };
}
