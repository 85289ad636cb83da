/**
 * The checks that make a tree wrong, in dtc's order: names, labels, phandles, references.
 *
 * Three of them do work as well, as in dtc: `name_properties` drops a redundant `name`, the reference
 * checks give out phandles and write them and the paths into the values, `omit_unused_nodes` deletes.
 */

import { positionOf, suggest } from '../../base/index.js';
import { concatenate } from '../bytes.js';
import {
  deleteNode,
  type LabelIndex,
  type LiveNode,
  type LiveProperty,
  liveNodes,
  type Marker,
  nodeByRef,
} from '../source/live.js';
import { cellAt } from '../tree.js';
import { baseName, firstText, isString, unitName } from './facts.js';
import type { Check, CheckRun } from './framework.js';

const LETTERS_AND_DIGITS = 'a-zA-Z0-9';
const NODE_CHARACTER = new RegExp(`[^${LETTERS_AND_DIGITS},._+@-]`);
const PROPERTY_CHARACTER = new RegExp(`[^${LETTERS_AND_DIGITS},._+*#?-]`);

const duplicateNodeNames: Check = {
  name: 'duplicate_node_names',
  severity: 'error',
  start: (run) => (node) => {
    const seen = new Set<string>();
    for (const child of node.children) {
      if (seen.has(child.name)) {
        // A /delete-node/ in the body that defines the node: dtc refuses it, if for no good reason.
        const help = child.deleted
          ? `in the same body /delete-node/ ${child.name}; deletes nothing: leave out both`
          : 'merge the two bodies';
        run.fail(child, 'Duplicate node name', { help });
      }
      if (!child.deleted) seen.add(child.name);
    }
  },
};

const duplicatePropertyNames: Check = {
  name: 'duplicate_property_names',
  severity: 'error',
  start: (run) => (node) => {
    const first = new Map<string, LiveProperty>();
    for (const property of node.liveProperties()) {
      const earlier = first.get(property.name);
      if (earlier !== undefined) {
        run.fail(node, 'Duplicate property name', {
          property: earlier,
          help: 'a later body of the same node may set it again, the same body may not',
        });
      } else first.set(property.name, property);
    }
  },
};

const nodeNameChars: Check = {
  name: 'node_name_chars',
  severity: 'error',
  start: (run) => (node) => {
    const bad = NODE_CHARACTER.exec(node.name);
    if (bad !== null) run.fail(node, `Bad character '${bad[0]}' in node name`);
  },
};

const nodeNameFormat: Check = {
  name: 'node_name_format',
  severity: 'error',
  needs: ['node_name_chars'],
  start: (run) => (node) => {
    if (unitName(node).includes('@')) run.fail(node, "multiple '@' characters in node name");
  },
};

const propertyNameChars: Check = {
  name: 'property_name_chars',
  severity: 'error',
  start: (run) => (node) => {
    for (const property of node.liveProperties()) {
      const bad = PROPERTY_CHARACTER.exec(property.name);
      if (bad !== null) run.fail(node, `Bad character '${bad[0]}' in property name`, { property });
    }
  },
};

const nameIsString: Check = {
  name: 'name_is_string',
  severity: 'error',
  start: (run) => (node) => {
    const property = node.property('name');
    if (property !== undefined && !isString(property.value)) {
      run.fail(node, 'property is not a string', { property });
    }
  },
};

const nameProperties: Check = {
  name: 'name_properties',
  severity: 'error',
  needs: ['name_is_string'],
  start: (run) => (node) => {
    const property = node.firstProperty('name');
    if (property === undefined) return;
    const base = baseName(node);
    const text = firstText(property.value);
    if (property.value.length === base.length + 1 && text === base) node.removeProperty('name');
    else {
      run.fail(node, `"name" property is incorrect ("${text}" instead of base node name)`, {
        help: `the base name is "${base}"; the property is redundant, leave it out`,
      });
    }
  },
};

const duplicateLabel: Check = {
  name: 'duplicate_label',
  severity: 'error',
  start: (run) => {
    // The first holder of each label: nodes before properties before values, each in document order.
    const holders = new Map<string, { what: string; key: object }>();
    const claim = (name: string, key: object, what: () => string) => {
      if (!holders.has(name)) holders.set(name, { what: what(), key });
    };
    for (const node of liveNodes(run.tree.root)) {
      for (const name of node.labels.live()) claim(name, node, () => node.path);
    }
    for (const node of liveNodes(run.tree.root)) {
      for (const property of node.liveProperties()) {
        for (const name of property.labels.live()) {
          claim(name, property, () => `'${property.name}' in ${node.path}`);
        }
      }
    }
    for (const node of liveNodes(run.tree.root)) {
      for (const property of node.liveProperties()) {
        for (const marker of property.markers) {
          if (marker.kind !== 'label') continue;
          claim(marker.ref, marker, () => `value of '${property.name}' in ${node.path}`);
        }
      }
    }
    const compare = (node: LiveNode, name: string, key: object, what: string) => {
      const first = holders.get(name);
      if (first !== undefined && first.key !== key) {
        run.fail(node, `Duplicate label '${name}' on ${what} and ${first.what}`);
      }
    };
    return (node) => {
      for (const name of node.labels.live()) compare(node, name, node, node.path);
      for (const property of node.liveProperties()) {
        const place = `'${property.name}' in ${node.path}`;
        for (const name of property.labels.live()) compare(node, name, property, place);
        for (const marker of property.markers) {
          if (marker.kind === 'label') compare(node, marker.ref, marker, `value of ${place}`);
        }
      }
    };
  },
};

