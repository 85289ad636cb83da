/**
 * How semantic checks run: named, switchable, each with the checks it relies on.
 *
 * Names, kinds and order are those of dtc 1.6.1, so that `-W no-reg_format` means the same. A check
 * whose prerequisite failed is not run, silently (dtc prints a line for each). Once a check that is
 * an error has failed, the checks that only warn are left out.
 */

import type { Diagnostic, Severity, Span } from '../../base/index.js';
import { positionOf } from '../../base/index.js';
import { type LabelIndex, type LiveNode, type LiveProperty, liveNodes } from '../source/live.js';
import type { Phandles } from './phandles.js';

/** What checks look at and, where they resolve references, change. */
export interface CheckedTree {
  readonly root: LiveNode;
  readonly labels: LabelIndex;
  readonly plugin: boolean;
  readonly memreserveLabels: readonly string[];
  /** `-@`: labelled nodes are kept and all get phandles. */
  readonly symbols: boolean;
  /** Gives nodes that are referred to their phandle. */
  readonly phandles: Phandles;
  /** Shown where a node has no place in a source. */
  readonly file: string;
}

export interface Check {
  readonly name: string;
  readonly severity: 'error' | 'warning' | 'off';
  readonly needs?: readonly string[];
  /** Made once a run; then called for each node in document order. Without it the check only groups others. */
  readonly start?: (run: CheckRun) => (node: LiveNode) => void;
}

export interface Finding {
  readonly property?: LiveProperty | undefined;
  readonly span?: Span | undefined;
  readonly help?: string | undefined;
  readonly notes?: readonly string[];
}

/** A report is for people, and a generated tree may have the same flaw a hundred thousand times. */
const MOST_FINDINGS = 1000;

/** One check at work. */
export class CheckRun {
  readonly tree: CheckedTree;
  readonly #check: Check;
  readonly #severity: Severity;
  readonly #found: Diagnostic[];
  /** How often the check has found something. */
  failures = 0;

  constructor(tree: CheckedTree, check: Check, severity: Severity, found: Diagnostic[]) {
    this.tree = tree;
    this.#check = check;
    this.#severity = severity;
    this.#found = found;
  }

  /** Reports at the property if one is given, else at the node. */
  fail(node: LiveNode, message: string, finding: Finding = {}): void {
    this.failures++;
    if (this.failures > MOST_FINDINGS) return;
    const { property, help } = finding;
    const span = finding.span ?? property?.span ?? node.spans[0];
    const subject = property === undefined ? node.path : `${node.path}:${property.name}`;
    const notes: string[] = [...(finding.notes ?? [])];
    if (property === undefined && finding.span === undefined) {
      for (const other of node.spans.slice(1, 9)) {
        const { file, line, column } = positionOf(other);
        notes.push(`also defined at ${file}:${line}:${column}`);
      }
    }
    this.#found.push({
      code: this.#check.name,
      severity: this.#severity,
      message: `${subject}: ${message}`,
      ...(span === undefined ? { file: this.tree.file } : { span }),
      ...(help === undefined ? {} : { help }),
      ...(notes.length === 0 ? {} : { notes }),
    });
    if (this.failures === MOST_FINDINGS) {
      this.#found.push({
        code: this.#check.name,
        severity: this.#severity,
        message: 'what else this check finds is left out',
        file: this.tree.file,
      });
    }
  }
}

/** `reg_format: 'off'`, `gpios_property: 'error'`: what `-W` and `-E` say. */
export type CheckSwitches = ReadonlyMap<string, 'error' | 'warning' | 'off'>;

/**
 * Runs all checks of `table` that are on; gives what they found, errors and warnings in order.
 * @param stopAtError no check runs behind one that failed with errors, as in dtc: what it leaves undone, such
 * as references, can be seen in output that is forced.
 */
export function runChecks(
  table: readonly Check[],
  tree: CheckedTree,
  switches: CheckSwitches = new Map(),
  stopAtError = false,
): Diagnostic[] {
  const found: Diagnostic[] = [];
  const byName = new Map(table.map((c) => [c.name, c]));
  const passed = new Map<string, boolean>();
  let broken = false;
  const level = (check: Check) => switches.get(check.name) ?? check.severity;
  // Prerequisites nest only as deep as the table says.
  const run = (check: Check): boolean => {
    const known = passed.get(check.name);
    if (known !== undefined) return known;
    let fine = true;
    for (const need of check.needs ?? []) fine = run(byName.get(need)!) && fine;
    if (fine && check.start !== undefined) {
      const severity = level(check);
      // A prerequisite that is switched off still guards what relies on it, but says nothing.
      const sink: Diagnostic[] = severity === 'off' ? [] : found;
      const at = new CheckRun(tree, check, severity === 'error' ? 'error' : 'warning', sink);
      const visit = check.start(at);
      for (const node of liveNodes(tree.root)) visit(node);
      fine = at.failures === 0;
    }
    passed.set(check.name, fine);
    if (!fine && level(check) === 'error') broken = true;
    return fine;
  };
  for (const check of table) {
    if (broken && stopAtError) break;
    const severity = level(check);
    if (severity === 'error' || (severity === 'warning' && !broken)) run(check);
  }
  return found;
}
