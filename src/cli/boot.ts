/**
 * `mtemu boot`: loads a Linux kernel, or other system software, as a boot loader would, and runs it.
 *
 * An arm64 `Image` (as it is, gzipped, or as an EFI zboot image) goes where its header says; an ELF file
 * where its program headers put it in physical memory; anything else is code that does not care, at the
 * offset that kernels without a header have. /chosen gets the command line and the initial RAM disk.
 * Nothing in the machine knows what runs on it. Standard input is the serial line's.
 *
 * Ref. Linux Documentation/arch/arm64/booting.rst; drivers/firmware/efi/libstub/zboot-header.S.
 */
import { gunzipSync } from 'node:zlib';
import { inputError } from '../base/index.js';
import type { DeviceTree } from '../devicetree/index.js';
import { createEngine, ENGINE_NAMES } from '../engine/index.js';
import { type BareProgram, fillChosen, linuxImageHeader, placeInitrd, placeLinux } from '../machine/index.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions, text, usageError, wholeNumber } from './options.js';
import { incoherenceWarnings, machineTree, readLimits } from './run.js';
import { loadBareProgram, startBare } from './run-bare.js';

const COMMAND = 'boot';

const OPTIONS = {
  kernel: { type: 'string' },
  initrd: { type: 'string' },
  append: { type: 'string' },
  machine: { type: 'string' },
  memory: { type: 'string' },
  el: { type: 'string' },
  engine: { type: 'string' },
  caches: { type: 'string' },
  seed: { type: 'string' },
  stats: { type: 'boolean' },
  'max-steps': { type: 'string' },
  timeout: { type: 'string' },
  help: { type: 'boolean' },
} as const satisfies OptionSpecs;

const HELP = `Usage: mtemu boot --kernel FILE [options]

Loads an unmodified kernel as its boot protocol says and runs it with the machine to itself.
The serial line is standard output and standard input; on a terminal, Control-A x ends the run.

  --kernel FILE                an arm64 Linux Image (also gzipped or EFI zboot), an ELF file, or flat code
  --initrd FILE                initial RAM disk, passed on as it is
  --append WORDS               the kernel's command line (replaces /chosen's bootargs)
  --machine FILE.dts|FILE.dtb  the machine (default: 512 MiB with tag storage behind it)
  --memory SIZE                tagged memory of the default machine (64M, 1G, ...)
  --el 1|2                     exception level the kernel is entered at (default 1)
  --engine evaluate|interpret|translate|auto
                               execution engine (all give the same results; default auto)
  --caches off|model           write-back data and tag caches with seeded eviction (default off)
  --seed N                     all randomness (default 0)
  --stats                      at the end, one line of JSON with counters
  --max-steps N                end with 124 after N instructions
  --timeout SECONDS            end with 124 after this time

Exit status: 0 when the kernel switches the machine off or resets it; 124 at a limit, or when it can make
no progress any more; 2 for bad input.
`;

/** Larger than any kernel: what a compressed one may unpack to. */
const LARGEST_KERNEL = 2 ** 30;

export const bootCommand: Command = {
  name: COMMAND,
  summary: 'boot a Linux kernel on the machine',
  help: HELP,
  run,
};

function run(args: string[], io: CommandIo): number {
  const { values, positionals } = parseOptions(COMMAND, OPTIONS, args);
  const path = text(values, 'kernel');
  if (path === undefined) throw usageError(COMMAND, 'which kernel? (--kernel FILE)');
  if (positionals.length > 0) throw usageError(COMMAND, `what is '${positionals[0]}'?`);
  const limits = readLimits(values, COMMAND);
  const { tree } = machineTree(values, io, COMMAND);
  const kernel = loadKernel(path, tree, io);
  const initrd = text(values, 'initrd');
  const disk = initrd === undefined ? undefined : placeInitrd(tree, kernel.segments, io.readFile(initrd));
  const bootargs = text(values, 'append');
  fillChosen(tree, {
    ...(bootargs === undefined ? {} : { bootargs }),
    ...(disk === undefined ? {} : { initrd: disk }),
  });
  const level = Number(choice(COMMAND, values, 'el', ['1', '2']) ?? '1') as 1 | 2;
  const caches = choice(COMMAND, values, 'caches', ['off', 'model']) ?? 'off';
  // A kernel boots through much code that runs once: compiling it would cost more than it saves.
  const engine = choice(COMMAND, values, 'engine', ENGINE_NAMES) ?? 'auto';
  const { maxSteps } = limits;
  const started = startBare(
    {
      tree,
      program: {
        ...kernel,
        segments: disk === undefined ? kernel.segments : [...kernel.segments, disk],
        level,
      },
      engine: (machine) => createEngine(machine, caches === 'model' ? 'evaluate' : engine),
      seed: wholeNumber(COMMAND, values, 'seed') ?? 0,
      caches,
      onIncoherence: incoherenceWarnings(io),
      rawInput: true,
      ...(maxSteps === undefined ? {} : { maxSteps }),
    },
    io,
  );
  started.side.runUntil(limits.expired ?? (() => false));
  const status = started.conclude(io);
  if (values['stats'] === true) io.stderr(`${JSON.stringify(started.statistics())}\n`);
  return status;
}

/** The kernel in its place. Throws InputError for files that are none. */
function loadKernel(path: string, tree: DeviceTree, io: CommandIo): Omit<BareProgram, 'level'> {
  const bytes = unpacked(io.readFile(path), path);
  const header = linuxImageHeader(bytes, path);
  if (header === undefined) return loadBareProgram(path, tree, io, bytes);
  const segment = placeLinux(tree, bytes, header);
  return { entry: segment.address, segments: [segment] };
}

/** A gzipped kernel, or the payload of an EFI zboot image, unpacked; other bytes as they are. */
function unpacked(bytes: Uint8Array, path: string): Uint8Array {
  const payload = zbootPayload(bytes, path) ?? bytes;
  if (payload[0] !== 0x1f || payload[1] !== 0x8b) return payload;
  try {
    return gunzipSync(payload, { maxOutputLength: LARGEST_KERNEL });
  } catch {
    throw inputError('BOOT-KERNEL', 'it is compressed, and its gzip data is damaged', { file: path });
  }
}

/** `MZ`, two zero bytes, `zimg`; then offset and size of the payload, and from 24 on how it is packed. */
function zbootPayload(bytes: Uint8Array, path: string): Uint8Array | undefined {
  if (bytes.length < 64) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 64);
  if (view.getUint32(0, true) !== 0x5a4d || view.getUint32(4, true) !== 0x676d_697a) return undefined;
  const kind = new TextDecoder().decode(bytes.subarray(24, 56)).replace(/\0.*$/s, '');
  if (kind !== 'gzip') {
    throw inputError('BOOT-KERNEL', `it is packed with '${kind}', which is not supported`, {
      file: path,
      help: 'unpack it first: the payload is an arm64 Image',
    });
  }
  const at = view.getUint32(8, true);
  return bytes.subarray(at, at + view.getUint32(12, true));
}
