/**
 * `mtemu boot` as users meet it: images of our own with the arm64 Image header, and, where they are to be
 * had, Debian's kernel and the MTE tests of kvm-unit-tests.
 */
import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { assemble, toFlat } from '../../src/assembler/index.js';
import { VA } from '../../src/base/index.js';
import { makeRamDisk } from '../../src/cli/ram-disk.js';
import { findNode, readDtb } from '../../src/devicetree/index.js';
import { toElf } from '../../src/elf/index.js';
import { mtemu } from './in-process.js';

/**
 * Prints its exception level, whether it was entered as the boot protocol says, and the device tree in
 * hexadecimal; then switches the machine off.
 */
const REPORTING = `
        b start
        .inst 0
        .quad 0                 // text_offset
        .quad 0x100000          // image_size
        .quad 0xa               // flags: 4 KiB pages, anywhere
        .quad 0, 0, 0
        .ascii "ARMd"
        .word 0
start:  mov x9, #0x09000000
        mrs x10, currentel
        lsr x10, x10, #2
        add x10, x10, #'0'
        str w10, [x9]
        // Interrupts masked, x1 to x3 zero, an aligned device tree, the MMU off.
        mrs x10, daif
        cmp x10, #0x3c0
        b.ne off
        orr x1, x1, x2
        orr x1, x1, x3
        and x2, x0, #7
        orr x1, x1, x2
        cbnz x1, off
        mrs x10, currentel
        tbnz x10, #3, 1f
        mrs x10, sctlr_el1
        b 2f
1:      mrs x10, sctlr_el2
2:      tbnz x10, #0, off
        mov w10, #'o'
        str w10, [x9]
        mov w10, #'k'
        str w10, [x9]
        mov w10, #' '
        str w10, [x9]
        adr x11, digits
        ldr w5, [x0, #4]
        rev w5, w5
1:      ldrb w6, [x0], #1
        lsr w7, w6, #4
        ldrb w7, [x11, x7]
        str w7, [x9]
        and w7, w6, #15
        ldrb w7, [x11, x7]
        str w7, [x9]
        subs w5, w5, #1
        b.ne 1b
off:    mov w0, #0x84000000     // PSCI SYSTEM_OFF
        add w0, w0, #8
        smc #0
digits: .ascii "0123456789abcdef"
`;

const image = (text = REPORTING): Uint8Array => {
  const base = VA(0n);
  return toFlat(assemble({ name: 'image.s', text }, { textBase: base }), base);
};

/** An EFI zboot image: `MZ`, `zimg`, payload's offset and size, how it is packed. */
function zboot(payload: Uint8Array, kind = 'gzip'): Uint8Array {
  const bytes = new Uint8Array(64 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x5a4d, true);
  view.setUint32(4, 0x676d_697a, true);
  view.setUint32(8, 64, true);
  view.setUint32(12, payload.length, true);
  bytes.set(new TextEncoder().encode(kind), 24);
  bytes.set(payload, 64);
  return bytes;
}

describe('mtemu boot', () => {
  const files = (kernel: Uint8Array) => ({
    Image: kernel,
    disk: new Uint8Array(5000).fill(0x5a),
    large: new Uint8Array(0x50_0000),
  });
  const boot = (kernel: Uint8Array, ...options: string[]) =>
    mtemu(['boot', '--kernel', 'Image', ...options], files(kernel));

  it('enters an Image as the boot protocol says, however it is packed', async () => {
    for (const kernel of [image(), gzipSync(image()), zboot(gzipSync(image()))]) {
      const outcome = await boot(kernel);
      expect(outcome).toMatchObject({ status: 0, stderr: '' });
      expect(outcome.stdout).toMatch(/^1ok d00dfeed/);
    }
    expect((await boot(image(), '--el', '2')).stdout).toMatch(/^2ok d00dfeed/);
  });

  it('gives the kernel its command line and RAM disk in /chosen', async () => {
    const { stdout } = await boot(image(), '--append', 'console=ttyAMA0 quiet', '--initrd', 'disk');
    const blob = Uint8Array.from(Buffer.from(stdout.slice('1ok '.length), 'hex'));
    const chosen = findNode(readDtb(blob, 'printed'), '/chosen')!.properties;
    expect(new TextDecoder().decode(chosen.get('bootargs'))).toBe('console=ttyAMA0 quiet\0');
    const at = (name: string) => Buffer.from(chosen.get(name)!).readBigUInt64BE();
    const start = at('linux,initrd-start');
    expect(at('linux,initrd-end') - start).toBe(5000n);
    // Above the megabyte that the header asks for.
    expect(start).toBeGreaterThanOrEqual(0x4010_0000n);
    expect(start % 4096n).toBe(0n);
  });

  it('takes code without a header, and ELF files', async () => {
    const flat = image(REPORTING.slice(REPORTING.indexOf('start:')));
    expect((await boot(flat)).stdout).toMatch(/^1ok d00dfeed/);
    const elf = toElf(assemble({ name: 'k.s', text: REPORTING }, { textBase: VA(0x4020_0000n) }));
    expect((await boot(elf)).stdout).toMatch(/^1ok d00dfeed/);
  });

  it('loads an ELF file that is linked high where its program headers put it in physical memory', async () => {
    const elf = toElf(assemble({ name: 'k.s', text: REPORTING }, { textBase: VA(0x4020_0000n) })).slice();
    const view = new DataView(elf.buffer);
    const high = 0xffff_8000_0000_0000n;
    view.setBigUint64(24, view.getBigUint64(24, true) | high, true);
    const table = Number(view.getBigUint64(32, true));
    for (let i = 0; i < view.getUint16(56, true); i++) {
      const at = table + 56 * i + 16;
      view.setBigUint64(at, view.getBigUint64(at, true) | high, true);
    }
    expect((await boot(elf)).stdout).toMatch(/^1ok d00dfeed/);
    // Under the mini-kernel such a program has no place.
    expect((await mtemu(['run', 'k.elf'], { 'k.elf': elf })).stderr).toContain('48-bit addresses');
  });

  it('refuses what cannot be booted', async () => {
    const changed = (at: number, value: bigint) => {
      const bytes = image().slice();
      new DataView(bytes.buffer).setBigUint64(at, value, true);
      return bytes;
    };
    for (const [kernel, message, ...options] of [
      [changed(0x18, 1n), 'this kernel is big-endian'],
      [changed(0x08, 0x1234_5678n), 'its header cannot be: text_offset 0x12345678'],
      [changed(0x10, 1n << 50n), 'image_size 0x4000000000000'],
      [changed(0x10, 1n << 32n), 'is not in DRAM'],
      [gzipSync(image()).subarray(0, 50), 'its gzip data is damaged'],
      [zboot(image(), 'zstd22'), "it is packed with 'zstd22', which is not supported"],
      [new Uint8Array(), 'the file is empty'],
      [image(), 'no room for the initial RAM disk', '--initrd', 'large', '--memory', '8M'],
      [image(), "--el cannot be '3'", '--el', '3'],
    ] as const) {
      const outcome = await boot(kernel, ...options);
      expect(outcome.status).toBe(2);
      expect(outcome.stderr).toContain(message);
      expect(outcome.stderr).not.toMatch(/^ {4}at /m);
    }
    expect((await mtemu(['boot'])).stderr).toContain('which kernel?');
  });
});

