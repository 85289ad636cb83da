/**
 * `mtemu tag-storage`: what a kernel would discover in a tree, and why not.
 */

import { renderDiagnostics } from '../base/index.js';
import {
  type Discovery,
  discoverTagStorage,
  discoveryDiagnostic,
  discoveryText,
  type PageSize,
} from '../devicetree/index.js';
import type { Command, CommandIo } from './command.js';
import { choice, type OptionSpecs, parseOptions, usageError } from './options.js';
import { loadTree } from './tree-files.js';

const OPTIONS = {
  'page-size': { type: 'string' },
  as: { type: 'string' },
  json: { type: 'boolean' },
  include: { type: 'string', short: 'i', multiple: true },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionSpecs;

const HELP = `Usage: mtemu tag-storage [options] FILE.dts|FILE.dtb

Shows which tag storage a kernel would discover in a device tree.

  --page-size 4k|16k|64k   translation granule (default 4k)
  --as binding|linux-v3    strictly by the binding, every violation listed (default),
                           or as the posted RFC v3 does it, with what it fails to check
  --json                   {enabled, reason, regions, diagnostics}
  -i, --include DIR        also look here for /include/ and /incbin/ (repeatable)
  -h, --help               this text

Exit status 0 if tag storage is enabled or no node describes any, 1 if it is disabled.
`;

const COMMAND = 'tag-storage';
const PAGE_SIZES = { '4k': 4096, '16k': 16384, '64k': 65536 } as const satisfies Record<string, PageSize>;

function toJsonText(discovery: Discovery): string {
  const { enabled, reason, regions, diagnostics } = discovery;
  return `${JSON.stringify({ enabled, reason, regions, diagnostics }, null, 2)}\n`;
}

function run(args: string[], io: CommandIo): number {
  const { values, positionals } = parseOptions(COMMAND, OPTIONS, args);
  if (values['help'] === true) {
    io.stdout(HELP);
    return 0;
  }
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) throw usageError(COMMAND, 'one FILE is needed');
  const size = choice(COMMAND, values, 'page-size', ['4k', '16k', '64k'] as const) ?? '4k';
  const pageSize = PAGE_SIZES[size];
  const as = choice(COMMAND, values, 'as', ['binding', 'linux-v3'] as const) ?? 'binding';
  const directories = Array.isArray(values['include']) ? values['include'].map(String) : [];
  const { tree, locate } = loadTree(file, io, directories);
  const discovery = discoverTagStorage(tree, { pageSize, as });
  if (values['json'] === true) io.stdout(toJsonText(discovery));
  else {
    io.stdout(discoveryText(discovery, pageSize));
    if (discovery.diagnostics.length > 0) {
      const shown = discovery.diagnostics.map((d) => discoveryDiagnostic(d, file, locate));
      io.stderr(`${renderDiagnostics(shown, { color: io.color })}\n`);
    }
  }
  return discovery.enabled || !discovery.described ? 0 : 1;
}

export const tagStorageCommand: Command = {
  name: COMMAND,
  summary: 'show which tag storage a kernel would discover in a device tree',
  help: HELP,
  run,
};
