/**
 * A bare program that starts at EL3 and goes down and up the levels. QEMU runs the same image and prints
 * the same.
 */
import { describe, expect, it } from 'vitest';
import { assembleBare, asText, EL3_BASE, qemuVersion, repositoryText, runImage, runOnQemu } from './bare.js';

const image = () => assembleBare(repositoryText('test/machine/programs/levels.s'), 'levels.s', EL3_BASE);

const EXPECTED = `start at 0xc
then 0x8
smc: el3 vector 0x8 esr 0x5e000005
scr_el3 from EL2: el2 vector 0x4 esr 0x2000000
illegal return: el2 vector 0x4 esr 0x3a000000
to EL1 now 0x4
hvc: el2 vector 0x8 esr 0x5a000009
smc: el3 vector 0x8 esr 0x5e000006
gcr_el1, kept by EL3: el3 vector 0x8 esr 0x5e000002 el3 vector 0x8 esr 0x623c0421
and by EL2: el3 vector 0x8 esr 0x5e000001 el2 vector 0x8 esr 0x5a000001 el2 vector 0x8 esr 0x623c0421 el2 vector 0x8 esr 0x5a000002
as its own:0x1ffff
smc kept by EL2: el2 vector 0x8 esr 0x5a000003 el2 vector 0x8 esr 0x5e000007 el2 vector 0x8 esr 0x5a000002
smc disabled: el3 vector 0x8 esr 0x5e000003 el1 vector 0x4 esr 0x2000000
udf at EL1: el1 vector 0x4 esr 0x2000000
vttbr_el2 from EL1: el1 vector 0x4 esr 0x2000000
end
[exit 0]`;

describe('a bare program at EL3', () => {
  it('goes down to EL1, and comes up through its vectors', () => {
    expect(asText(runImage(image(), { level: 3 }))).toBe(EXPECTED);
  });

  it.skipIf(qemuVersion < 8)('does the same on QEMU [needs qemu-system-aarch64 8]', () => {
    const machine = 'virt,secure=on,virtualization=on,gic-version=3,mte=on';
    expect(runOnQemu(image(), machine)).toBe(EXPECTED);
  });
});
