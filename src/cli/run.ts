/**
 * `mtemu run`: boots a machine and the mini-kernel, runs one program on them, and ends as it ended.
 */
import { assemble } from '../assembler/index.js';
import { formatSize, inputError, parseSize, renderDiagnostics, untagged } from '../base/index.js';
import type { DeviceTree } from '../devicetree/index.js';
import { type ElfFile, isElf, readElf, toElf } from '../elf/index.js';
import { createEngine, ENGINE_NAMES, type EngineMaker, type TraceStep } from '../engine/index.js';
import {
  bootSystem,
  errnoName,
  type HostFolder,
  type PageSize,
  type ProcessEnd,
  policies,
  type RunOutcome,
  renderTagFaultReport,
  type System,
  setTaggedAddrCtrl,
  type TaggedAddressControl,
  tagFaultReportToJson,
} from '../kernel/index.js';
import {
  defaultTree,
  fillMemory,
  type Incoherence,
  leavesMemoryOpen,
  REUSE_UNIT,
  setCpuCount,
  shippedTree,
} from '../machine/index.js';
import { assemblyLoaders, decodeText } from './assembly-files.js';
import type { Command, CommandIo } from './command.js';
import { InstructionTrace } from './instruction-trace.js';
import {
  choice,
  firstPositional,
  type OptionSpecs,
  type ParsedOptions,
  parseOptions,
  text,
  usageError,
  wholeNumber,
} from './options.js';
import { loadBareProgram, startBare } from './run-bare.js';
import { LOCKSTEP_EVERY, type PausableRun, runInLockstep } from './run-lockstep.js';
import { runStatistics, STATISTICS_HELP } from './run-statistics.js';
import { SerialInput } from './serial-input.js';
import { loadTree } from './tree-files.js';

const COMMAND = 'run';

const OPTIONS = {
  machine: { type: 'string' },
  memory: { type: 'string' },
  cpus: { type: 'string' },
  'tag-storage': { type: 'string' },
  'page-size': { type: 'string' },
  bare: { type: 'boolean' },
  el: { type: 'string' },
  tcf: { type: 'string' },
  engine: { type: 'string' },
  caches: { type: 'string' },
  seed: { type: 'string' },
  env: { type: 'string', multiple: true },
  root: { type: 'string' },
  tty: { type: 'boolean' },
  strace: { type: 'boolean' },
  trace: { type: 'string' },
  'trace-events': { type: 'boolean' },
  stats: { type: 'boolean' },
  lockstep: { type: 'boolean' },
  report: { type: 'string' },
  core: { type: 'string' },
  check: { type: 'boolean' },
  dmesg: { type: 'boolean' },
  'max-steps': { type: 'string' },
  timeout: { type: 'string' },
  help: { type: 'boolean' },
} as const satisfies OptionSpecs;

