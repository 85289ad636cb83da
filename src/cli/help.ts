/** The general help and version texts. */
import packageJson from '../../package.json';
import type { Command } from './command.js';

export function versionText(): string {
  return `mtemu ${packageJson.version}\n`;
}

export function generalHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((c) => c.name.length));
  return [
    'mtemu: an arm64 emulator whose MTE allocation tags are bytes of guest DRAM',
    '',
    'Examples:',
    '  mtemu demo                                the whole story in one run',
    '  mtemu run firmware/examples/use-after-free.s',
    '  mtemu run --memory 128M --tag-storage cma program.elf ARG...',
    '  mtemu disasm --hex d9200800',
    '',
    'Commands:',
    ...commands.map((c) => `  ${c.name.padEnd(width)}  ${c.summary}`),
    '',
    "'mtemu COMMAND --help' says more. Exit status: 0 done, 1 a check did not hold, 2 bad input,",
    '124 a limit was reached, 125 a bug of the emulator; run: the status of the guest, 128+N for signal N.',
    '',
  ].join('\n');
}
