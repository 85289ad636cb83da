/**
 * Bare programs for tests: assembly text that has a whole machine to itself, here and on
 * qemu-system-aarch64.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble, toFlat } from '../../src/assembler/index.js';
import { VA } from '../../src/base/index.js';
import type { DeviceTree } from '../../src/devicetree/index.js';
import { createEngine } from '../../src/engine/index.js';
import {
  type BoardOptions,
  type BootedBoard,
  bootBare,
  type ConductEnd,
  type ConductLimits,
  Conductor,
  type Engine,
  type Incoherence,
  runFirmware,
  shippedTree,
} from '../../src/machine/index.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const BASE = 0x4008_0000;
/** For programs that start at EL3: QEMU has its device tree in the first MiB then. */
export const EL3_BASE = 0x4020_0000;
const DEFAULT_TREE = shippedTree('default');

export interface BareOutcome {
  readonly end: ConductEnd;
  readonly output: string;
  readonly board: BootedBoard;
  readonly engine: Engine;
}

export interface BareRun extends BoardOptions, ConductLimits {
  readonly tree?: DeviceTree;
  readonly level?: 1 | 2 | 3;
  /** 'evaluate' unless told. */
  readonly engine?: string;
  readonly onIncoherence?: (report: Incoherence) => void;
}

/** A file of the repository. */
export const repositoryText = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Flat image for 0x40080000 or `base`; `.include` takes files of test/machine/programs, then of firmware/examples. */
export function assembleBare(text: string, name = 'test.s', base = BASE): Uint8Array {
  const program = assemble(
    { name, text },
    {
      textBase: VA(BigInt(base)),
      include: (path) => {
        const file = path.split('/').at(-1)!;
        const folder = ['test/machine/programs', 'firmware/examples'].find((f) =>
          existsSync(join(ROOT, f, file)),
        );
        return { name: file, text: repositoryText(`${folder ?? '.'}/${file}`) };
      },
    },
  );
  return toFlat(program, VA(BigInt(base)));
}

/** Runs a flat image, made for its level's place, with firmware before it. */
export function runImage(image: Uint8Array, run: BareRun = {}): BareOutcome {
  const base = run.level === 3 ? EL3_BASE : BASE;
  const {
    tree,
    level,
    engine: name = 'evaluate',
    maxSteps = 2_000_000,
    expired,
    onIncoherence,
    ...options
  } = run;
  let output = '';
  let entered = false;
  const put = (byte: number) => {
    if (entered) output += String.fromCharCode(byte);
  };
  const board = bootBare(
    tree ?? DEFAULT_TREE,
    { segments: [{ address: base, bytes: image }], entry: base, level: level ?? 1 },
    { onSerial: put, onSemihostingOutput: put, ...options },
  );
  board.machine.memory.onIncoherence = onIncoherence;
  const engine = createEngine(board.machine, name);
  runFirmware(board, engine);
  entered = true;
  const conductor = new Conductor(board.machine, engine, options.seed ?? 0);
  const end = conductor.run({ maxSteps, ...(expired === undefined ? {} : { expired }) });
  return { end, output, board, engine };
}

export const runText = (text: string, run: BareRun = {}): BareOutcome =>
  runImage(assembleBare(text, 'test.s', run.level === 3 ? EL3_BASE : BASE), run);

// ---- qemu ----------------------------------------------------------------------------------------

const QEMU = process.env['MTEMU_QEMU_SYSTEM'] ?? 'qemu-system-aarch64';

/** Major version of qemu-system-aarch64, or 0 where it is not there. */
export const qemuVersion: number = (() => {
  const { stdout, status } = spawnSync(QEMU, ['--version'], { encoding: 'utf8' });
  return status === 0 ? Number(/version (\d+)/.exec(stdout)?.[1] ?? 0) : 0;
})();

const device = (what: string) => ['-device', `loader,${what}`];

/**
 * What a bare image prints and exits with on QEMU's virt board; with `secure=on` it starts at EL3, which
 * QEMU's own boot protocol for kernels never does.
 */
export function runOnQemu(image: Uint8Array, machine = 'virt,gic-version=3', cpus = 1): string {
  const directory = mkdtempSync(join(tmpdir(), 'mtemu-bare-'));
  try {
    const path = join(directory, 'image.bin');
    writeFileSync(path, image);
    const { stdout, status } = spawnSync(
      QEMU,
      [
        ...['-machine', machine, '-cpu', 'max', '-smp', String(cpus), '-m', '512', '-display', 'none'],
        ...['-semihosting-config', 'enable=on,target=native', '-serial', 'stdio', '-monitor', 'none'],
        ...['-net', 'none'],
        ...(machine.includes('secure=on')
          ? [...device(`file=${path},addr=${EL3_BASE},force-raw=on`), ...device(`addr=${EL3_BASE},cpu-num=0`)]
          : ['-kernel', path]),
      ],
      { encoding: 'latin1', timeout: 20_000, input: '' },
    );
    return `${stdout}[exit ${status}]`;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The same form of our own outcome. */
export const asText = ({ end, output }: BareOutcome): string =>
  end.kind === 'exit' ? `${output}[exit ${end.status}]` : `${output}[${JSON.stringify(end)}]`;
