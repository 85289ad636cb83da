/**
 * Checks of buses that give unit addresses a form of their own: PCI, simple-bus, I2C, SPI.
 *
 * Which node is which bus is found by the `..._bridge` checks, as in dtc, and remembered on the node
 * for the checks of its children.
 */

import type { LiveNode } from '../source/live.js';
import { cellAt } from '../tree.js';
import {
  addressCells,
  baseName,
  firstText,
  hasLiveChildren,
  isCompatibleWith,
  sizeCells,
  unitName,
} from './facts.js';
import type { Check, CheckRun } from './framework.js';

function expectCells(run: CheckRun, node: LiveNode, bus: string, address: number, size: number): void {
  if (addressCells(node) !== address) run.fail(node, `incorrect #address-cells for ${bus}`);
  if (sizeCells(node) !== size) run.fail(node, `incorrect #size-cells for ${bus}`);
}

const pciBridge: Check = {
  name: 'pci_bridge',
  severity: 'warning',
  needs: ['device_type_is_string', 'addr_size_cells'],
  start: (run) => (node) => {
    const type = node.property('device_type')?.value;
    if (type === undefined || firstText(type) !== 'pci') return;
    node.bus = 'pci';
    const base = baseName(node);
    if (base !== 'pci' && base !== 'pcie') run.fail(node, 'node name is not "pci" or "pcie"');
    if (node.property('ranges') === undefined) {
      run.fail(node, 'missing ranges for PCI bridge (or not a bridge)');
    }
    expectCells(run, node, 'PCI bridge', 3, 2);
    const property = node.property('bus-range');
    if (property === undefined) return;
    const { value } = property;
    if (value.length !== 8) {
      run.fail(node, 'value must be 2 cells', { property });
      return;
    }
    if (cellAt(value, 0) > cellAt(value, 4)) {
      run.fail(node, '1st cell must be less than or equal to 2nd cell', { property });
    }
    if (cellAt(value, 4) > 0xff) {
      run.fail(node, 'maximum bus number must be less than 256', { property });
    }
  },
};

const pciDeviceReg: Check = {
  name: 'pci_device_reg',
  severity: 'warning',
  needs: ['reg_format', 'pci_bridge'],
  start: (run) => (node) => {
    if (node.parent?.bus !== 'pci') return;
    const property = node.property('reg');
    if (property === undefined || property.value.length < 12) return;
    const { value } = property;
    if (cellAt(value, 4) !== 0 || cellAt(value, 8) !== 0) {
      run.fail(node, 'PCI reg config space address cells 2 and 3 must be 0', { property });
    }
    const reg = cellAt(value, 0);
    if (reg >>> 24 !== 0) run.fail(node, 'PCI reg address is not configuration space', { property });
    if ((reg & 0xff) !== 0) {
      run.fail(node, 'PCI reg config space address register number must be 0', { property });
    }
    const device = ((reg & 0xf800) >> 11).toString(16);
    const fn = ((reg & 0x700) >> 8).toString(16);
    const unit = unitName(node);
    if ((fn === '0' && unit === device) || unit === `${device},${fn}`) return;
    run.fail(node, `PCI unit address format error, expected "${device},${fn}"`);
  },
};

const pciDeviceBusNum: Check = {
  name: 'pci_device_bus_num',
  severity: 'warning',
  needs: ['reg_format', 'pci_bridge'],
  start: (run) => (node) => {
    if (node.parent?.bus !== 'pci') return;
    const property = node.property('reg');
    if (property === undefined || property.value.length < 4) return;
    const bus = (cellAt(property.value, 0) & 0x00ff0000) >> 16;
    const range = node.parent.property('bus-range')?.value;
    const low = range?.length === 8 ? cellAt(range, 0) : 0;
    const high = range?.length === 8 ? cellAt(range, 4) : 0;
    if (bus < low || bus > high) {
      run.fail(node, `PCI bus number ${bus} out of range, expected (${low} - ${high})`, { property });
    }
  },
};

const simpleBusBridge: Check = {
  name: 'simple_bus_bridge',
  severity: 'warning',
  needs: ['addr_size_cells', 'compatible_is_string_list'],
  start: () => (node) => {
    if (isCompatibleWith(node, 'simple-bus')) node.bus = 'simple';
  },
};

const simpleBusReg: Check = {
  name: 'simple_bus_reg',
  severity: 'warning',
  needs: ['reg_format', 'simple_bus_bridge'],
  start: (run) => (node) => {
    const { parent } = node;
    if (parent?.bus !== 'simple') return;
    const cells = addressCells(parent);
    let value = node.property('reg')?.value;
    if (value === undefined) {
      const ranges = node.property('ranges')?.value;
      // The parent's address follows the child's.
      if (ranges !== undefined && ranges.length > 0) value = ranges.subarray(4 * addressCells(node));
    }
    if (value === undefined) {
      if (parent.parent !== undefined && node.bus !== 'simple') {
        run.fail(node, 'missing or empty reg/ranges property');
      }
      return;
    }
    if (value.length < 4 * cells) return;
    let address = 0n;
    for (let i = 0; i < cells; i++) {
      address = BigInt.asUintN(64, (address << 32n) | BigInt(cellAt(value, 4 * i)));
    }
    const expected = address.toString(16);
    if (unitName(node) !== expected) {
      run.fail(node, `simple-bus unit address format error, expected "${expected}"`);
    }
  },
};

