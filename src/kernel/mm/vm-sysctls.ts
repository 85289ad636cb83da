/**
 * The values of /proc/sys/vm, for those that go by them; what they may be, and what a change does, is in sysctl.ts.
 */
export const OVERCOMMIT_GUESS = 0;
export const OVERCOMMIT_ALWAYS = 1;
export const OVERCOMMIT_NEVER = 2;

/** The values, each with the default that it has before memory is known. */
export class VmSysctls {
  readonly adminReserveKbytes = [8192];
  readonly compactUnevictableAllowed = [1];
  readonly compactionProactiveness = [20];
  readonly dirtyBackgroundBytes = [0];
  readonly dirtyBackgroundRatio = [10];
  readonly dirtyBytes = [0];
  readonly dirtyExpireCentisecs = [3000];
  readonly dirtyRatio = [20];
  readonly dirtyWritebackCentisecs = [500];
  readonly extfragThreshold = [500];
  /** By zone; 0 reserves nothing. */
  readonly lowmemReserveRatio = [256, 32, 0];
  readonly maxMapCount = [65530];
  readonly minFreeKbytes = [0];
  /** kernel.numa_balancing: 0 never, else where there are several nodes. */
  readonly numaBalancing = [1];
  readonly overcommitKbytes = [0];
  readonly overcommitMemory = [OVERCOMMIT_GUESS];
  readonly overcommitRatio = [50];
  readonly percpuPagelistHighFraction = [0];
  readonly swappiness = [60];
  readonly userReserveKbytes = [131072];
  readonly watermarkBoostFactor = [15000];
  readonly watermarkScaleFactor = [10];
  /** user_min_free_kbytes: what somebody wrote to min_free_kbytes; -1 while nobody has. */
  userMinFreeKbytes = -1;
}
