/**
 * Memory attribute indices and MAIR_EL1's value (arch/arm64/include/asm/memory.h; Arm ARM D24.2.109).
 *
 * The kernel's entries name an index; what the index means stands in MAIR_EL1, which boot code must
 * set to `MAIR_EL1_SET`.
 */

/** AttrIndx of ordinary memory: Normal, write-back. */
export const MT_NORMAL = 0;
/** AttrIndx of memory whose tags are valid and checked. */
export const MT_NORMAL_TAGGED = 1;
/** AttrIndx of devices: Device-nGnRE. */
export const MT_DEVICE_nGnRE = 2;

export const MAIR_ATTR_NORMAL = 0xff;
export const MAIR_ATTR_NORMAL_TAGGED = 0xf0;
export const MAIR_ATTR_DEVICE_nGnRE = 0x04;

/** The value of MAIR_EL1 that goes with the indices. */
export const MAIR_EL1_SET =
  (BigInt(MAIR_ATTR_NORMAL) << BigInt(8 * MT_NORMAL)) |
  (BigInt(MAIR_ATTR_NORMAL_TAGGED) << BigInt(8 * MT_NORMAL_TAGGED)) |
  (BigInt(MAIR_ATTR_DEVICE_nGnRE) << BigInt(8 * MT_DEVICE_nGnRE));
