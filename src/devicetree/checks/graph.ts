/** Checks of the `ports`/`port`/`endpoint` graphs that connect video and audio devices. */

import type { LiveNode } from '../source/live.js';
import { cellAt } from '../tree.js';
import { baseName, firstCell, ownCells, unitName } from './facts.js';
import type { Check, CheckRun } from './framework.js';
import { phandleIndex } from './providers.js';

const graphNodes: Check = {
  name: 'graph_nodes',
  severity: 'warning',
  start: () => (node) => {
    for (const child of node.liveChildren()) {
      if (baseName(child) !== 'endpoint' && child.property('remote-endpoint') === undefined) continue;
      node.bus = 'graph-port';
      const { parent } = node;
      if (parent !== undefined && parent.bus === undefined) {
        if (parent.name === 'ports' || node.property('reg') !== undefined) parent.bus = 'graph-ports';
      }
      return;
    }
  },
};

const graphChildAddress: Check = {
  name: 'graph_child_address',
  severity: 'warning',
  needs: ['graph_nodes'],
  start: (run) => (node) => {
    if (node.bus !== 'graph-ports' && node.bus !== 'graph-port') return;
    let only: LiveNode | undefined;
    let count = 0;
    for (const child of node.liveChildren()) {
      if ((firstCell(child, 'reg') ?? 0) !== 0) return;
      only ??= child;
      count++;
    }
    if (count === 1 && ownCells(node, '#address-cells') !== undefined) {
      run.fail(
        node,
        `graph node has single child node '${only!.name}', #address-cells/#size-cells are not necessary`,
      );
    }
  },
};

function checkReg(run: CheckRun, node: LiveNode): void {
  const property = node.property('reg');
  if (property === undefined || node.parent === undefined) return;
  if (property.value.length !== 4) {
    run.fail(node, "graph node malformed 'reg' property");
    return;
  }
  const expected = cellAt(property.value, 0).toString(16);
  if (unitName(node) !== expected) {
    run.fail(node, `graph node unit address error, expected "${expected}"`);
  }
  const address = ownCells(node.parent, '#address-cells') ?? -1;
  if (address !== 1) {
    run.fail(node, `graph node '#address-cells' is ${address}, must be 1`, {
      property: node.property('#address-cells'),
    });
  }
  const size = ownCells(node.parent, '#size-cells') ?? -1;
  if (size !== 0) {
    run.fail(node, `graph node '#size-cells' is ${size}, must be 0`, {
      property: node.property('#size-cells'),
    });
  }
}

const graphPort: Check = {
  name: 'graph_port',
  severity: 'warning',
  needs: ['graph_nodes'],
  start: (run) => (node) => {
    if (node.bus !== 'graph-port') return;
    if (baseName(node) !== 'port') run.fail(node, "graph port node name should be 'port'");
    checkReg(run, node);
  },
};

const graphEndpoint: Check = {
  name: 'graph_endpoint',
  severity: 'warning',
  needs: ['graph_nodes'],
  start: (run) => {
    const find = phandleIndex(run);
    const remote = (endpoint: LiveNode): LiveNode | undefined => {
      const property = endpoint.property('remote-endpoint');
      const phandle = firstCell(endpoint, 'remote-endpoint');
      if (phandle === undefined || phandle === 0 || phandle === 0xffffffff) return undefined;
      const node = find(phandle);
      if (node === undefined) run.fail(endpoint, 'graph phandle is not valid', { property });
      return node;
    };
    return (node) => {
      if (node.parent?.bus !== 'graph-port') return;
      if (baseName(node) !== 'endpoint') run.fail(node, "graph endpoint node name should be 'endpoint'");
      checkReg(run, node);
      const other = remote(node);
      if (other !== undefined && remote(other) !== node) {
        run.fail(node, `graph connection to node '${other.path}' is not bidirectional`);
      }
    };
  },
};

export const GRAPH_CHECKS: readonly Check[] = [graphNodes, graphChildAddress, graphPort, graphEndpoint];
