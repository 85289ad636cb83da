import { describe, expect, it } from 'vitest';
import { type CheckSwitches, checkBlobTree, checkNames, readDtb } from '../../src/devicetree/index.js';
import { compile, compileBody, errorsOf, placeOf } from './support.js';

function warningsOf(body: string, checks: CheckSwitches = new Map()): string[] {
  return compileBody(body, { checks }).warnings.map((w) => `${w.code} ${w.message}`);
}

const cells = '#address-cells = <1>; #size-cells = <1>;';

describe('warnings', () => {
  const cases: [string, string, string[]][] = [
    ['nothing to say', `${cells} n@1 { reg = <1 2>; };`, []],
    [
      'cell counts',
      '#address-cells = <1 2>;',
      ['address_cells_is_cell /:#address-cells: property is not a single cell'],
    ],
    [
      'strings',
      'model = <1>; n { status = "a", "b"; };',
      [
        'model_is_string /:model: property is not a string',
        'status_is_string /n:status: property is not a string',
      ],
    ],
    [
      'string lists',
      'compatible = <0x61>; reg-names = [61];',
      [
        'compatible_is_string_list /:compatible: property is not a string list',
        'names_is_string_list /:reg-names: property is not a string list',
      ],
    ],
    [
      'name conflict',
      'n = <1>; n { };',
      ['node_name_vs_property_name /n: node name and property name conflict'],
    ],
    [
      'reg length',
      `${cells} n@1 { reg = <1>; };`,
      ['reg_format /n@1:reg: property has invalid length (4 bytes) (#address-cells == 1, #size-cells == 1)'],
    ],
    [
      'ranges',
      `${cells} n { #address-cells = <2>; #size-cells = <1>; ranges; c@0 { reg = <0 0 1>; }; };`,
      ['ranges_format /n:ranges: empty "ranges" property but its #address-cells (2) differs from / (1)'],
    ],
    [
      'unit names',
      `${cells} n { reg = <1 2>; }; m@1 { };`,
      [
        'unit_address_vs_reg /n: node has a reg or ranges property, but no unit name',
        'unit_address_vs_reg /m@1: node has a unit name, but no reg or ranges property',
      ],
    ],
    [
      'unit format',
      `${cells} n@0x10 { reg = <16 1>; }; m@01 { reg = <1 1>; };`,
      [
        'unit_address_format /n@0x10: unit name should not have leading "0x"',
        'unit_address_format /m@01: unit name should not have leading 0s',
      ],
    ],
    [
      'defaults',
      'n@0 { reg = <0 0 1>; };',
      [
        'avoid_default_addr_size /n@0: Relying on default #address-cells value',
        'avoid_default_addr_size /n@0: Relying on default #size-cells value',
      ],
    ],
    [
      'unnecessary cells',
      'n { #address-cells = <1>; #size-cells = <0>; c { }; };',
      [
        'avoid_unnecessary_addr_size /n: unnecessary #address-cells/#size-cells without "ranges" or child "reg" property',
      ],
    ],
    [
      'twice an address',
      `${cells} a@1 { reg = <1 1>; }; b@1 { reg = <1 1>; };`,
      ['unique_unit_address /a@1: duplicate unit-address (also used in node /b@1)'],
    ],
    [
      'simple-bus',
      `${cells} b { compatible = "simple-bus"; ${cells} ranges; d@1 { reg = <2 1>; }; e { }; };`,
      [
        'simple_bus_reg /b/d@1: simple-bus unit address format error, expected "2"',
        'simple_bus_reg /b/e: missing or empty reg/ranges property',
      ],
    ],
    [
      'I2C',
      'i2c { #address-cells = <1>; #size-cells = <0>; d@80 { reg = <0x80>; }; };',
      [
        'i2c_bus_reg /i2c/d@80:reg: I2C address must be less than 7-bits, got "0x80". Set I2C_TEN_BIT_ADDRESS for 10 bit addresses or fix the property',
      ],
    ],
    [
      'SPI',
      'spi { #address-cells = <2>; #size-cells = <0>; d@0 { reg = <0 0>; }; };',
      ['spi_bus_bridge /spi: incorrect #address-cells for SPI bus'],
    ],
    [
      'PCI',
      'p { device_type = "pci"; bus-range = <2 1>; };',
      [
        'pci_bridge /p: node name is not "pci" or "pcie"',
        'pci_bridge /p: missing ranges for PCI bridge (or not a bridge)',
        'pci_bridge /p: incorrect #address-cells for PCI bridge',
        'pci_bridge /p: incorrect #size-cells for PCI bridge',
        'pci_bridge /p:bus-range: 1st cell must be less than or equal to 2nd cell',
      ],
    ],
    [
      'chosen',
      'n { chosen { bootargs = <1>; linux,stdout-path = "x"; }; };',
      [
        'chosen_node_is_root /n/chosen: chosen node must be at root node',
        'chosen_node_bootargs /n/chosen:bootargs: property is not a string',
        "chosen_node_stdout_path /n/chosen:linux,stdout-path: Use 'stdout-path' instead",
      ],
    ],
    [
      'aliases',
      'aliases { a = "/nope"; B = "/aliases"; };',
      [
        'alias_paths /aliases:a: aliases property is not a valid node (/nope)',
        "alias_paths /aliases: aliases property name must include only lowercase and '-'",
      ],
    ],
    [
      'providers',
      'c: c { #clock-cells = <1>; }; d { clocks = <&c>; }; e { clocks = <&d2 0>; }; d2: f { }; g { clocks = <7>; };',
      [
        'clocks_property /d:clocks: property size (4) too small for cell size 1',
        "clocks_property /e: Missing property '#clock-cells' in node /f or bad phandle (referred from clocks[0])",
        'clocks_property /g:clocks: cell 0 is not a phandle reference',
        'clocks_property /g:clocks: Could not get phandle node for (cell 0)',
      ],
    ],
    [
      'interrupts',
      'i: i { interrupt-controller; #interrupt-cells = <2>; }; n { interrupt-parent = <&i>; interrupts = <1>; }; m { interrupts = <1>; };',
      [
        'interrupts_property /n:interrupts: size is (4), expected multiple of 8',
        'interrupts_property /m: Missing interrupt-parent',
        'interrupt_provider /i: Missing #address-cells in interrupt provider',
      ],
    ],
    [
      'graphs',
      'p { q: endpoint { remote-endpoint = <&r>; }; }; s { port { r: endpoint { }; }; };',
      [
        "graph_port /p: graph port node name should be 'port'",
        "graph_endpoint /p/endpoint: graph connection to node '/s/port/endpoint' is not bidirectional",
      ],
    ],
  ];
  it.each(cases)('%s', (_, body, expected) => {
    expect(warningsOf(body)).toEqual(expected);
  });

  it('stand at the property or the node', () => {
    const { warnings } = compile('/dts-v1/;\n/ {\n\tmodel = <1>;\n\tm@1 { };\n};\n');
    expect(warnings.map(placeOf)).toMatchObject([
      { line: 3, column: 2 },
      { line: 4, column: 6 },
    ]);
  });

  it('are the same for a blob, without places', () => {
    const body =
      'model = <1>; p { q: endpoint { remote-endpoint = <&r>; }; }; s { port { r: endpoint { }; }; };';
    const fromBlob = checkBlobTree(readDtb(compileBody(body).dtb), { name: 'x.dtb' }).warnings;
    expect(fromBlob.map((w) => `${w.code} ${w.message}`)).toEqual(warningsOf(body));
    expect(fromBlob[0]).toMatchObject({ file: 'x.dtb' });
  });
});

describe('switches', () => {
  it('turn a check off, on, or into an error', () => {
    expect(warningsOf('model = <1>;', new Map([['model_is_string', 'off']]))).toEqual([]);
    expect(warningsOf('n_1 { };')).toEqual([]);
    expect(warningsOf('n_1 { };', new Map([['node_name_chars_strict', 'warning']]))).toEqual([
      "node_name_chars_strict /n_1: Character '_' not recommended in node name",
    ]);
    const checks: CheckSwitches = new Map([['model_is_string', 'error']]);
    expect(errorsOf(() => compileBody('model = <1>;', { checks }))).toMatchObject([
      { code: 'model_is_string', severity: 'error' },
    ]);
  });

  it('leave out, silently, what relies on a check that failed', () => {
    expect(warningsOf('#size-cells = <1 2>; n { reg = <1>; };')).toEqual([
      'size_cells_is_cell /:#size-cells: property is not a single cell',
      'unit_address_vs_reg /n: node has a reg or ranges property, but no unit name',
    ]);
  });

  it('have unique names', () => {
    expect(new Set(checkNames()).size).toBe(checkNames().length);
    expect(checkNames()).toContain('reg_format');
  });
});
