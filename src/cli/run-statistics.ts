/**
 * What `--stats` prints: counters of the guest, of the engine, and of time.
 *
 * Those of the guest are exact and equal in all engines; the rest says where time went.
 */
import type { Engine, Machine } from '../machine/index.js';
import { CHUNK } from '../machine/index.js';

/** For the help text: every name, with its meaning. */
export const STATISTICS_HELP = `What --stats prints (JSON; 'instructions' to 'tagStorage' are equal in all engines):
  instructions     instructions that began, of all CPUs
  tagChecks        accesses whose tag was compared and matched
  faults           page faults that the kernel handled; --bare: exceptions taken
  cpus             of each CPU: instructions, tagChecks, switches (tasks taken up), migrations (tasks that came
                   from another CPU), ipis (reschedule interrupts from others), shootdowns (TLB invalidations
                   that it broadcast to the others)
  vmstat           the kernel's counters, named as in Linux's /proc/vmstat
  tagStorage       blocks of tag storage: free, lent, holding tags; how often they changed hands
  seconds, mips    time that the program ran, and millions of instructions a second
  engine.name      evaluate, interpret or translate
  engine.*         counters of the engine: evaluated (instructions that the evaluator did), entries (into
                   generated code), decoded (records made), and those of translated code where there is any
  engine.note      why generated code is not used, where it cannot be
  memory           bytes of guest memory touched, and bytes of all that the machine is kept in
  lockstep         with --lockstep: the engine compared with, and comparisons made
`;

/** Counters of the engine and of time; `seconds`: how long the guest ran. */
export function runStatistics(machine: Machine, engine: Engine, seconds: number): Record<string, unknown> {
  const instructions = machine.cpus.reduce((sum, cpu) => sum + cpu.steps, 0);
  let touched = 0;
  for (const _ of machine.dram.touchedChunks()) touched += CHUNK;
  return {
    seconds: Number(seconds.toFixed(6)),
    mips: Number((instructions / seconds / 1e6).toFixed(2)),
    engine: { name: engine.name, ...engine.statistics },
    memory: { touched, allocated: machine.linear.allocated },
  };
}
