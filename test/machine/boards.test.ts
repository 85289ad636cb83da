/**
 * Trees of boards as makers ship them: which serial port is the console, what is missing, memory that the
 * bootloader is to fill in; and the trees of Debian's arm64 kernel, each of which boots or says why not.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/index.js';
import {
  compileDts,
  type DeviceTree,
  findNode,
  readDtb,
  regEntries,
  stdoutPath,
} from '../../src/devicetree/index.js';
import { createEngine } from '../../src/engine/index.js';
import {
  bootBoard,
  fillMemory,
  kernelEntryStage,
  leavesMemoryOpen,
  memoryBanks,
} from '../../src/machine/index.js';

interface Parts {
  readonly chosen?: string;
  readonly memory?: string;
  readonly devices?: string;
  readonly cpus?: string;
  readonly root?: string;
}

const UARTS = `
	uart0: serial@9000000 { compatible = "arm,pl011"; reg = <0 0x9000000 0 0x1000>; };
	uart1: serial@9001000 { compatible = "arm,pl011"; reg = <0 0x9001000 0 0x1000>; };
	uart2: serial@9002000 { compatible = "ns16550a"; reg = <0 0x9002000 0 0x1000>; };
	uart3: serial@9003000 { compatible = "arm,pl011"; reg = <0 0x9003000 0 0x1000>; status = "disabled"; };
	aliases { serial0 = &uart1; serial1 = &uart2; serial2 = &uart3; loop = "loop"; bus = "/bus"; };
	bus { compatible = "simple-bus"; #address-cells = <1>; #size-cells = <1>; ranges = <0 0 0xa000000 0x100000>;
		inner: serial@0 { compatible = "arm,pl011"; reg = <0 0x1000>; };
	};
`;
const EVERYTHING = `
	${UARTS}
	timer { compatible = "arm,armv8-timer"; };
	psci { compatible = "arm,psci-1.0"; method = "smc"; };
	gic: interrupt-controller@8000000 {
		compatible = "arm,gic-v3"; #interrupt-cells = <3>; interrupt-controller;
		reg = <0 0x8000000 0 0x10000>, <0 0x80a0000 0 0xf60000>;
	};
	controller@a200000 { compatible = "mtemu,tag-controller"; reg = <0 0xa200000 0 0x1000>; };
`;
const MEMORY = 'memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x4000000>; };';

function board({
  chosen = '',
  memory = MEMORY,
  devices = EVERYTHING,
  cpus = '',
  root = '',
}: Parts): DeviceTree {
  const text = `/dts-v1/;
/ {
	#address-cells = <2>; #size-cells = <2>; ${root}
	chosen { ${chosen} };
	cpus { #address-cells = <1>; #size-cells = <0>; ${cpus} };
	${memory}
	${devices}
};
`;
  return compileDts({ name: 'board.dts', text }).tree;
}

const cpu = (number: string, rest = '') =>
  `cpu@${number} { device_type = "cpu"; reg = <0x${number}>; ${rest} };`;

function boot(tree: DeviceTree) {
  let serial = '';
  const booted = bootBoard(tree, kernelEntryStage(), {
    onSerial: (byte) => {
      serial += String.fromCharCode(byte);
    },
  });
  booted.machine.setSupervisor({ exceptionTaken() {} });
  const stop = createEngine(booted.machine, 'evaluate').run(booted.machine.cpu, 100_000);
  return { board: booted, missing: booted.missing, serial, stop };
}

describe('stdout-path', () => {
  it.each([
    ['an alias with options', 'stdout-path = "serial0:115200n8";', '/serial@9001000', '115200n8'],
    ['an alias', 'stdout-path = "serial0";', '/serial@9001000', ''],
    ['a full path', 'stdout-path = "/bus/serial@0";', '/bus/serial@0', ''],
    ['a full path with options', 'stdout-path = "/serial@9001000:9600";', '/serial@9001000', '9600'],
    ['a reference', 'stdout-path = &inner;', '/bus/serial@0', ''],
    ['a path below an alias', 'stdout-path = "bus/serial@0:1";', '/bus/serial@0', '1'],
    ['the older name', 'linux,stdout-path = "serial0";', '/serial@9001000', ''],
  ])('is followed: %s', (_what, chosen, path, options) => {
    const tree = board({ chosen });
    expect(stdoutPath(tree)).toMatchObject({ node: findNode(tree, path), options });
    const booted = boot(tree);
    expect(booted.board.consoleNode?.path).toBe(path);
    expect(booted.board.console?.base).toBe(path === '/bus/serial@0' ? 0xa00_0000 : 0x900_1000);
    // Only the console's bytes are told, so firmware wrote to that one.
    expect(booted.serial).toContain('firmware: tag ranges in force');
    expect(booted.missing).toEqual([]);
  });

  it.each([
    [
      'a device that is not modelled',
      'stdout-path = "serial1:115200";',
      "no model of its stdout-path, 'ns16550a':",
    ],
    [
      'a disabled one',
      'stdout-path = "serial2";',
      "no model of its stdout-path, 'arm,pl011' (which is disabled):",
    ],
    ['no alias', 'stdout-path = "serial9:1";', 'no node for its stdout-path "serial9:1":'],
    ['an alias of an alias', 'stdout-path = "loop";', 'no node for its stdout-path "loop":'],
    ['a path to nowhere', 'stdout-path = "/serial@1";', 'no node for its stdout-path "/serial@1":'],
  ])('that names %s is told, and the first port serves', (_what, chosen, said) => {
    const booted = boot(board({ chosen }));
    expect(booted.missing).toEqual([`${said} firmware's messages go to pl011@9000000 instead`]);
    expect(booted.serial).toContain('firmware: tag ranges in force');
  });

  it('that says nothing leaves the first port', () => {
    for (const chosen of ['', 'stdout-path = "";', 'stdout-path;']) {
      const booted = boot(board({ chosen }));
      expect(booted.board.console?.base).toBe(0x900_0000);
      expect(booted.missing).toEqual([]);
    }
  });
});

describe('what a tree lacks', () => {
  const without = (pattern: RegExp) => boot(board({ devices: EVERYTHING.replace(pattern, '') })).missing;

  it('is named device by device, with what will not work', () => {
    expect(without(/\tgic: [\s\S]*?\};\n/)).toEqual([
      expect.stringMatching(/^no 'arm,gic-v3' .*reaches a CPU$/),
    ]);
    expect(without(/\ttimer .*\n/)).toEqual([expect.stringMatching(/^no 'arm,armv8-timer': /)]);
    expect(without(/\tpsci .*\n/)).toEqual([expect.stringMatching(/^no 'arm,psci-0.2': .*further CPUs/)]);
    expect(without(/\tcontroller@.*\n/)).toEqual([expect.stringMatching(/^no 'mtemu,tag-controller': /)]);
    expect(boot(board({ devices: '' })).missing).toHaveLength(5);
  });

  it('names what stands in its place', () => {
    const devices = `
	old: interrupt-controller@8000000 { compatible = "arm,gic-400"; #interrupt-cells = <3>; interrupt-controller; };
	psci { compatible = "arm,psci"; };
	serial@9002000 { compatible = "ns16550a"; reg = <0 0x9002000 0 0x1000>; };
`;
    const text = boot(
      board({ devices, root: 'interrupt-parent = <&old>;', chosen: 'stdout-path = "/serial@9002000";' }),
    ).missing.join('\n');
    expect(text).toContain("(its 'arm,gic-400' is not modelled)");
    expect(text).toContain("only 'arm,psci' of version 0.1");
    expect(text).toContain("no 'arm,pl011' serial port, stdout-path is 'ns16550a'");
  });

  it('tells of CPUs: too many, numbered otherwise, waiting at a spin table', () => {
    const many = Array.from({ length: 12 }, (_, i) => cpu(i.toString(16))).join(' ');
    const crowded = boot(board({ cpus: many }));
    expect(crowded.board.machine.cpus).toHaveLength(8);
    expect(crowded.missing).toEqual(["8 of the tree's 12 CPUs: it can have no more"]);
    expect(boot(board({ cpus: `${cpu('0')} ${cpu('100')}` })).missing).toEqual([
      expect.stringMatching(/^CPUs numbered 0 to 1 .* \(0, 100\)/),
    ]);
    const spinning = `${cpu('0')} ${cpu('1', 'enable-method = "spin-table";')}`;
    expect(boot(board({ cpus: spinning })).missing).toEqual([
      expect.stringMatching(/^no 'spin-table': the 1 CPUs/),
    ]);
  });
});

describe('memory that the bootloader fills in', () => {
  const open = 'memory@80000000 { device_type = "memory"; reg = <0 0x80000000 0 0>; };';

  it('is seen, and an error with help without a size', () => {
    for (const [memory, isOpen] of [
      [MEMORY, false],
      [open, true],
      ['', true],
      [`${open} ${MEMORY}`, false],
    ] as const) {
      const tree = board({ memory });
      expect([memory, leavesMemoryOpen(tree)]).toEqual([memory, isOpen]);
      if (!isOpen) expect(memoryBanks(tree).length).toBe(1);
      else expect(() => memoryBanks(tree)).toThrow(/does not say how much memory/);
    }
  });

  it('goes where the memory node is', () => {
    const tree = board({ memory: open });
    expect(fillMemory(tree, 2 ** 33)).toBe(0x8000_0000n);
    expect(memoryBanks(tree)).toEqual([{ base: 0x8000_0000, size: 2 ** 33 }]);
    expect(leavesMemoryOpen(tree)).toBe(false);
    expect(boot(tree).stop).toEqual({ kind: 'supervisor', el: 1 });
  });

  it('without a node goes to the first gigabyte clear of devices and PCI windows', () => {
    const place = (devices: string) => fillMemory(board({ memory: '', devices }), 2 ** 30);
    expect(place('')).toBe(0x4000_0000n);
    expect(place('d@40000000 { reg = <0 0x40000000 0 0x1000>; };')).toBe(0x8000_0000n);
    expect(place('d@1 { reg = <0 0x7fffffff 0 2>; };')).toBe(0xc000_0000n);
    const reserved =
      'reserved-memory { #address-cells = <2>; #size-cells = <2>; ranges; r@50000000 { reg = <0 0x50000000 0 0x1000>; }; };';
    expect(place(reserved)).toBe(0x4000_0000n);
    const pci = `pcie@1000 { device_type = "pci"; reg = <0 0x1000 0 0x1000>; #address-cells = <3>; #size-cells = <2>;
      ranges = <0x2000000 0 0x40000000 0 0x40000000 0 0x80000000>; };`;
    expect(place(pci)).toBe(0xc000_0000n);
    const tree = board({ memory: '' });
    fillMemory(tree, 2 ** 26);
    const node = findNode(tree, '/memory@40000000')!;
    expect(regEntries(node)).toEqual([{ address: 0x4000_0000n, size: 2n ** 26n }]);
  });

  it('must fit the cells, and the devices must leave room', () => {
    const narrow = compileDts({
      name: 'narrow.dts',
      text: '/dts-v1/;\n/ { #address-cells = <2>; #size-cells = <1>; memory@0 { device_type = "memory"; reg = <0 0 0>; }; };\n',
    }).tree;
    expect(() => fillMemory(narrow, 2 ** 32)).toThrow(/cannot be written down/);
    expect(fillMemory(narrow, 2 ** 31)).toBe(0n);
    const full = board({ memory: '', devices: 'd@0 { reg = <0 0 0xffffffff 0>; };' });
    expect(() => fillMemory(full, 2 ** 30)).toThrow(/leave no room/);
  });
});

const REAL = process.env['MTEMU_REAL_DTBS'];
const real =
  REAL === undefined || !existsSync(REAL)
    ? []
    : readdirSync(REAL, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.dtb'))
        .sort()
        .map((name) => join(REAL, name));

describe('trees of real boards', () => {
  it.skipIf(real.length === 0)(
    'boot as far as the kernel [needs MTEMU_REAL_DTBS]',
    { timeout: 60_000 },
    () => {
      const chosen = real.filter((_, i) => i % Math.ceil(real.length / 72) === 0);
      const failed: string[] = [];
      let filled = 0;
      for (const file of chosen) {
        const tree = readDtb(readFileSync(file), file);
        try {
          if (leavesMemoryOpen(tree)) {
            expect(() => memoryBanks(tree)).toThrow(InputError);
            fillMemory(tree, 2 ** 29);
            filled++;
          }
          if (boot(tree).stop.kind !== 'supervisor')
            failed.push(`${file}: firmware did not enter the kernel`);
        } catch (error) {
          failed.push(`${file}: ${String(error)}`);
        }
      }
      expect(failed).toEqual([]);
      expect(filled).toBeGreaterThan(0);
    },
  );
});
