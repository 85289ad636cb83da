/**
 * The tag-check fault report as text and as JSON; the forms are fixed by the interfaces document.
 */
import { hex, untagged, type VA } from '../../base/index.js';
import { hexTag, likelyCause, type StackFrame, type TagFaultReport } from './tag-fault.js';
import type { HistoryEntry } from './tag-history.js';

const h64 = (value: bigint) => hex(value, 16);

/** ESR_ELx of a data abort in words. */
export function describeEsr(esr: bigint): string {
  const ec = Number((esr >> 26n) & 0x3fn);
  const classes: Readonly<Record<number, string>> = {
    36: 'data abort from EL0',
    37: 'data abort from the current EL',
    32: 'instruction abort from EL0',
    33: 'instruction abort from the current EL',
    21: 'SVC from AArch64',
  };
  const parts = [`EC 0x${ec.toString(16)} ${classes[ec] ?? ''}`.trim()];
  if (ec === 36 || ec === 37) {
    const dfsc = Number(esr & 0x3fn);
    parts.push(`DFSC 0x${dfsc.toString(16)}${dfsc === 0x11 ? ' synchronous tag check fault' : ''}`);
    parts.push((esr >> 6n) & 1n ? 'WnR 1 (write)' : 'WnR 0 (read)');
  }
  return parts.join(', ');
}

function at(pc: VA, symbol: string | undefined): string {
  return symbol === undefined ? h64(pc) : `${h64(pc)} (${symbol})`;
}

/** The text form, with a final newline. */
export function renderTagFaultReport(report: TagFaultReport): string {
  const out: string[] = [];
  const { access, va, pa, tagPa } = report;
  const what =
    access === undefined
      ? 'an access since the last kernel entry'
      : `${access.type} of ${access.size} byte${access.size === 1 ? '' : 's'}`;
  const where = va === undefined ? '' : ` at ${h64(va)}`;
  const when =
    report.mode === 'sync'
      ? `PC ${at(report.pc, report.symbol)}`
      : `noticed at PC ${at(report.pc, report.symbol)}`;
  out.push(
    `mtemu: tag-check fault: ${what}${where}, ${when}, ${report.mode === 'sync' ? 'synchronous' : 'asynchronous'}`,
  );
  if (report.instruction !== undefined && report.mode === 'sync')
    out.push(`  instruction   ${report.instruction}`);
  out.push(`  process       ${report.program} (pid ${report.pid}), after ${report.step} instructions`);
  if (report.pointerTag !== undefined)
    out.push(`  pointer tag   ${hexTag(report.pointerTag)} (bits 59:56 of the address)`);
  if (report.memoryTag !== undefined) out.push(`  memory tag    ${hexTag(report.memoryTag)}`);
  const cause = likelyCause(report);
  if (cause !== undefined) out.push(`  likely cause  ${cause.name}: ${cause.detail}`);
  if (report.lastTagWriter !== undefined) {
    const w = report.lastTagWriter;
    const before = w.before === undefined ? '' : `${hexTag(w.before)} `;
    out.push(`  last tagged   by PC ${at(w.pc, w.symbol)} at step ${w.step}: ${before}-> ${hexTag(w.after)}`);
  }
  if (va !== undefined && pa !== undefined) {
    const tail = tagPa === undefined ? 'no tag storage' : `tag PA ${hex(tagPa)} (${report.nibble} nibble)`;
    out.push('  address       VA -> PA -> tag PA');
    out.push(`                ${h64(untagged(va))} -> PA ${hex(pa)} -> ${tail}`);
  }
  if (report.tagPageOwner !== undefined) out.push(`  tag page      ${report.tagPageOwner}`);
  out.push(
    `  ESR           ${hex(report.esr, 8)}: ${report.mode === 'sync' ? describeEsr(report.esr) : 'TFSRE0_EL1.TF0 was set'}`,
  );
  if (report.far !== undefined) out.push(`  FAR           ${h64(report.far)}`);
  out.push('');
  out.push('registers');
  for (let i = 0; i < report.registers.length; i += 4) {
    const cells = report.registers.slice(i, i + 4).map((r) => `${r.name.padStart(4)} ${h64(r.value)}`);
    out.push(`  ${cells.join('  ')}`);
  }
  if (report.backtrace.length > 0) {
    out.push('');
    // Asynchronous faults are noticed later: the stack is that of the moment.
    out.push(report.mode === 'sync' ? 'backtrace' : 'backtrace (imprecise: where the fault was noticed)');
    out.push(...frameLines(report.backtrace));
  }
  for (const entry of report.history) out.push('', ...historyLines(entry, report.pid));
  if (report.tags.length > 0 && va !== undefined) {
    out.push('');
    out.push(`memory tags around ${h64(untagged(va))} (one for each 16 bytes)`);
    out.push(...tagMap(report, va));
  }
  out.push('');
  const summary = `${cause?.name ?? 'tag-check fault'}: ${what}${where}`;
  const tags =
    report.pointerTag === undefined
      ? ''
      : `, pointer tag ${hexTag(report.pointerTag)}, memory tag ${hexTag(report.memoryTag ?? 0)}`;
  out.push(`SUMMARY: ${summary}${tags}, in ${report.symbol ?? h64(report.pc)}`);
  return `${out.join('\n')}\n`;
}

