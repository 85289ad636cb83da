/**
 * All directives by name: those that do something, those accepted because they say nothing that
 * matters to a static program, and those that are known and not implemented.
 */
import { suggest } from '../../base/index.js';
import type { Assembly } from '../assembly.js';
import { CONDITIONAL_NAMES } from '../conditionals.js';
import { CONTROL } from './control.js';
import { DATA } from './data.js';
import type { Directive, Handler } from './directive.js';
import { LAYOUT } from './layout.js';
import { SYMBOLS } from './symbols.js';

const HANDLERS: ReadonlyMap<string, Handler> = new Map(
  Object.entries({ ...DATA, ...LAYOUT, ...SYMBOLS, ...CONTROL }),
);

/** Unwind tables, notes to other tools, and the choice of a processor: every extension is always on. */
const ACCEPTED = new Set([
  ...['.arch', '.arch_extension', '.cpu', '.ident', '.variant_pcs', '.noaltmacro'],
  ...['.nolist', '.list', '.eject', '.psize', '.title', '.sbttl', '.addrsig', '.addrsig_sym'],
]);

const UNSUPPORTED: Readonly<Record<string, string>> = {
  '.altmacro': 'write arguments as in ordinary macros',
  '.subsection': 'use a section of its own: .section .text.NAME, "ax"',
  '.struct': 'use .equ for the offsets',
  '.offset': 'use .equ for the offsets',
  '.reloc': 'the program is linked as it is assembled',
  '.symver': 'there is no dynamic linking',
  '.weakref': 'use .weak',
  '.tlsdesccall': 'there is no dynamic linking',
  '.tlsdescadd': 'there is no dynamic linking',
  '.tlsdescldr': 'there is no dynamic linking',
  '.bundle_align_mode': 'use .balign',
  '.dc': 'use .word and its relatives',
  '.ds': 'use .space',
  '.dcb': 'use .fill',
  '.line': 'use .loc',
  '.nops': 'use .rept with nop',
};

/** Runs a directive that is no conditional. */
export function directive(a: Assembly, d: Directive): void {
  const handler = HANDLERS.get(d.name);
  if (handler !== undefined) handler(a, d);
  else if (ACCEPTED.has(d.name) || d.name.startsWith('.cfi_')) return;
  else if (UNSUPPORTED[d.name] !== undefined) {
    a.reporter.error('ASM-UNSUPPORTED', `the directive ${d.name} is not implemented`, d.nameSpan, d.line, {
      help: UNSUPPORTED[d.name],
    });
  } else {
    const near = suggest(
      d.name,
      [...HANDLERS.keys(), ...CONDITIONAL_NAMES, ...ACCEPTED, ...a.macros.keys()],
      1,
    )[0];
    a.reporter.error('ASM-UNKNOWN-DIRECTIVE', `there is no directive '${d.name}'`, d.nameSpan, d.line, {
      help: near === undefined ? undefined : `did you mean '${near}'?`,
    });
  }
}

export { callMacro } from './control.js';
export type { Directive } from './directive.js';
export { dumpPool } from './layout.js';
export { allocateCommon, assign, requireRegister } from './symbols.js';
