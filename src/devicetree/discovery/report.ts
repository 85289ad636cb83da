/**
 * Discovery for people: what was found, page by page, and each diagnostic in the common shape, with
 * the source line where the tree came from source.
 */

import { type Diagnostic, formatSize, hex, type Span } from '../../base/index.js';
import type { Discovery, DiscoveryDiagnostic, PageSize } from './types.js';

/** Gives the place of a node or property in the source, if there is one. */
export type Locator = (path: string, property?: string) => Span | undefined;

export function discoveryDiagnostic(d: DiscoveryDiagnostic, file: string, locate?: Locator): Diagnostic {
  const span = locate?.(d.path, d.property ?? undefined);
  const notes = [
    ...(d.found === undefined ? [] : [`found: ${d.found}`]),
    ...(d.rule === undefined ? [] : [`rule: ${d.rule}`]),
    ...(d.why === undefined ? [] : [`why it matters: ${d.why}`]),
  ];
  const subject = d.property === null ? d.path : `${d.path}:${d.property}`;
  return {
    code: d.code,
    severity: d.severity,
    message: `${subject}: ${d.message}`,
    ...(span === undefined ? { file } : { span }),
    ...(notes.length === 0 ? {} : { notes }),
    ...(d.help === undefined ? {} : { help: d.help }),
  };
}

/** A few lines, each ended. */
export function discoveryText(discovery: Discovery, pageSize: PageSize): string {
  const lines = [`tag storage: ${discovery.enabled ? 'enabled' : 'disabled'} (${discovery.reason})`];
  const range = (first: number, last: number) => {
    const bytes = (last - first + 1) * pageSize;
    return `${hex(BigInt(first) * BigInt(pageSize))} + ${formatSize(bytes)} (pfn ${hex(first)}-${hex(last)})`;
  };
  for (const r of discovery.regions) {
    const block = formatSize(r.block_size_pages * pageSize);
    lines.push(
      `  ${r.node}`,
      `    memory ${range(r.mem_start_pfn, r.mem_end_pfn)}  ${r.memory_node}`,
      `    tags   ${range(r.tag_start_pfn, r.tag_end_pfn)}`,
      `    block  ${block}, serves ${formatSize(32 * r.block_size_pages * pageSize)}`,
    );
  }
  return `${lines.join('\n')}\n`;
}