const HELP = `Usage: mtemu run [options] PROGRAM [ARG...]

Runs PROGRAM, assembly source (.s) or a static AArch64 ELF executable, under the mini-kernel.
Standard output and error are the guest's; what mtemu says goes to standard error.

  --machine FILE.dts|FILE.dtb  the machine (default: 512 MiB with tag storage behind it)
  --memory SIZE                tagged memory of the default machine (64M, 1G, ...), or of a tree that
                               leaves the size to the board's bootloader
  --cpus N                     CPUs of the machine, 1 to 8 (default: as many as its tree has; the default one has 1)
  --tag-storage POLICY         who may use tag storage; 'list' prints the policies
  --page-size 4k|16k|64k       translation granule (default 4k)
  --bare                       no mini-kernel: PROGRAM (.s, ELF or flat binary) has the machine to itself;
                               serial line and semihosting are standard output
  --el 1|2|3                   exception level of a bare program (default 1)
  --tcf none|sync|async|asymm  tag checks from the start (default: sync for .s, none for ELF)
  --engine evaluate|interpret|translate|auto
                               execution engine (all give the same results; default auto)
  --lockstep[=N]               run under the evaluator as well, and compare every N instructions (default ${LOCKSTEP_EVERY})
  --caches off|model           write-back data and tag caches with seeded eviction (default off)
  --seed N                     all randomness (default 0)
  --env NAME=VALUE             guest environment (repeatable; nothing is inherited)
  --root DIR                   a host folder shown read-only as the guest's / beneath its tmpfs
  --tty                        the guest's standard streams are a terminal, as they are where yours are all
                               one: keys go to the guest, Control-C too; Control-A x ends the run
  --strace                     system calls, as strace prints them
  --trace-events               trace events of CMA, as ftrace names them
  --trace FILE                 instructions: one JSON object a line {step, pc, insn, asm, writes}
  --stats                      at the end, one line of JSON with counters (see below)
  --report text|json           form of the tag-check fault report
  --core FILE                  the core file of the process that a signal killed last
  --check                      verify the memory manager's invariants after every kernel operation;
                               with several CPUs, at the first moment when none is inside the kernel
  --dmesg                      the kernel's log
  --max-steps N                end with 124 after N instructions
  --timeout SECONDS            end with 124 after this time

${STATISTICS_HELP}
Exit status: the program's own; 128+N if signal N killed it; 124 at a limit, or when a bare program can
make no progress any more; 125 where --lockstep finds a difference; 2 for bad input.
`;

const PAGE_SIZES: Readonly<Record<string, PageSize>> = { '4k': 4096, '16k': 16384, '64k': 65536 };
const TCF_BITS: Readonly<Record<string, number>> = { none: 0, sync: 2, async: 4, asymm: 6 };
/** ENABLE, and every tag but 0 for IRG. */
const CHECKED = 1 | (0xfffe << 3);

export const runCommand: Command = {
  name: COMMAND,
  summary: 'run a program under the mini-kernel',
  help: HELP,
  optionsEnd: (args) => firstPositional(OPTIONS, args),
  run,
};

function run(args: string[], io: CommandIo): number {
  const split = firstPositional(OPTIONS, args);
  const { values } = parseOptions(COMMAND, SPECS, args.slice(0, split).map(withNumber));
  if (values['tag-storage'] === 'list') {
    const width = Math.max(...policies().map((p) => p.name.length));
    io.stdout(
      policies()
        .map((p) => `${p.name.padEnd(width)}  ${p.summary}\n`)
        .join(''),
    );
    return 0;
  }
  const path = args[split];
  if (path === undefined) throw usageError(COMMAND, 'which program?');
  const every = wholeNumber(COMMAND, values, 'lockstep', 1);
  if (every !== undefined && values['trace'] !== undefined) {
    throw usageError(COMMAND, '--trace and --lockstep do not go together: a traced program is evaluated');
  }
  const isBare = values['bare'] === true;
  if (isBare) checkBareOptions(values, args.slice(split));
  else if (values['el'] !== undefined) throw usageError(COMMAND, '--el is for --bare');
  const trace = values['trace'] === undefined ? undefined : new InstructionTrace(text(values, 'trace')!, io);
  const limits = readLimits(values);
  const onStep = trace === undefined ? {} : { onStep: (step: TraceStep) => trace.add(step) };
  const name = engineName(values);
  const make = isBare
    ? prepareBare(values, path, io, limits)
    : prepare(values, args.slice(split), io, limits);
  if (every !== undefined) {
    const { expired } = limits;
    const request = { engine: name, every, stats: values['stats'] === true };
    return runInLockstep(expired === undefined ? request : { ...request, expired }, io, make);
  }
  const started = make((machine) => createEngine(machine, name, onStep), io);
  started.side.runUntil(limits.expired ?? (() => false));
  trace?.flush();
  const status = started.conclude(io);
  if (values['stats'] === true) io.stderr(`${JSON.stringify(started.statistics())}\n`);
  return status;
}

