/**
 * `mtemu run --bare`: a program that has the machine to itself.
 *
 * Firmware programs the tag ranges, then enters the program at the level that `--el` says, with the
 * device tree's address in x0 and nothing else prepared: exceptions go to the program's own vectors.
 * What it writes to the serial line and through semihosting is standard output.
 */
import { assemble } from '../assembler/index.js';
import { inputError, renderDiagnostics, VA } from '../base/index.js';
import type { DeviceTree } from '../devicetree/index.js';
import { isElf, readElf } from '../elf/index.js';
import type { EngineMaker } from '../engine/index.js';
import {
  BARE_OFFSET,
  type BareProgram,
  bootBare,
  type ConductEnd,
  Conductor,
  type Incoherence,
  type Machine,
  memoryBanks,
  runFirmware,
  type Segment,
} from '../machine/index.js';
import { assemblyLoaders, decodeText } from './assembly-files.js';
import type { CommandIo } from './command.js';
import type { PausableRun } from './run-lockstep.js';
import { runStatistics } from './run-statistics.js';
import { SerialInput } from './serial-input.js';

export interface BareRequest {
  readonly tree: DeviceTree;
  readonly program: BareProgram;
  readonly engine: EngineMaker;
  readonly seed: number;
  readonly caches: 'off' | 'model';
  readonly onIncoherence: (report: Incoherence) => void;
  readonly maxSteps?: number;
  /** A terminal's keys are the machine's one by one. */
  readonly rawInput?: boolean;
}

/** Output is held back until a line is full or this many bytes are. */
const BUFFER = 4096;

/** Collects bytes; whole lines go on at once. */
class Output {
  readonly #io: CommandIo;
  readonly #bytes = new Uint8Array(BUFFER);
  #used = 0;

  constructor(io: CommandIo) {
    this.#io = io;
  }

  put(byte: number): void {
    this.#bytes[this.#used++] = byte;
    if (byte === 10 || this.#used === BUFFER) this.flush();
  }

  flush(): void {
    if (this.#used > 0) this.#io.stdout(this.#bytes.slice(0, this.#used));
    this.#used = 0;
  }
}

/** Builds the machine and runs its firmware. Throws InputError for programs and machines that cannot be. */
export function startBare(request: BareRequest, io: CommandIo): PausableRun {
  const { tree, program, seed, maxSteps } = request;
  const output = new Output(io);
  // What firmware says is not the program's output.
  let entered = false;
  const board = bootBare(tree, program, {
    seed,
    caches: request.caches,
    recordTagWriters: false,
    onSerial: (byte) => {
      if (entered) output.put(byte);
    },
    onSemihostingOutput: (byte) => output.put(byte),
    onControllerProblem: ({ range, problem }) =>
      io.stderr(`mtemu: warning: tag controller: range ${range} refused: ${problem}\n`),
  });
  const { machine } = board;
  machine.memory.onIncoherence = request.onIncoherence;
  for (const what of board.missing) io.stderr(`mtemu: note: the machine has ${what}\n`);
  const input = new SerialInput(io, request.rawInput === true);
  const frequency = machine.cpu.environment.counterFrequency;
  board.console?.connect(input, frequency);
  const engine = request.engine(machine);
  runFirmware(board, engine);
  entered = true;
  const conductor = new Conductor(machine, engine, seed);
  let end: ConductEnd = { kind: 'limit', which: 'time' };
  let seconds = 0;
  return {
    side: {
      machine,
      runUntil(pause) {
        const start = performance.now();
        const expired = () => {
          output.flush();
          return input.isEnded || pause();
        };
        const idle = (ticks: number) => input.idle((ticks / frequency) * 1000);
        const left = maxSteps === undefined ? {} : { maxSteps: maxSteps - conductor.steps };
        end = conductor.run({ ...left, expired, idle });
        output.flush();
        seconds += (performance.now() - start) / 1000;
        return end.kind === 'limit' && end.which === 'time' && !input.isEnded;
      },
    },
    conclude: (to) => (input.isEnded ? 0 : conclude(end, to)),
    statistics: () => ({ ...statistics(machine), ...runStatistics(machine, engine, seconds) }),
  };
}

/**
 * A flat binary at QEMU's place for it, an ELF where it is linked, assembly as a flat binary.
 * `bytes`: what is in the file, where it is known.
 */
export function loadBareProgram(
  path: string,
  tree: DeviceTree,
  io: CommandIo,
  bytes = io.readFile(path),
): Omit<BareProgram, 'level'> {
  const base = memoryBanks(tree)[0]!.base + BARE_OFFSET;
  if (isElf(bytes)) {
    const elf = readElf(bytes, path, { addresses: 'any' });
    const home = elf.segments.find((s) => elf.entry >= s.address && elf.entry < s.address + s.memorySize);
    const offset = home === undefined ? 0n : home.physicalAddress - home.address;
    return {
      entry: Number(elf.entry + offset),
      segments: elf.segments.map((s) => segment(path, s.physicalAddress, s.bytes, s.memorySize)),
    };
  }
  if (!/\.s$/i.test(path)) {
    if (bytes.length === 0) throw inputError('RUN-PROGRAM', 'the file is empty', { file: path });
    return { entry: base, segments: [{ address: base, bytes }] };
  }
  const program = assemble(
    { name: path, text: decodeText(bytes, path) },
    { ...assemblyLoaders(io), textBase: VA(BigInt(base)) },
  );
  if (program.warnings.length > 0) {
    io.stderr(`${renderDiagnostics(program.warnings, { color: io.color })}\n`);
  }
  return {
    entry: Number(program.entry),
    segments: program.sections
      .filter((s) => s.flags.alloc && s.size > 0)
      .map((s) => segment(path, s.address, s.type === 'nobits' ? new Uint8Array() : s.bytes, BigInt(s.size))),
  };
}

function segment(path: string, address: bigint, bytes: Uint8Array, size: bigint): Segment {
  if (address + size > 2n ** 48n || size > 2n ** 40n) {
    throw inputError('RUN-PROGRAM', `a segment at 0x${address.toString(16)} does not fit physical memory`, {
      file: path,
    });
  }
  return { address: Number(address), bytes, size: Number(size) };
}

function conclude(end: ConductEnd, io: CommandIo): number {
  switch (end.kind) {
    case 'exit':
      if (end.reset) io.stderr('mtemu: note: the program asked for a reset; the run ends here\n');
      return end.status;
    case 'limit':
      io.stderr(`mtemu: the ${end.which === 'steps' ? '--max-steps' : '--timeout'} limit was reached\n`);
      return 124;
    case 'stuck':
      io.stderr('mtemu: the program can make no progress any more\n');
      for (const reason of end.reasons) io.stderr(`mtemu: ${reason}\n`);
      return 124;
    case 'halted':
      io.stderr(`mtemu: the machine halted: ${end.message}\n`);
      return 125;
  }
}

function statistics(machine: Machine): Record<string, unknown> {
  const sum = (of: (cpu: Machine['cpu']) => number) =>
    machine.cpus.reduce((total, cpu) => total + of(cpu), 0);
  return {
    instructions: sum((cpu) => cpu.steps),
    tagChecks: sum((cpu) => cpu.tagChecks),
    faults: sum((cpu) => cpu.exceptions),
    vmstat: {},
    tagStorage: {},
  };
}