/** The phandle that a property gives its node, 0 where it gives none (or asks for one by naming itself). */
function explicitPhandle(run: CheckRun, node: LiveNode, name: string): number {
  const property = node.property(name);
  if (property === undefined) return 0;
  if (property.value.length !== 4) {
    run.fail(node, `bad length (${property.value.length}) ${name} property`, {
      property,
      help: 'a phandle is one 32-bit cell',
    });
    return 0;
  }
  for (const marker of property.markers) {
    if (marker.kind !== 'phandle') continue;
    if (nodeByRef(run.tree.root, run.tree.labels, marker.ref) !== node) {
      run.fail(node, `${name} is a reference to another node`);
    }
    return 0;
  }
  const phandle = cellAt(property.value, 0);
  if (phandle === 0 || phandle === 0xffffffff) {
    run.fail(node, `bad value (0x${phandle.toString(16)}) in ${name} property`, {
      property,
      help: 'any number but 0 and 0xffffffff will do; better leave it out and refer to a label',
    });
    return 0;
  }
  return phandle;
}

const explicitPhandles: Check = {
  name: 'explicit_phandles',
  severity: 'error',
  start: (run) => {
    const owners = new Map<number, LiveNode>();
    return (node) => {
      const modern = explicitPhandle(run, node, 'phandle');
      const legacy = explicitPhandle(run, node, 'linux,phandle');
      if (modern === 0 && legacy === 0) return;
      if (modern !== 0 && legacy !== 0 && modern !== legacy) {
        run.fail(node, "mismatching 'phandle' and 'linux,phandle' properties");
      }
      const phandle = modern || legacy;
      const other = owners.get(phandle);
      if (other !== undefined) {
        run.fail(node, `duplicated phandle 0x${phandle.toString(16)} (seen before at ${other.path})`);
        return;
      }
      owners.set(phandle, node);
      node.phandle = phandle;
    };
  },
};

/** dtc tells such an error at the node; the note says where in it. */
function unknownReference(
  run: CheckRun,
  node: LiveNode,
  property: LiveProperty,
  marker: Marker,
  labels: LabelIndex,
): void {
  const { ref } = marker;
  // Each suggestion looks at every label, so only the first few errors get one.
  const near = run.failures < 20 && ref.length <= 64 ? suggest(ref, labels.names) : [];
  const help = near.length > 0 ? `did you mean ${near.map((n) => `&${n}`).join(' or ')}?` : undefined;
  const place = marker.span && positionOf(marker.span);
  const where = place === undefined ? '' : ` at ${place.file}:${place.line}:${place.column}`;
  run.fail(node, `Reference to non-existent node or label "${ref}"`, {
    help,
    notes: [`in property '${property.name}'${where}`],
  });
}

const phandleReferences: Check = {
  name: 'phandle_references',
  severity: 'error',
  needs: ['duplicate_node_names', 'explicit_phandles'],
  start: (run) => {
    const { root, labels, plugin, phandles } = run.tree;
    return (node) => {
      // Giving the node itself a phandle appends a property; it holds no reference.
      for (const property of [...node.liveProperties()]) {
        for (const marker of property.markers) {
          if (marker.kind !== 'phandle') continue;
          const target = nodeByRef(root, labels, marker.ref);
          if (target === undefined) {
            if (!plugin) unknownReference(run, node, property, marker, labels);
            else writeCell(property.value, marker.offset, 0xffffffff);
            continue;
          }
          writeCell(property.value, marker.offset, phandles.of(target));
          target.referenced = true;
        }
      }
    };
  },
};

function writeCell(value: Uint8Array, at: number, cell: number): void {
  new DataView(value.buffer, value.byteOffset).setUint32(at, cell);
}

const pathReferences: Check = {
  name: 'path_references',
  severity: 'error',
  needs: ['duplicate_node_names'],
  start: (run) => (node) => {
    const { root, labels } = run.tree;
    for (const property of node.liveProperties()) {
      if (!property.markers.some((m) => m.kind === 'path')) continue;
      const old = property.value;
      const pieces: Uint8Array[] = [];
      let taken = 0;
      let grown = 0;
      for (const marker of property.markers) {
        if (marker.kind === 'path') {
          const target = nodeByRef(root, labels, marker.ref);
          if (target === undefined) unknownReference(run, node, property, marker, labels);
          else {
            target.referenced = true;
            const path = new TextEncoder().encode(`${target.path}\0`);
            pieces.push(old.subarray(taken, marker.offset), path);
            taken = marker.offset;
            marker.offset += grown;
            grown += path.length;
            continue;
          }
        }
        marker.offset += grown;
      }
      pieces.push(old.subarray(taken));
      property.value = concatenate(pieces);
    }
  },
};

const omitUnusedNodes: Check = {
  name: 'omit_unused_nodes',
  severity: 'error',
  needs: ['phandle_references', 'path_references'],
  start: (run) => (node) => {
    if (run.tree.symbols && !node.labels.isEmpty) return;
    if (node.omitIfUnused && !node.referenced) deleteNode(node);
  },
};

export const ERROR_CHECKS: readonly Check[] = [
  duplicateNodeNames,
  duplicatePropertyNames,
  nodeNameChars,
  nodeNameFormat,
  propertyNameChars,
  nameIsString,
  nameProperties,
  duplicateLabel,
  explicitPhandles,
  phandleReferences,
  pathReferences,
  omitUnusedNodes,
];