/** `--lockstep` takes a number or none, which the parser cannot say. */
const SPECS: OptionSpecs = { ...OPTIONS, lockstep: { type: 'string' } };
const withNumber = (word: string) => (word === '--lockstep' ? `--lockstep=${LOCKSTEP_EVERY}` : word);

/** A program under the mini-kernel, which is booted anew each time it is asked for. */
function prepare(
  values: ParsedOptions['values'],
  args: readonly string[],
  io: CommandIo,
  limits: Limits,
): (engine: EngineMaker, io: CommandIo) => PausableRun {
  const [path] = args;
  const program = loadProgram(path!, io);
  const format = choice(COMMAND, values, 'report', ['text', 'json']) ?? 'text';
  const machine = machineTree(values, io);
  setCpus(values, machine.tree);
  return (engine, streams) => {
    let core: Uint8Array | undefined;
    const takeCore = (_pid: number, image: Uint8Array) => {
      core = image;
    };
    const corePath = text(values, 'core');
    const keyboard = keyboardOf(values, streams);
    const wantsCore = corePath === undefined ? undefined : takeCore;
    const system = boot(values, streams, machine, engine, keyboard, wantsCore);
    const { kernel } = system;
    for (const what of system.board.missing) streams.stderr(`mtemu: note: the machine has ${what}\n`);
    const control = startControl(values, program.assembled);
    const process = kernel.spawn({
      elf: program.elf,
      args,
      env: environment(values),
      image: program.image,
      ...(control === undefined ? {} : { control }),
    });
    if (typeof process === 'number') {
      throw inputError('RUN-EXEC', `cannot start ${path}: ${errnoName(-process)}`, {
        help: 'its segments must fit user space, one page must not hold two of them, and memory must suffice',
      });
    }
    let outcome: RunOutcome = { kind: 'limit', which: 'time' };
    let seconds = 0;
    const { maxSteps } = limits;
    return {
      side: {
        machine: system.board.machine,
        runUntil(pause) {
          const start = performance.now();
          const expired = () => keyboard?.isEnded === true || pause();
          outcome = kernel.run(process, maxSteps === undefined ? { expired } : { maxSteps, expired });
          seconds += (performance.now() - start) / 1000;
          return outcome.kind === 'limit' && outcome.which === 'time' && keyboard?.isEnded !== true;
        },
      },
      conclude(to) {
        if (core !== undefined && corePath !== undefined) to.writeFile(corePath, core);
        return keyboard?.isEnded === true ? 0 : conclude(outcome, format, to);
      },
      statistics: () => statistics(system, seconds),
    };
  };
}

/** Rows and columns of a terminal that is none of the host's. */
const SCREEN = { rows: 24, columns: 80 };

/** What is typed, where the guest's standard streams are a terminal; undefined where they are not. */
function keyboardOf(values: ParsedOptions['values'], io: CommandIo): SerialInput | undefined {
  const isHosts = io.isTerminal === true && io.terminalSize !== undefined && io.stdinNow !== undefined;
  if (isHosts) return new SerialInput(io, true);
  return values['tty'] === true ? new SerialInput({ ...io, stdinNow: undefined }, false) : undefined;
}

/** Options that mean nothing without the mini-kernel. */
const KERNEL_ONLY: readonly (keyof typeof OPTIONS)[] = [
  'tag-storage',
  'page-size',
  'tcf',
  'env',
  'root',
  'tty',
  'strace',
  'trace-events',
  'report',
  'core',
  'check',
  'dmesg',
];

function checkBareOptions(values: ParsedOptions['values'], words: readonly string[]): void {
  for (const name of KERNEL_ONLY) {
    if (values[name] !== undefined) {
      throw usageError(COMMAND, `--${name} is for programs under the mini-kernel, not for --bare`);
    }
  }
  if (words.length > 1) throw usageError(COMMAND, 'a bare program takes no arguments');
}