function frameLines(frames: readonly StackFrame[]): string[] {
  return frames.map((frame, i) => `  #${String(i).padEnd(2)} ${at(frame.pc, frame.symbol)}`);
}

function historyLines(entry: HistoryEntry, pid: number): string[] {
  const { start, end, before, after, process, thread, step } = entry;
  const bytes = (end as bigint) - (start as bigint);
  const who = thread === pid ? '' : process === pid ? ` by thread ${thread}` : ` by process ${process}`;
  const range = `0x${start.toString(16)}-0x${end.toString(16)} (${bytes} bytes)`;
  return [
    `${entry.what} at step ${step}${who}: tag ${hexTag(before)} -> ${hexTag(after)} of ${range}`,
    ...frameLines(entry.backtrace),
  ];
}

function tagMap(report: TagFaultReport, va: VA): string[] {
  const address = untagged(va) as bigint;
  return report.tags.map((row) => {
    const start = row.address as bigint;
    const mine = address >= start && address < start + 256n;
    const index = mine ? Number((address - start) / 16n) : -1;
    const cells = row.tags.map((tag, i) => {
      const text = tag === undefined ? '.' : tag.toString(16);
      return i === index ? `[${text}]` : ` ${text} `;
    });
    return `${mine ? '=>' : '  '} ${h64(start)}:${cells.join('')}`.trimEnd();
  });
}

const address = (value: bigint | number | undefined) => (value === undefined ? null : hex(value));

const framesToJson = (frames: readonly StackFrame[]) =>
  frames.map(({ pc, symbol }) => ({ pc: address(pc), symbol: symbol ?? null }));

/** The JSON form: one object; addresses and 64-bit values are `"0x..."` strings, tags numbers. */
export function tagFaultReportToJson(report: TagFaultReport): Record<string, unknown> {
  const cause = likelyCause(report);
  return {
    kind: report.kind,
    mode: report.mode,
    access: report.access ?? null,
    pc: address(report.pc),
    va: address(report.va),
    pa: address(report.pa),
    tagPa: address(report.tagPa),
    nibble: report.nibble ?? null,
    pointerTag: report.pointerTag ?? null,
    memoryTag: report.memoryTag ?? null,
    esr: address(report.esr),
    far: address(report.far),
    symbol: report.symbol ?? null,
    instruction: report.instruction ?? null,
    pid: report.pid,
    program: report.program,
    step: Number(report.step),
    cause: cause ?? null,
    lastTagWriter:
      report.lastTagWriter === undefined
        ? null
        : {
            pc: address(report.lastTagWriter.pc),
            step: Number(report.lastTagWriter.step),
            symbol: report.lastTagWriter.symbol ?? null,
            before: report.lastTagWriter.before ?? null,
            after: report.lastTagWriter.after,
          },
    history: report.history.map((entry) => ({
      what: entry.what,
      step: entry.step,
      pid: entry.process,
      tid: entry.thread,
      start: address(entry.start),
      end: address(entry.end),
      before: entry.before,
      after: entry.after,
      backtrace: framesToJson(entry.backtrace),
    })),
    tagPageOwner: report.tagPageOwner ?? null,
    registers: Object.fromEntries(report.registers.map((r) => [r.name, address(r.value)])),
    backtrace: framesToJson(report.backtrace),
    tags: report.tags.map((row) => ({ address: address(row.address), tags: row.tags.map((t) => t ?? null) })),
  };
}
