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
  type Incoherence,
  runFirmware,
  shippedTree,
} from '../../src/machine/index.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const BASE = 0x4008_0000;
const DEFAULT_TREE = shippedTree('default');

export interface BareOutcome {
  readonly end: ConductEnd;
  readonly output: string;
  readonly board: BootedBoard;
}

export interface BareRun extends BoardOptions, ConductLimits {
  readonly tree?: DeviceTree;
  readonly level?: 1 | 2 | 3;
  readonly onIncoherence?: (report: Incoherence) => void;
}

/** A file of the repository. */
export const repositoryText = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Flat image at 0x40080000; `.include` takes files of test/machine/programs, then of firmware/examples. */
export function assembleBare(text: string, name = 'test.s'): Uint8Array {
  const program = assemble(
    { name, text },
    {
      textBase: VA(BigInt(BASE)),
      include: (path) => {
        const file = path.split('/').at(-1)!;
        const folder = ['test/machine/programs', 'firmware/examples'].find((f) =>
          existsSync(join(ROOT, f, file)),
        );
        return { name: file, text: repositoryText(`${folder ?? '.'}/${file}`) };
      },
    },
  );
  return toFlat(program, VA(BigInt(BASE)));
}

/** Runs a flat image with firmware before it. */
export function runImage(image: Uint8Array, run: BareRun = {}): BareOutcome {
  const { tree, level, maxSteps = 2_000_000, expired, onIncoherence, ...options } = run;
  let output = '';
  let entered = false;
  const put = (byte: number) => {
    if (entered) output += String.fromCharCode(byte);
  };
  const board = bootBare(
    tree ?? DEFAULT_TREE,
    { segments: [{ address: BASE, bytes: image }], entry: BASE, level: level ?? 1 },
    { onSerial: put, onSemihostingOutput: put, ...options },
  );
  board.machine.memory.onIncoherence = onIncoherence;
  const engine = createEngine(board.machine, 'evaluate');
  runFirmware(board, engine);
  entered = true;
  const conductor = new Conductor(board.machine, engine, options.seed ?? 0);
  const end = conductor.run({ maxSteps, ...(expired === undefined ? {} : { expired }) });
  return { end, output, board };
}

export const runText = (text: string, run: BareRun = {}): BareOutcome => runImage(assembleBare(text), run);

// ---- qemu ----------------------------------------------------------------------------------------

const QEMU = process.env['MTEMU_QEMU_SYSTEM'] ?? 'qemu-system-aarch64';

/** Major version of qemu-system-aarch64, or 0 where it is not there. */
export const qemuVersion: number = (() => {
  const { stdout, status } = spawnSync(QEMU, ['--version'], { encoding: 'utf8' });
  return status === 0 ? Number(/version (\d+)/.exec(stdout)?.[1] ?? 0) : 0;
})();

/** What a bare image prints and exits with on QEMU's virt board. */
export function runOnQemu(
  image: Uint8Array,
  machine = 'virt,gic-version=3',
  cpus = 1,
): BareOutcome['output'] {
  const directory = mkdtempSync(join(tmpdir(), 'mtemu-bare-'));
  try {
    const path = join(directory, 'image.bin');
    writeFileSync(path, image);
    const { stdout, status } = spawnSync(
      QEMU,
      [
        ...['-machine', machine, '-cpu', 'max', '-smp', String(cpus), '-m', '512', '-display', 'none'],
        ...['-semihosting-config', 'enable=on,target=native', '-serial', 'stdio', '-monitor', 'none'],
        ...['-net', 'none', '-kernel', path],
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