/** A program that has the machine to itself. */
function prepareBare(values: ParsedOptions['values'], path: string, io: CommandIo, limits: Limits) {
  const { tree } = machineTree(values, io);
  setCpus(values, tree);
  const program = loadBareProgram(path, tree, io);
  const level = Number(choice(COMMAND, values, 'el', ['1', '2', '3']) ?? '1') as 1 | 2 | 3;
  const seed = wholeNumber(COMMAND, values, 'seed') ?? 0;
  const caches = choice(COMMAND, values, 'caches', ['off', 'model']) ?? 'off';
  const { maxSteps } = limits;
  return (engine: EngineMaker, streams: CommandIo): PausableRun =>
    startBare(
      {
        tree,
        program: { ...program, level },
        engine,
        seed,
        caches,
        onIncoherence: incoherenceWarnings(streams),
        ...(maxSteps === undefined ? {} : { maxSteps }),
      },
      streams,
    );
}

/** Modelled caches leave generated code nothing to reach directly: the evaluator is the engine for them. */
function engineName(values: ParsedOptions['values']): string {
  const engine = choice(COMMAND, values, 'engine', ENGINE_NAMES) ?? 'auto';
  return engine === 'auto' && values['caches'] === 'model' ? 'evaluate' : engine;
}

// ---- before --------------------------------------------------------------------------------------

interface LoadedFile {
  readonly elf: ElfFile;
  readonly image: Uint8Array;
  readonly assembled: boolean;
}

function loadProgram(path: string, io: CommandIo): LoadedFile {
  const bytes = io.readFile(path);
  if (isElf(bytes)) return { elf: readElf(bytes, path), image: bytes, assembled: false };
  if (!/\.s$/i.test(path)) {
    throw inputError('RUN-PROGRAM', 'this is neither an ELF file nor assembly source', {
      file: path,
      help: 'assembly source has a name that ends in .s',
    });
  }
  const program = assemble({ name: path, text: decodeText(bytes, path) }, assemblyLoaders(io));
  if (program.warnings.length > 0) {
    io.stderr(`${renderDiagnostics(program.warnings, { color: io.color })}\n`);
  }
  const image = toElf(program);
  return { elf: readElf(image, path), image, assembled: true };
}

export interface Limits {
  readonly maxSteps?: number;
  readonly expired?: () => boolean;
}

/** --max-steps and --timeout. */
export function readLimits(values: ParsedOptions['values'], command = COMMAND): Limits {
  const maxSteps = wholeNumber(command, values, 'max-steps', 1);
  const seconds = text(values, 'timeout');
  if (seconds !== undefined && !(Number(seconds) > 0)) {
    throw usageError(command, `--timeout takes a number of seconds, not '${seconds}'`);
  }
  const end = seconds === undefined ? undefined : performance.now() + Number(seconds) * 1000;
  return {
    ...(maxSteps === undefined ? {} : { maxSteps }),
    ...(end === undefined ? {} : { expired: () => performance.now() >= end }),
  };
}

function environment(values: ParsedOptions['values']): string[] {
  const list = values['env'];
  return (Array.isArray(list) ? list : []).map((entry) => {
    if (!/^[^=]+=/.test(String(entry))) throw usageError(COMMAND, `--env takes NAME=VALUE, not '${entry}'`);
    return String(entry);
  });
}

function startControl(values: ParsedOptions['values'], assembled: boolean): TaggedAddressControl | undefined {
  const tcf = choice(COMMAND, values, 'tcf', Object.keys(TCF_BITS)) ?? (assembled ? 'sync' : undefined);
  // `none` is how Linux starts a program.
  if (tcf === undefined || tcf === 'none') return undefined;
  const control = setTaggedAddrCtrl(BigInt(CHECKED | TCF_BITS[tcf]!), true);
  if (typeof control === 'number') throw new Error('a control of our own making was refused');
  return control;
}

function guestRoot(values: ParsedOptions['values'], io: CommandIo): HostFolder | undefined {
  const path = text(values, 'root');
  if (path === undefined) return undefined;
  if (io.folder === undefined) throw usageError(COMMAND, '--root needs a host that has folders');
  return io.folder(path);
}

