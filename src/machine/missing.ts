/**
 * What the tree of a real board lacks, or has and we have not: said once, in words, with what will not work
 * without it, so that a program which finds no interrupt or no second CPU does not have to be debugged.
 *
 * The machine is built all the same: the devices of `board.ts` at the places that the tree gives them, and
 * nothing where it gives them none. Ref. Devicetree Specification v0.4, 3.6 (/chosen), 3.8 (/cpus); bindings
 * arm,gic-v3, arm,armv8-timer, arm,psci, arm,pl011.
 */
import {
  allNodes,
  cells,
  type DeviceTree,
  type DtNode,
  isCompatible,
  isOkay,
  nodeByPhandle,
  stdoutPath,
  strings,
  u32,
} from '../devicetree/index.js';
import { type Board, cpuNodes } from './board.js';
import { TAG_CONTROLLER_COMPATIBLE } from './devices/tag-controller.js';

/** Each without a subject: "the machine has ...". */
export function missingDevices(tree: DeviceTree, board: Board): string[] {
  return [
    ...missingConsole(tree, board),
    ...(board.tagControllers.length > 0
      ? []
      : [`no '${TAG_CONTROLLER_COMPATIBLE}': no memory has allocation tags, every tag reads 0`]),
    ...missingInterrupts(tree, board),
    ...(has(tree, 'arm,armv8-timer')
      ? []
      : [
          "no 'arm,armv8-timer': a guest that looks for its timer in the tree finds none (the CPUs' own timers count all the same)",
        ]),
    ...missingFirmware(tree),
    ...missingCpus(tree, board),
  ];
}

function has(tree: DeviceTree, compatible: string): boolean {
  for (const node of allNodes(tree)) if (isCompatible(node, compatible) && isOkay(node)) return true;
  return false;
}

/** What a node is, for people: its first `compatible`, else its path. */
function kind(node: DtNode): string {
  const first = strings(node.properties.get('compatible'))[0];
  return first === undefined ? node.path : `'${first}'`;
}

function missingConsole(tree: DeviceTree, board: Board): string[] {
  const wanted = stdoutPath(tree);
  const first = board.uarts[0];
  if (first === undefined) {
    const named = wanted?.node === undefined ? '' : `, stdout-path is ${kind(wanted.node)}`;
    return [`no 'arm,pl011' serial port${named}: firmware's messages go nowhere`];
  }
  if (wanted === undefined || isConsole(board, wanted.node)) return [];
  const instead = `firmware's messages go to ${first.name} instead`;
  return [
    wanted.node === undefined
      ? `no node for its stdout-path "${wanted.text}": ${instead}`
      : `no model of its stdout-path, ${kind(wanted.node)}${isOkay(wanted.node) ? '' : ' (which is disabled)'}: ${instead}`,
  ];
}

const isConsole = (board: Board, node: DtNode | undefined) =>
  node !== undefined && board.console !== undefined && board.consoleNode === node;

function missingInterrupts(tree: DeviceTree, board: Board): string[] {
  if (board.gic !== undefined) return [];
  const phandle = u32(tree.root.properties.get('interrupt-parent'));
  const other = phandle === undefined ? undefined : nodeByPhandle(tree, phandle);
  const named = other === undefined ? '' : ` (its ${kind(other)} is not modelled)`;
  return [`no 'arm,gic-v3' interrupt controller${named}: no interrupt of a device or timer reaches a CPU`];
}

function missingFirmware(tree: DeviceTree): string[] {
  if (has(tree, 'arm,psci-0.2') || has(tree, 'arm,psci-1.0')) return [];
  const what = has(tree, 'arm,psci')
    ? "only 'arm,psci' of version 0.1, whose calls have numbers of the board's own"
    : "no 'arm,psci-0.2'";
  return [
    `${what}: a guest that goes by the tree cannot start further CPUs or switch off (PSCI 1.1 answers all the same)`,
  ];
}

function missingCpus(tree: DeviceTree, board: Board): string[] {
  const out: string[] = [];
  const described = cpuNodes(tree);
  const count = board.machine.cpus.length;
  if (described.length > count)
    out.push(`${count} of the tree's ${described.length} CPUs: it can have no more`);
  const spinning = described.filter((n) => strings(n.properties.get('enable-method'))[0] === 'spin-table');
  if (spinning.length > 0) {
    out.push(`no 'spin-table': the ${spinning.length} CPUs that wait at one stay off (PSCI starts them)`);
  }
  const numbers = described.slice(0, count).map((n) => cells(n.properties.get('reg')).at(-1) ?? 0);
  if (count > 1 && numbers.some((number, i) => number !== i)) {
    const list = numbers.map((n) => n.toString(16)).join(', ');
    out.push(
      `CPUs numbered 0 to ${count - 1} in MPIDR_EL1, not as its 'reg's say (${list}): PSCI CPU_ON takes the former`,
    );
  }
  return out;
}
