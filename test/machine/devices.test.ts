import { describe, expect, it } from 'vitest';
import { InputError, PA } from '../../src/base/index.js';
import { compileDts } from '../../src/devicetree/index.js';
import { createEngine } from '../../src/engine/index.js';
import { buildBoard, createMachine, loadSegment, Pl011, startAt } from '../../src/machine/index.js';
import { CODE, DATA, load, runBare, testMachine } from './support.js';

describe('the PL011', () => {
  const board = () => {
    const sent: number[] = [];
    const uart = new Pl011(0x9000000, 0x1000, (byte) => sent.push(byte));
    const machine = testMachine({ devices: () => [uart] });
    return { sent, uart, machine };
  };

  it('sends what is stored to DR and is always ready to send', () => {
    const { sent, machine } = board();
    runBare(
      machine,
      `
        mov x0, #0x9000000
        adr x1, text
      1: ldrb w2, [x1], #1
        cbz w2, 3f
      2: ldr w3, [x0, #0x18]
        tbnz w3, #5, 2b
        str w2, [x0]
        b 1b
      3: b .
      text: .asciz "hello"
      `,
      100,
    );
    expect(String.fromCharCode(...sent)).toBe('hello');
  });

  it('takes bytes of a source as long as its FIFO has room, at the pace of the line', () => {
    const uart = new Pl011(0x9000000, 0x1000, () => {});
    const waiting = [...'abcdefghijklmnopqrst'].map((c) => c.charCodeAt(0));
    const source = {
      next: () => waiting.shift(),
      get isOver() {
        return waiting.length === 0;
      },
    };
    const TICKS = 86_806;
    uart.connect(source, 1e9);
    expect(uart.advance(0)).toBe(Number.POSITIVE_INFINITY);
    // UARTEN and RXE; one holding register.
    uart.write(0x30, 4, 0x201n);
    expect(uart.advance(1000)).toBe(TICKS);
    expect(uart.read(0x18, 4)).toBe(0x90n);
    expect(uart.advance(1000 + TICKS)).toBe(TICKS);
    expect(uart.read(0x18, 4)).toBe(0xc0n);
    expect(uart.advance(1000 + 10 * TICKS)).toBe(Number.POSITIVE_INFINITY);
    expect(waiting.length).toBe(19);
    expect(uart.read(0, 4)).toBe(0x61n);
    expect(uart.read(0x18, 4)).toBe(0x90n);
    // FEN: sixteen.
    uart.write(0x2c, 4, 0x10n);
    const start = 1000 + 20 * TICKS;
    let now = start;
    for (let i = 0; i < 100; i++) {
      const next = uart.advance(now);
      if (next === Number.POSITIVE_INFINITY) break;
      now += next;
    }
    expect([waiting.length, now]).toEqual([3, start + 17 * TICKS]);
    expect(uart.read(0, 4)).toBe(0x62n);
  });

  it('receives, flags an empty FIFO, and raises its interrupt as masked', () => {
    const { uart, machine } = board();
    const lines: boolean[] = [];
    uart.onInterrupt = (level) => lines.push(level);
    const read = (offset: number) => machine.memory.read32(PA(0x9000000 + offset));
    expect(read(0x18) & 0x10).toBe(0x10);
    uart.receive(0x41);
    machine.memory.write32(PA(0x9000038), 0x10);
    expect(read(0x18) & 0x10).toBe(0);
    expect(read(0x40)).toBe(0x10);
    expect(read(0)).toBe(0x41);
    expect(lines).toEqual([true, false]);
    expect([read(0xfe0), read(0xfe4), read(0xff0), read(0xffc)]).toEqual([0x11, 0x10, 0x0d, 0xb1]);
  });
});

describe('semihosting', () => {
  it('writes strings and characters and ends with a status', () => {
    const out: number[] = [];
    const machine = testMachine({ onSemihostingOutput: (byte) => out.push(byte) });
    const stop = runBare(
      machine,
      `
        mov w0, #4
        adr x1, text
        hlt #0xf000
        mov w0, #3
        adr x1, text
        hlt #0xf000
        mov w0, #0x18
        adr x1, block
        hlt #0xf000
        b .
        .balign 8
      block: .quad 0x20026, 42
      text: .asciz "ok "
      `,
    );
    expect(String.fromCharCode(...out)).toBe('ok o');
    expect(stop).toEqual({ kind: 'exit', status: 42 });
  });

  it('does not read where nothing is, and answers unknown operations', () => {
    const machine = testMachine({ onSemihostingOutput: () => {} });
    const stop = runBare(
      machine,
      'mov w0, #0x77\n hlt #0xf000\n mov x5, x0\n mov w0, #4\n mov x1, #0x10\n hlt #0xf000\n mov w0, #0x20\n mov x1, #0\n hlt #0xf000',
    );
    expect(machine.cpu.readX(5)).toBe(0xffff_ffff_ffff_ffffn);
    expect(stop).toEqual({ kind: 'exit', status: 1 });
  });
});