/** The machine of --machine and --memory; `lend`: its tag storage is whole pageblocks. */
export function machineTree(
  values: ParsedOptions['values'],
  io: CommandIo,
  command = COMMAND,
): { tree: DeviceTree; lend: boolean } {
  const file = text(values, 'machine');
  const memory = text(values, 'memory');
  const bytes = memory === undefined ? undefined : parseSize(memory);
  if (memory !== undefined && bytes === undefined) {
    throw usageError(command, `--memory takes a size such as 128M, not '${memory}'`);
  }
  if (file !== undefined) return { tree: treeWithMemory(file, bytes, io, command), lend: true };
  if (bytes === undefined) return { tree: shippedTree('default'), lend: true };
  const tree = defaultTree(bytes);
  const lend = bytes % REUSE_UNIT === 0;
  if (!lend) {
    io.stderr(
      `mtemu: note: tag storage of ${formatSize(bytes)} of memory is not a whole number of pageblocks: it is not lent (multiples of ${formatSize(REUSE_UNIT)} are)\n`,
    );
  }
  return { tree, lend };
}

/** --cpus. */
function setCpus(values: ParsedOptions['values'], tree: DeviceTree): void {
  const count = wholeNumber(COMMAND, values, 'cpus', 1);
  if (count !== undefined) setCpuCount(tree, count);
}

/** The tree of a file, its memory filled in where it leaves that to the bootloader. */
function treeWithMemory(file: string, bytes: number | undefined, io: CommandIo, command: string): DeviceTree {
  const { tree } = loadTree(file, io);
  if (bytes === undefined) return tree;
  if (!leavesMemoryOpen(tree)) {
    throw usageError(
      command,
      '--memory is for trees that leave the size of memory open; this one has its own',
    );
  }
  const hasNode = tree.root.children.some((n) => n.name.startsWith('memory'));
  const base = fillMemory(tree, bytes);
  if (!hasNode) {
    io.stderr(`mtemu: note: the tree does not say where memory is: it is put at 0x${base.toString(16)}\n`);
  }
  return tree;
}

function boot(
  values: ParsedOptions['values'],
  io: CommandIo,
  { tree, lend }: ReturnType<typeof machineTree>,
  engine: EngineMaker,
  keyboard: SerialInput | undefined,
  core?: (pid: number, image: Uint8Array) => void,
): System {
  const policy = choice(
    COMMAND,
    values,
    'tag-storage',
    policies().map((p) => p.name),
  );
  const pageSize = PAGE_SIZES[choice(COMMAND, values, 'page-size', Object.keys(PAGE_SIZES)) ?? '4k']!;
  const chosen = policy ?? (lend ? undefined : 'static');
  const caches = choice(COMMAND, values, 'caches', ['off', 'model']) ?? 'off';
  const root = guestRoot(values, io);
  return bootSystem({
    tree,
    engine,
    pageSize,
    seed: wholeNumber(COMMAND, values, 'seed') ?? 0,
    check: values['check'] === true,
    caches,
    onIncoherence: incoherenceWarnings(io),
    ...(chosen === undefined ? {} : { policy: chosen }),
    write: (fd, bytes) => (fd === 1 ? io.stdout(bytes) : io.stderr(new TextDecoder().decode(bytes))),
    ...(io.stdin === undefined ? {} : { input: (count: number) => io.stdin!(count) }),
    ...(keyboard === undefined ? {} : { terminal: { keyboard, ...(io.terminalSize ?? SCREEN) } }),
    ...(root === undefined ? {} : { root }),
    ...(core === undefined ? {} : { core }),
    ...(values['dmesg'] === true ? { log: (line: string) => io.stderr(`[kernel] ${line}\n`) } : {}),
    ...(values['trace-events'] === true ? { traceEvents: eventLines(io) } : {}),
    ...(values['strace'] === true ? { strace: (line: string) => io.stderr(`${line}\n`) } : {}),
  });
}

