/**
 * Checks of properties that list phandles with arguments (`clocks`, `gpios`, `interrupts` ...): that
 * each entry refers to a node which says how many cells follow, and that they do.
 */

import { type LiveNode, type LiveProperty, liveNodes } from '../source/live.js';
import { cellAt } from '../tree.js';
import { firstCell } from './facts.js';
import { isCell } from './formats.js';
import type { Check, CheckRun } from './framework.js';

type PhandleIndex = (phandle: number) => LiveNode | undefined;

/** Made by each check that needs it: phandles are only complete after `phandle_references`. */
export function phandleIndex(run: CheckRun): PhandleIndex {
  const nodes = new Map<number, LiveNode>();
  for (const node of liveNodes(run.tree.root)) {
    if (node.phandle !== 0 && !nodes.has(node.phandle)) nodes.set(node.phandle, node);
  }
  return (phandle) => nodes.get(phandle);
}

function checkArguments(
  run: CheckRun,
  find: PhandleIndex,
  node: LiveNode,
  property: LiveProperty,
  cellsName: string,
  optional: boolean,
): void {
  const { length } = property.value;
  if (length % 4 !== 0) {
    run.fail(node, `property size (${length}) is invalid, expected multiple of 4`, { property });
    return;
  }
  const references = new Set(property.markers.filter((m) => m.kind === 'phandle').map((m) => m.offset));
  for (let cell = 0; 4 * cell < length; cell++) {
    const phandle = cellAt(property.value, 4 * cell);
    if (phandle === 0 || phandle === 0xffffffff) {
      // An entry left out, or, in an overlay, one that refers outside.
      if (run.tree.plugin) return;
      continue;
    }
    if (property.written && !references.has(4 * cell)) {
      run.fail(node, `cell ${cell} is not a phandle reference`, { property });
    }
    const provider = find(phandle);
    if (provider === undefined) {
      run.fail(node, `Could not get phandle node for (cell ${cell})`, { property });
      return;
    }
    const count = firstCell(provider, cellsName) ?? (optional ? 0 : undefined);
    if (count === undefined) {
      run.fail(
        node,
        `Missing property '${cellsName}' in node ${provider.path} or bad phandle (referred from ${property.name}[${cell}])`,
      );
      return;
    }
    if (length < 4 * (cell + count + 1)) {
      run.fail(node, `property size (${length}) too small for cell size ${count}`, { property });
    }
    cell += count;
  }
}

const PROVIDERS: readonly (readonly [string, string, string, boolean?])[] = [
  ['clocks', 'clocks', '#clock-cells'],
  ['cooling_device', 'cooling-device', '#cooling-cells'],
  ['dmas', 'dmas', '#dma-cells'],
  ['hwlocks', 'hwlocks', '#hwlock-cells'],
  ['interrupts_extended', 'interrupts-extended', '#interrupt-cells'],
  ['io_channels', 'io-channels', '#io-channel-cells'],
  ['iommus', 'iommus', '#iommu-cells'],
  ['mboxes', 'mboxes', '#mbox-cells'],
  ['msi_parent', 'msi-parent', '#msi-cells', true],
  ['mux_controls', 'mux-controls', '#mux-control-cells'],
  ['phys', 'phys', '#phy-cells'],
  ['power_domains', 'power-domains', '#power-domain-cells'],
  ['pwms', 'pwms', '#pwm-cells'],
  ['resets', 'resets', '#reset-cells'],
  ['sound_dai', 'sound-dai', '#sound-dai-cells'],
  ['thermal_sensors', 'thermal-sensors', '#thermal-sensor-cells'],
];

function providerChecks([name, propertyName, cellsName, optional]: (typeof PROVIDERS)[number]): Check[] {
  return [
    isCell(`${name}_is_cell`, cellsName),
    {
      name: `${name}_property`,
      severity: 'warning',
      needs: [`${name}_is_cell`, 'phandle_references'],
      start: (run) => {
        const find = phandleIndex(run);
        return (node) => {
          const property = node.property(propertyName);
          if (property === undefined) return;
          checkArguments(run, find, node, property, cellsName, optional ?? false);
        };
      },
    },
  ];
}

