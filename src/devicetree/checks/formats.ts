/**
 * Checks of names, types and lengths that only warn: standard properties, `reg`, `ranges`, unit
 * addresses, /aliases and /chosen. Names, order and wording follow dtc 1.6.1.
 */

import { type LiveNode, type LiveProperty, nodeByPath } from '../source/live.js';
import {
  addressCells,
  baseName,
  firstText,
  hasLiveChildren,
  isMultiple,
  isString,
  ownCells,
  sizeCells,
  unitName,
} from './facts.js';
import type { Check, CheckRun } from './framework.js';

export function isCell(name: string, propertyName: string): Check {
  return {
    name,
    severity: 'warning',
    start: (run) => (node) => {
      const property = node.property(propertyName);
      if (property !== undefined && property.value.length !== 4) {
        run.fail(node, 'property is not a single cell', { property });
      }
    },
  };
}

function checkString(run: CheckRun, node: LiveNode, property: LiveProperty | undefined): void {
  if (property !== undefined && !isString(property.value)) {
    run.fail(node, 'property is not a string', { property });
  }
}

function checkStringList(run: CheckRun, node: LiveNode, property: LiveProperty | undefined): void {
  const value = property?.value;
  if (value === undefined || value.length === 0 || value[value.length - 1] === 0) return;
  run.fail(node, 'property is not a string list', { property });
}

function stringCheck(name: string, propertyName: string): Check {
  return {
    name,
    severity: 'warning',
    start: (run) => (node) => checkString(run, node, node.property(propertyName)),
  };
}

const compatibleIsStringList: Check = {
  name: 'compatible_is_string_list',
  severity: 'warning',
  start: (run) => (node) => checkStringList(run, node, node.property('compatible')),
};

const namesIsStringList: Check = {
  name: 'names_is_string_list',
  severity: 'warning',
  start: (run) => (node) => {
    for (const property of node.liveProperties()) {
      if (property.name.endsWith('-names')) checkStringList(run, node, property);
    }
  },
};

const STRICT = /[^a-zA-Z0-9,-]/;