const i2cBusBridge: Check = {
  name: 'i2c_bus_bridge',
  severity: 'warning',
  needs: ['addr_size_cells'],
  start: (run) => (node) => {
    const base = baseName(node);
    if (base !== 'i2c' && base !== 'i2c-bus' && base !== 'i2c-arb') return;
    node.bus = 'i2c';
    if (hasLiveChildren(node)) expectCells(run, node, 'I2C bus', 1, 0);
  },
};

const I2C_OWN_ADDRESS = 0x40000000;
const I2C_TEN_BIT = 0x80000000;

const i2cBusReg: Check = {
  name: 'i2c_bus_reg',
  severity: 'warning',
  needs: ['reg_format', 'i2c_bus_bridge'],
  start: (run) => (node) => {
    if (node.parent?.bus !== 'i2c') return;
    const property = node.property('reg');
    if (property === undefined || property.value.length < 4) {
      run.fail(node, 'missing or empty reg property');
      return;
    }
    const { value } = property;
    const expected = ((cellAt(value, 0) & ~I2C_OWN_ADDRESS) >>> 0).toString(16);
    if (unitName(node) !== expected) {
      run.fail(node, `I2C bus unit address format error, expected "${expected}"`);
    }
    for (let at = 0; at + 4 <= value.length; at += 4) {
      const reg = (cellAt(value, at) & ~I2C_OWN_ADDRESS) >>> 0;
      const shown = `"0x${reg.toString(16)}"`;
      if (reg >= I2C_TEN_BIT) {
        if (reg - I2C_TEN_BIT > 0x3ff) {
          run.fail(node, `I2C address must be less than 10-bits, got ${shown}`, { property });
        }
      } else if (reg > 0x7f) {
        run.fail(
          node,
          `I2C address must be less than 7-bits, got ${shown}. Set I2C_TEN_BIT_ADDRESS for 10 bit addresses or fix the property`,
          { property },
        );
      }
    }
  },
};

const spiBusBridge: Check = {
  name: 'spi_bus_bridge',
  severity: 'warning',
  needs: ['addr_size_cells'],
  start: (run) => (node) => {
    if (baseName(node) === 'spi') node.bus = 'spi';
    else {
      // A bus may be named otherwise; its children's properties give it away.
      if (addressCells(node) !== 1 || sizeCells(node) !== 0) return;
      for (const child of node.liveChildren()) {
        if (child.properties.some((p) => !p.deleted && p.name.startsWith('spi-'))) {
          node.bus = 'spi';
          break;
        }
      }
      if (node.bus === 'spi' && node.property('reg') !== undefined) {
        run.fail(node, "node name for SPI buses should be 'spi'");
      }
    }
    if (node.bus !== 'spi' || !hasLiveChildren(node)) return;
    expectCells(run, node, 'SPI bus', node.property('spi-slave') === undefined ? 1 : 0, 0);
  },
};

const spiBusReg: Check = {
  name: 'spi_bus_reg',
  severity: 'warning',
  needs: ['reg_format', 'spi_bus_bridge'],
  start: (run) => (node) => {
    if (node.parent?.bus !== 'spi' || node.parent.property('spi-slave') !== undefined) return;
    const value = node.property('reg')?.value;
    if (value === undefined || value.length < 4) {
      run.fail(node, 'missing or empty reg property');
      return;
    }
    const expected = cellAt(value, 0).toString(16);
    if (unitName(node) !== expected) {
      run.fail(node, `SPI bus unit address format error, expected "${expected}"`);
    }
  },
};

const unitAddressFormat: Check = {
  name: 'unit_address_format',
  severity: 'warning',
  needs: ['node_name_format', 'pci_bridge', 'simple_bus_bridge'],
  start: (run) => (node) => {
    if (node.parent?.bus !== undefined) return;
    let unit = unitName(node);
    if (unit.startsWith('0x')) {
      run.fail(node, 'unit name should not have leading "0x"');
      unit = unit.slice(2);
    }
    if (/^0[0-9a-fA-F]/.test(unit)) run.fail(node, 'unit name should not have leading 0s');
  },
};

export const BUS_CHECKS: readonly Check[] = [
  unitAddressFormat,
  pciBridge,
  pciDeviceReg,
  pciDeviceBusNum,
  simpleBusBridge,
  simpleBusReg,
  i2cBusBridge,
  i2cBusReg,
  spiBusBridge,
  spiBusReg,
];