describe('the counter', () => {
  it('advances one tick an instruction', () => {
    const machine = testMachine();
    runBare(
      machine,
      'mrs x0, cntfrq_el0\n mrs x1, cntpct_el0\n nop\n nop\n mrs x2, cntvct_el0\n mov x3, #100\n msr cntp_tval_el0, x3\n mov x4, #1\n msr cntp_ctl_el0, x4\n mrs x5, cntp_ctl_el0\n mrs x6, cntp_tval_el0\n b .',
      12,
    );
    const x = (n: number) => machine.cpu.readX(n);
    expect(x(0)).toBe(1_000_000_000n);
    expect(x(2) - x(1)).toBe(3n);
    expect(x(5)).toBe(1n);
    expect(x(6)).toBe(96n);
    createEngine(machine, 'auto').run(machine.cpu, 100);
    expect(machine.cpu.readRegister('cntp_ctl_el0')).toBe(5n);
  });
});

const TREE = `/dts-v1/;
/ {
  #address-cells = <2>; #size-cells = <2>;
  cpus {
    #address-cells = <1>; #size-cells = <0>;
    cpu@0 { device_type = "cpu"; reg = <0>; };
    cpu@1 { device_type = "cpu"; reg = <1>; };
    cpu@2 { device_type = "cpu"; reg = <2>; status = "disabled"; };
  };
  memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x4000000>, <8 0 1 0>; };
  soc { compatible = "simple-bus"; #address-cells = <1>; #size-cells = <1>; ranges = <0 0 0x9000000 0x10000000>;
    serial@0 { compatible = "arm,pl011"; reg = <0 0x1000>; };
    controller@100000 { compatible = "mtemu,tag-controller"; reg = <0x100000 0x1000>; };
  };
};`;

const tree = (text: string) => compileDts({ name: 'board.dts', text }).tree;

describe('boards', () => {
  it('come out of a device tree', () => {
    const sent: number[] = [];
    const { machine, uarts, tagControllers } = buildBoard(tree(TREE), {
      onSerial: (byte) => sent.push(byte),
    });
    expect(machine.cpus.length).toBe(2);
    expect(machine.dram.banks).toEqual([
      { base: 0x40000000, size: 0x4000000 },
      { base: 0x8_0000_0000, size: 0x1_0000_0000 },
    ]);
    expect([uarts[0]?.base, tagControllers[0]?.base]).toEqual([0x9000000, 0x9100000]);
    loadSegment(machine, { address: CODE, bytes: new Uint8Array(4), size: 0x100 });
    load(machine, 'mov x5, x0\n mrs x6, currentel\n mov x1, #0x9000000\n mov w2, #0x21\n str w2, [x1]\n b .');
    startAt(machine, BigInt(CODE), 2, DATA);
    createEngine(machine, 'auto').run(machine.cpu, 10);
    expect([machine.cpu.readX(5), machine.cpu.readX(6), ...sent]).toEqual([BigInt(DATA), 8n, 0x21]);
  });

  it.each([
    ['no memory', TREE.replace(/memory@.*\n/, '')],
    ['memory twice', TREE.replace('<8 0 1 0>', '<0 0x43000000 0 0x4000000>')],
    ['memory beyond 48 bits', TREE.replace('<8 0 1 0>', '<0x10000 0 1 0>')],
    ['devices that overlap', TREE.replace('reg = <0x100000 0x1000>', 'reg = <0x800 0x1000>')],
  ])('refuse %s', (_what, text) => {
    expect(() => buildBoard(tree(text))).toThrow(InputError);
  });

  it('refuse to load outside DRAM', () => {
    const machine = testMachine();
    expect(() => loadSegment(machine, { address: 0x1000, bytes: new Uint8Array(8) })).toThrow(InputError);
  });

  it('refuse features without a machine behind them', () => {
    expect(() => createMachine({ banks: [{ base: 0, size: 4096 }], features: ['FEAT_VHE'] })).toThrow(
      /FEAT_VHE/,
    );
  });
});