/** A line for each trace event, as trace_pipe has them but for who and when; page frame numbers in hex. */
function eventLines(
  io: CommandIo,
): (event: string, fields: Readonly<Record<string, number | string>>) => void {
  const shown = (name: string, value: number | string) =>
    typeof value === 'number' && (name === 'start' || name === 'pfn')
      ? `0x${value.toString(16)}`
      : String(value);
  return (event, fields) => {
    const text = Object.entries(fields).map(([name, value]) => `${name}=${shown(name, value)}`);
    io.stderr(`${event}: ${text.join(' ')}\n`);
  };
}

/** Warnings said at most: one broken hand-over shows in every line of its block. */
const MOST_WARNINGS = 16;

/** Names each DRAM line that changed hands without the cache maintenance it needs. */
export function incoherenceWarnings(io: CommandIo): (report: Incoherence) => void {
  let said = 0;
  return ({ written, dramLine, taggedMemory }) => {
    said++;
    if (said > MOST_WARNINGS + 1) return;
    if (said > MOST_WARNINGS) {
      io.stderr('mtemu: warning: caches: further lines disagree; no more are named\n');
      return;
    }
    const line = `DRAM line 0x${dramLine.toString(16)}`;
    const owner = `tags of 0x${taggedMemory.toString(16)}`;
    io.stderr(
      written === 'tags'
        ? `mtemu: warning: caches: ${line} now holds ${owner}, but dirty data of its old use is still cached (DC IVAC was left out)\n`
        : `mtemu: warning: caches: ${line} now holds data, but dirty ${owner} are still cached (DC IGVAC was left out)\n`,
    );
  };
}

// ---- after ---------------------------------------------------------------------------------------

/** Says how the run ended, where there is something to say, and gives the exit status. */
function conclude(outcome: RunOutcome, format: 'text' | 'json', io: CommandIo): number {
  switch (outcome.kind) {
    case 'ended':
      return concludeProcess(outcome.end, format, io);
    case 'limit':
      io.stderr(`mtemu: the ${outcome.which === 'steps' ? '--max-steps' : '--timeout'} limit was reached\n`);
      return 124;
    case 'violation':
      for (const v of outcome.violations) io.stderr(`mtemu: invariant ${v.invariant} broken: ${v.detail}\n`);
      return 125;
    case 'stuck':
      io.stderr('mtemu: every thread of the guest waits, and nothing in the machine can wake one\n');
      return 124;
    case 'halted':
      io.stderr(`mtemu: the machine halted: ${outcome.message}\n`);
      return 125;
  }
}

function concludeProcess(end: ProcessEnd, format: 'text' | 'json', io: CommandIo): number {
  if (end.kind === 'exited') return end.status;
  const { info, report } = end;
  if (report !== undefined) {
    io.stderr(
      format === 'json' ? `${JSON.stringify(tagFaultReportToJson(report))}\n` : renderTagFaultReport(report),
    );
  } else {
    const where = info.fault ? ` at 0x${untagged(info.address).toString(16)}` : '';
    const reason = info.reason === undefined ? '' : `: ${info.reason}`;
    io.stderr(`mtemu: the program was killed by ${info.signal} (${info.codeName})${where}${reason}\n`);
  }
  return 128 + info.signo;
}

function statistics({ kernel, board, engine }: System, seconds: number): Record<string, unknown> {
  const { cpus } = board.machine;
  const { regions: _regions, ...tagStorage } = kernel.mm.snapshotTagStorage();
  return {
    instructions: cpus.reduce((sum, cpu) => sum + cpu.steps, 0),
    tagChecks: cpus.reduce((sum, cpu) => sum + cpu.tagChecks, 0),
    faults: kernel.faults,
    cpus: kernel.activity,
    vmstat: kernel.mm.vmstat(),
    tagStorage: { ...tagStorage, ...kernel.mm.tagStorageMetrics() },
    ...runStatistics(board.machine, engine, seconds),
  };
}
