/** The subcommands, in the order help lists them. */
import { asmCommand } from './asm.js';
import { benchCommand } from './bench.js';
import { bootCommand } from './boot.js';
import type { Command } from './command.js';
import { conformCommand } from './conform.js';
import { demoCommand } from './demo.js';
import { disasmCommand } from './disasm.js';
import { dtcCommand } from './dtc.js';
import { fuzzCommand } from './fuzz.js';
import { isaCommand } from './isa.js';
import { runCommand } from './run.js';
import { scenarioCommand } from './scenario.js';
import { tagStorageCommand } from './tag-storage.js';

export const COMMANDS: readonly Command[] = [
  demoCommand,
  runCommand,
  bootCommand,
  asmCommand,
  disasmCommand,
  dtcCommand,
  tagStorageCommand,
  isaCommand,
  scenarioCommand,
  conformCommand,
  fuzzCommand,
  benchCommand,
];
