/**
 * PSCI: switching CPUs on and off, and the machine, by SMC or HVC.
 *
 * The calls are answered by the board's firmware in the machine, as on boards whose firmware is out of
 * sight; CPUs that are switched on start in the firmware's code at EL3 (firmware/boot.s,
 * `secondary_start`), which brings them to the caller's level. Every other function identifier, fast or
 * yielding, gets NOT_SUPPORTED, as the SMC calling convention has it.
 *
 * Ref. DEN 0022 (PSCI 1.1), DEN 0028 (SMC calling convention).
 */
import type { Cpu } from '../cpu/cpu.js';

const SUCCESS = 0n;
const NOT_SUPPORTED = -1n;
const INVALID_PARAMETERS = -2n;
const ALREADY_ON = -4n;

const SMCCC_VERSION = 0x8000_0000;
const PSCI_VERSION = 0x8400_0000;
const CPU_SUSPEND = 0x8400_0001;
const CPU_OFF = 0x8400_0002;
const CPU_ON = 0x8400_0003;
const AFFINITY_INFO = 0x8400_0004;
const MIGRATE_INFO_TYPE = 0x8400_0006;
const SYSTEM_OFF = 0x8400_0008;
const SYSTEM_RESET = 0x8400_0009;
const PSCI_FEATURES = 0x8400_000a;
/** Bit 30: the arguments are 64 bits. */
const SMC64 = 0x4000_0000;

const SUPPORTED: ReadonlySet<number> = new Set([
  SMCCC_VERSION,
  PSCI_VERSION,
  CPU_SUSPEND,
  CPU_SUSPEND + SMC64,
  CPU_OFF,
  CPU_ON,
  CPU_ON + SMC64,
  AFFINITY_INFO,
  AFFINITY_INFO + SMC64,
  MIGRATE_INFO_TYPE,
  SYSTEM_OFF,
  SYSTEM_RESET,
  PSCI_FEATURES,
]);

export interface PsciOptions {
  /** The level CPUs start at: 1 or 2. */
  readonly level: 1 | 2;
  /** Firmware's entry for CPUs that are switched on: X0 context, X1 entry point, X2 level. */
  readonly secondaryEntry: bigint;
}

/** Gives the machine's answer to SMC and HVC; for `CpuEnvironment.firmwareCall`. */
export function psci(options: PsciOptions): (cpu: Cpu, kind: 'smc' | 'hvc') => boolean {
  return (cpu, kind) => {
    // A hypervisor's guests call the hypervisor.
    if (kind === 'hvc' && options.level === 2) return false;
    const call = Number(BigInt.asUintN(32, cpu.readX(0)));
    const wide = (call & SMC64) !== 0;
    const argument = (n: number) => (wide ? cpu.readX(n) : BigInt.asUintN(32, cpu.readX(n)));
    const result = SUPPORTED.has(call) ? perform(cpu, options, call, argument) : NOT_SUPPORTED;
    if (result !== undefined) cpu.writeX(0, BigInt.asUintN(64, result));
    return true;
  };
}

/** Undefined: the call does not return. */
function perform(
  cpu: Cpu,
  options: PsciOptions,
  call: number,
  argument: (n: number) => bigint,
): bigint | undefined {
  const cpus = cpu.environment.cpus();
  const named = () => cpus.find((c) => BigInt(c.index) === (argument(1) & 0xff_00ff_ffffn));
  switch (call & ~SMC64) {
    case SMCCC_VERSION & ~SMC64:
      return 0x1_0001n;
    case PSCI_VERSION & ~SMC64:
      return 0x1_0001n;
    case MIGRATE_INFO_TYPE & ~SMC64:
      // No trusted OS that could be in the way.
      return 2n;
    case PSCI_FEATURES & ~SMC64:
      return SUPPORTED.has(Number(BigInt.asUintN(32, cpu.readX(1)))) ? SUCCESS : NOT_SUPPORTED;
    case CPU_SUSPEND & ~SMC64:
      // Every state is standby here: return at the next wake-up.
      cpu.waiting = 'interrupt';
      cpu.stop ??= { kind: 'wait' };
      return SUCCESS;
    case CPU_OFF & ~SMC64:
      cpu.powered = false;
      cpu.stop ??= { kind: 'wait' };
      return undefined;
    case CPU_ON & ~SMC64: {
      const target = named();
      if (target === undefined) return INVALID_PARAMETERS;
      if (target.powered) return ALREADY_ON;
      start(target, options, argument(2), argument(3));
      return SUCCESS;
    }
    case AFFINITY_INFO & ~SMC64: {
      const target = named();
      if (target === undefined || argument(2) !== 0n) return INVALID_PARAMETERS;
      return target.powered ? 0n : 1n;
    }
    case SYSTEM_OFF & ~SMC64:
      cpu.stop = { kind: 'exit', status: 0 };
      return undefined;
    case SYSTEM_RESET & ~SMC64:
      cpu.stop = { kind: 'exit', status: 0, reset: true };
      return undefined;
    default:
      return NOT_SUPPORTED;
  }
}

function start(cpu: Cpu, { level, secondaryEntry }: PsciOptions, entry: bigint, context: bigint): void {
  cpu.writeRegister('sctlr_el3', 0x30c5_0830n);
  cpu.setLevel(3, 1);
  cpu.pstate.daif = 0xf;
  cpu.pstate.il = 0;
  cpu.pc = secondaryEntry;
  cpu.writeX(0, context);
  cpu.writeX(1, entry);
  cpu.writeX(2, BigInt(level));
  cpu.waiting = undefined;
  cpu.powered = true;
  cpu.refreshContext();
}