/** The kernel of Debian's package, and a static busybox for arm64, where the environment says they are. */
const fileOf = (variable: string): string | undefined => {
  const path = process.env[variable];
  return path !== undefined && existsSync(path) ? path : undefined;
};

describe('an unmodified Linux', () => {
  const kernel = fileOf('MTEMU_LINUX_KERNEL');
  const busybox = fileOf('MTEMU_ARM64_BUSYBOX');

  it.skipIf(kernel === undefined || busybox === undefined)(
    'boots to a shell on the serial line [needs MTEMU_LINUX_KERNEL, MTEMU_ARM64_BUSYBOX]',
    { timeout: 300_000 },
    async () => {
      const disk = makeRamDisk([
        { name: 'dev', mode: 0o40755 },
        { name: 'dev/console', mode: 0o20600, device: [5, 1] },
        { name: 'proc', mode: 0o40755 },
        { name: 'bin', mode: 0o40755 },
        { name: 'bin/busybox', mode: 0o100755, data: readFileSync(busybox!) },
        { name: 'bin/sh', mode: 0o120777, data: 'busybox' },
        {
          name: 'init',
          mode: 0o100755,
          data: '#!/bin/sh\nbusybox mount -t proc proc /proc\nsh\nbusybox poweroff -f\n',
        },
      ]);
      const { status, stdout } = await mtemu(
        [
          ...['boot', '--kernel', 'Image', '--initrd', 'disk', '--max-steps', '3000000000'],
          ...['--append', 'earlycon=pl011,0x9000000 console=ttyAMA0'],
        ],
        { Image: readFileSync(kernel!), disk },
        'echo shell says $((6 * 7))\nbusybox grep -o "mte mte3" /proc/cpuinfo\nexit\n',
      );
      const text = stdout.replaceAll('\r', '');
      expect(text).toMatch(/Booting Linux on physical CPU 0x0+ \[0x[0-9a-f]+\]/);
      expect(text).toContain('psci: PSCIv1.1 detected in firmware.');
      expect(text).toContain('CPU features: detected: Memory Tagging Extension');
      expect(text).toContain('\nshell says 42\n');
      expect(text).toContain('\nmte mte3\n');
      expect(text).toContain('reboot: Power down');
      expect(status).toBe(0);
    },
  );
});

/** Folder of a kvm-unit-tests built for arm64 (`configure --arch=arm64 --cross-prefix=...`, `make`). */
const suite = process.env['MTEMU_KVM_UNIT_TESTS'];

describe('kvm-unit-tests', () => {
  it.skipIf(suite === undefined).each([
    ['sync', 1],
    ['async', 1],
    ['asymm', 1],
  ] as const)(
    'arm/mte passes: %s [needs MTEMU_KVM_UNIT_TESTS]',
    { timeout: 60_000 },
    async (mode, status) => {
      const { stdout } = await mtemu(['boot', '--kernel', 'mte.flat', '--append', mode, '--timeout', '60'], {
        'mte.flat': readFileSync(`${suite}/arm/mte.flat`),
      });
      expect(stdout).toBe(
        `PASS: mte: ${mode}: read\nPASS: mte: ${mode}: write\nSUMMARY: 2 tests\n\nEXIT: STATUS=${status}\n`,
      );
    },
  );
});