function isGpio(name: string): boolean {
  return !name.endsWith(',nr-gpios') && /(^|-)gpios?$/.test(name);
}

const deprecatedGpioProperty: Check = {
  name: 'deprecated_gpio_property',
  severity: 'off',
  start: (run) => (node) => {
    for (const property of node.liveProperties()) {
      if (isGpio(property.name) && property.name.endsWith('gpio')) {
        run.fail(node, "'[*-]gpio' is deprecated, use '[*-]gpios' instead", { property });
      }
    }
  },
};

const gpiosProperty: Check = {
  name: 'gpios_property',
  severity: 'warning',
  needs: ['phandle_references'],
  start: (run) => {
    const find = phandleIndex(run);
    return (node) => {
      if (node.property('gpio-hog') !== undefined) return;
      for (const property of node.liveProperties()) {
        if (isGpio(property.name)) checkArguments(run, find, node, property, '#gpio-cells', false);
      }
    };
  },
};

function isInterruptProvider(node: LiveNode): boolean {
  return node.property('interrupt-controller') !== undefined || node.property('interrupt-map') !== undefined;
}

const interruptProvider: Check = {
  name: 'interrupt_provider',
  severity: 'warning',
  start: (run) => (node) => {
    if (!isInterruptProvider(node)) return;
    for (const name of ['#interrupt-cells', '#address-cells']) {
      if (node.property(name) === undefined) run.fail(node, `Missing ${name} in interrupt provider`);
    }
  },
};

const interruptsProperty: Check = {
  name: 'interrupts_property',
  severity: 'warning',
  needs: ['phandle_references'],
  start: (run) => {
    const find = phandleIndex(run);
    return (node) => {
      const property = node.property('interrupts');
      if (property === undefined) return;
      const { length } = property.value;
      if (length % 4 !== 0) {
        run.fail(node, `size (${length}) is invalid, expected multiple of 4`, { property });
      }
      const controller = interruptParent(run, find, node);
      if (controller === undefined) return;
      const cells = firstCell(controller, '#interrupt-cells');
      // Its absence is told by interrupt_provider.
      if (cells === undefined || isWhole(length, 4 * cells)) return;
      run.fail(node, `size is (${length}), expected multiple of ${4 * cells}`, { property });
    };
  },
};

function isWhole(length: number, entry: number): boolean {
  return entry === 0 ? length === 0 : length % entry === 0;
}

/** The node that takes a node's interrupts; undefined where there is none, which has been told. */
function interruptParent(run: CheckRun, find: PhandleIndex, node: LiveNode): LiveNode | undefined {
  for (let at: LiveNode | undefined = node; at !== undefined; at = at.parent) {
    if (at !== node && isInterruptProvider(at)) return at;
    const property = at.property('interrupt-parent');
    if (property === undefined || property.value.length < 4) continue;
    const phandle = cellAt(property.value, 0);
    if (phandle === 0 || phandle === 0xffffffff) {
      if (!run.tree.plugin) run.fail(at, 'Invalid phandle', { property });
      return undefined;
    }
    const controller = find(phandle);
    if (controller === undefined) {
      run.fail(at, 'Bad phandle', { property });
      return undefined;
    }
    if (!isInterruptProvider(controller)) {
      run.fail(controller, 'Missing interrupt-controller or interrupt-map property');
    }
    return controller;
  }
  run.fail(node, 'Missing interrupt-parent');
  return undefined;
}

export const PROVIDER_CHECKS: readonly Check[] = [
  ...PROVIDERS.flatMap(providerChecks),
  deprecatedGpioProperty,
  gpiosProperty,
  interruptsProperty,
  interruptProvider,
];