const propertyNameCharsStrict: Check = {
  name: 'property_name_chars_strict',
  severity: 'off',
  start: (run) => (node) => {
    for (const property of node.liveProperties()) {
      if (property.name === 'device_type') continue;
      // A # may begin the name, or what follows the vendor prefix.
      const bad = STRICT.exec(property.name.replace(/(^[a-zA-Z0-9,-]*,|^)#/, '$1'));
      if (bad !== null) {
        run.fail(node, `Character '${bad[0]}' not recommended in property name`, { property });
      }
    }
  },
};

const nodeNameCharsStrict: Check = {
  name: 'node_name_chars_strict',
  severity: 'off',
  start: (run) => (node) => {
    const bad = STRICT.exec(baseName(node));
    if (bad !== null) run.fail(node, `Character '${bad[0]}' not recommended in node name`);
  },
};

const nodeNameVsPropertyName: Check = {
  name: 'node_name_vs_property_name',
  severity: 'warning',
  needs: ['node_name_chars'],
  start: (run) => (node) => {
    if (node.parent?.property(node.name) !== undefined) {
      run.fail(node, 'node name and property name conflict');
    }
  },
};

const addrSizeCells: Check = {
  name: 'addr_size_cells',
  severity: 'warning',
  needs: ['address_cells_is_cell', 'size_cells_is_cell'],
};

const regFormat: Check = {
  name: 'reg_format',
  severity: 'warning',
  needs: ['addr_size_cells'],
  start: (run) => (node) => {
    const property = node.property('reg');
    if (property === undefined) return;
    if (node.parent === undefined) {
      run.fail(node, 'Root node has a "reg" property');
      return;
    }
    const { length } = property.value;
    if (length === 0) run.fail(node, 'property is empty', { property });
    const address = addressCells(node.parent);
    const size = sizeCells(node.parent);
    if (!isMultiple(length, 4 * (address + size))) {
      run.fail(
        node,
        `property has invalid length (${length} bytes) (#address-cells == ${address}, #size-cells == ${size})`,
        { property },
      );
    }
  },
};

function rangesCheck(name: string, propertyName: string): Check {
  return {
    name,
    severity: 'warning',
    needs: ['addr_size_cells'],
    start: (run) => (node) => {
      const property = node.property(propertyName);
      if (property === undefined) return;
      const { parent } = node;
      if (parent === undefined) {
        run.fail(node, `Root node has a "${propertyName}" property`, { property });
        return;
      }
      const { length } = property.value;
      const address = addressCells(node);
      const size = sizeCells(node);
      const above = addressCells(parent);
      if (length === 0) {
        const differs = (what: string, own: number, other: number) => {
          if (own === other) return;
          const message = `empty "${propertyName}" property but its ${what} (${own}) differs from ${parent.path} (${other})`;
          run.fail(node, message, { property });
        };
        differs('#address-cells', address, above);
        differs('#size-cells', size, sizeCells(parent));
      } else if (!isMultiple(length, 4 * (above + address + size))) {
        run.fail(
          node,
          `"${propertyName}" property has invalid length (${length} bytes) (parent #address-cells == ${above}, child #address-cells == ${address}, #size-cells == ${size})`,
          { property },
        );
      }
    },
  };
}

const unitAddressVsReg: Check = {
  name: 'unit_address_vs_reg',
  severity: 'warning',
  start: (run) => (node) => {
    // The fragments of an overlay are numbered, not addressed.
    if (node.child('__overlay__') !== undefined) return;
    const ranges = node.property('ranges');
    const addressed = node.property('reg') !== undefined || (ranges !== undefined && ranges.value.length > 0);
    const unit = unitName(node);
    if (addressed && unit === '') {
      run.fail(node, 'node has a reg or ranges property, but no unit name', {
        help: 'name it NAME@ADDRESS, with the first address of reg',
      });
    } else if (!addressed && unit !== '') {
      run.fail(node, 'node has a unit name, but no reg or ranges property');
    }
  },
};

const avoidDefaultAddrSize: Check = {
  name: 'avoid_default_addr_size',
  severity: 'warning',
  needs: ['addr_size_cells'],
  start: (run) => (node) => {
    const { parent } = node;
    if (parent === undefined) return;
    if (node.property('reg') === undefined && node.property('ranges') === undefined) return;
    for (const name of ['#address-cells', '#size-cells'] as const) {
      if (ownCells(parent, name) === undefined) run.fail(node, `Relying on default ${name} value`);
    }
  },
};

const avoidUnnecessaryAddrSize: Check = {
  name: 'avoid_unnecessary_addr_size',
  severity: 'warning',
  needs: ['avoid_default_addr_size'],
  start: (run) => (node) => {
    if (node.parent === undefined || node.property('ranges') !== undefined) return;
    if (ownCells(node, '#address-cells') === undefined || ownCells(node, '#size-cells') === undefined) return;
    if (!hasLiveChildren(node)) return;
    for (const child of node.liveChildren()) if (child.property('reg') !== undefined) return;
    run.fail(node, 'unnecessary #address-cells/#size-cells without "ranges" or child "reg" property');
  },
};

function isDisabled(node: LiveNode): boolean {
  const value = node.property('status')?.value;
  return value !== undefined && firstText(value) === 'disabled';
}

function uniqueUnitAddress(name: string, severity: 'warning' | 'off', skipDisabled: boolean): Check {
  return {
    name,
    severity,
    needs: ['avoid_default_addr_size'],
    start: (run) => (node) => {
      if (ownCells(node, '#address-cells') === undefined) return;
      if (ownCells(node, '#size-cells') === undefined) return;
      const first = new Map<string, LiveNode[]>();
      for (const child of node.liveChildren()) {
        const unit = unitName(child);
        if (unit === '' || (skipDisabled && isDisabled(child))) continue;
        const earlier = first.get(unit);
        if (earlier === undefined) first.set(unit, [child]);
        else {
          // Every pair is told, as in dtc, but thousands of equal siblings are not millions of lines.
          for (const other of earlier) {
            run.fail(other, `duplicate unit-address (also used in node ${child.path})`);
          }
          if (earlier.length < 8) earlier.push(child);
        }
      }
    },
  };
}

const obsoleteChosenInterruptController: Check = {
  name: 'obsolete_chosen_interrupt_controller',
  severity: 'warning',
  start: (run) => (node) => {
    if (node.parent !== undefined) return;
    const property = node.child('chosen')?.property('interrupt-controller');
    if (property !== undefined) {
      run.fail(node, '/chosen has obsolete "interrupt-controller" property', { property });
    }
  },
};

const chosenNodeIsRoot: Check = {
  name: 'chosen_node_is_root',
  severity: 'warning',
  start: (run) => (node) => {
    if (node.name === 'chosen' && node.parent !== run.tree.root) {
      run.fail(node, 'chosen node must be at root node');
    }
  },
};

const chosenNodeBootargs: Check = {
  name: 'chosen_node_bootargs',
  severity: 'warning',
  start: (run) => (node) => {
    if (node.name === 'chosen') checkString(run, node, node.property('bootargs'));
  },
};

const chosenNodeStdoutPath: Check = {
  name: 'chosen_node_stdout_path',
  severity: 'warning',
  start: (run) => (node) => {
    if (node.name !== 'chosen') return;
    let property = node.property('stdout-path');
    if (property === undefined) {
      property = node.property('linux,stdout-path');
      if (property === undefined) return;
      run.fail(node, "Use 'stdout-path' instead", { property });
    }
    checkString(run, node, property);
  },
};

const aliasPaths: Check = {
  name: 'alias_paths',
  severity: 'warning',
  start: (run) => (node) => {
    if (node.name !== 'aliases') return;
    for (const property of node.liveProperties()) {
      if (property.name === 'phandle' || property.name === 'linux,phandle') continue;
      const path = firstText(property.value);
      if (property.value.length === 0 || nodeByPath(run.tree.root, path) === undefined) {
        run.fail(node, `aliases property is not a valid node (${path})`, { property });
      } else if (/[^a-z0-9-]/.test(property.name)) {
        run.fail(node, "aliases property name must include only lowercase and '-'");
      }
    }
  },
};

/** Those that stand before the bus checks in dtc's table. */
export const TYPE_CHECKS: readonly Check[] = [
  isCell('address_cells_is_cell', '#address-cells'),
  isCell('size_cells_is_cell', '#size-cells'),
  stringCheck('device_type_is_string', 'device_type'),
  stringCheck('model_is_string', 'model'),
  stringCheck('status_is_string', 'status'),
  stringCheck('label_is_string', 'label'),
  compatibleIsStringList,
  namesIsStringList,
  propertyNameCharsStrict,
  nodeNameCharsStrict,
  nodeNameVsPropertyName,
  addrSizeCells,
  regFormat,
  rangesCheck('ranges_format', 'ranges'),
  rangesCheck('dma_ranges_format', 'dma-ranges'),
  unitAddressVsReg,
];

export const CUSTOM_CHECKS: readonly Check[] = [
  avoidDefaultAddrSize,
  avoidUnnecessaryAddrSize,
  uniqueUnitAddress('unique_unit_address', 'warning', false),
  uniqueUnitAddress('unique_unit_address_if_enabled', 'off', true),
  obsoleteChosenInterruptController,
  chosenNodeIsRoot,
  chosenNodeBootargs,
  chosenNodeStdoutPath,
];

export const ALIAS_CHECKS: readonly Check[] = [aliasPaths];
