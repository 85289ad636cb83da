/**
 * System registers whose value is computed: PSTATE fields, banked stack pointers, identification that
 * depends on the CPU, counters and timers, the OS lock, the interrupt interface.
 *
 * Time is the count of executed instructions: the system counter advances by one tick an instruction (of
 * any CPU, where there are several), so that runs repeat exactly. Its frequency is what the board says (1 GHz unless told otherwise), which
 * makes an instruction last a nanosecond.
 *
 * Ref. DDI 0487, D19.2 (general), D12 and D19.12 (generic timer).
 */
import { SCTLR, type SystemRegister } from '../../../isa/index.js';
import { cacheSizeId } from '../caches/index.js';
import type { Cpu } from './cpu.js';
import { interruptStatus } from './interrupts.js';
import { cellOf } from './system-cells.js';
import { counterTicks } from './timers.js';

export interface ComputedRegister {
  /** Undefined: the register is not there after all (no GIC), the access is UNDEFINED. */
  readonly read?: (cpu: Cpu, row: SystemRegister, cell: number) => bigint | undefined;
  /** False: likewise. */
  readonly write?: (cpu: Cpu, value: bigint, row: SystemRegister, cell: number) => boolean;
}

const VPIDR_EL2 = cellOf('vpidr_el2');
const VMPIDR_EL2 = cellOf('vmpidr_el2');
const SCTLR_EL1 = cellOf('sctlr_el1');
const CSSELR_EL1 = cellOf('csselr_el1');
const CNTVOFF_EL2 = cellOf('cntvoff_el2');

const always = (write: (cpu: Cpu, value: bigint) => void) => (cpu: Cpu, value: bigint) => {
  write(cpu, value);
  return true;
};

/** A one-bit PSTATE field at its place in the register. */
function field(
  name: 'pan' | 'uao' | 'dit' | 'ssbs' | 'tco',
  bit: bigint,
): { read: (cpu: Cpu) => bigint; write: (cpu: Cpu, value: bigint) => boolean } {
  return {
    read: (cpu) => BigInt(cpu.pstate[name]) << bit,
    write: always((cpu, value) => {
      cpu.pstate[name] = Number((value >> bit) & 1n);
      cpu.stateChanged();
    }),
  };
}

const stackPointer = (el: 0 | 1 | 2): ComputedRegister => ({
  read: (cpu) => cpu.spOf(el),
  write: always((cpu, value) => cpu.setSpOf(el, value)),
});

/** Uni-processor bit 30 is clear and bit 31 is RES1; Aff0 is the CPU's number. */
export const mpidrOf = (index: number): bigint => 0x8000_0000n | BigInt(index);

/** The system counter: ticks since reset. */
export function physicalCount(cpu: Cpu): bigint {
  return BigInt(counterTicks(cpu));
}

function virtualCount(cpu: Cpu): bigint {
  return BigInt.asUintN(64, physicalCount(cpu) - cpu.cells.get(CNTVOFF_EL2));
}

/** CTL, CVAL and TVAL of one timer. Ref. D12.2.4. */
function timer(stem: string, level: string, count: (cpu: Cpu) => bigint): Record<string, ComputedRegister> {
  const cval = cellOf(`${stem}_cval_${level}`);
  const ctl = cellOf(`${stem}_ctl_${level}`);
  return {
    [`${stem}_ctl_${level}`]: {
      read: (cpu) => {
        const value = cpu.cells.get(ctl) & 3n;
        const met = count(cpu) >= cpu.cells.get(cval);
        return value | ((value & 1n) === 1n && met ? 4n : 0n);
      },
      write: always((cpu, value) => {
        cpu.cells.set(ctl, value & 3n);
        cpu.attention();
      }),
    },
    [`${stem}_tval_${level}`]: {
      read: (cpu) => BigInt.asUintN(32, cpu.cells.get(cval) - count(cpu)),
      write: always((cpu, value) => {
        cpu.cells.set(cval, BigInt.asUintN(64, count(cpu) + BigInt.asIntN(32, value)));
        cpu.attention();
      }),
    },
  };
}

const INTERRUPT_REGISTERS = [
  'icc_pmr_el1',
  'icc_iar0_el1',
  'icc_eoir0_el1',
  'icc_hppir0_el1',
  'icc_bpr0_el1',
  'icc_ap0r0_el1',
  'icc_ap0r1_el1',
  'icc_ap0r2_el1',
  'icc_ap0r3_el1',
  'icc_ap1r0_el1',
  'icc_ap1r1_el1',
  'icc_ap1r2_el1',
  'icc_ap1r3_el1',
  'icc_dir_el1',
  'icc_rpr_el1',
  'icc_sgi1r_el1',
  'icc_asgi1r_el1',
  'icc_sgi0r_el1',
  'icc_iar1_el1',
  'icc_eoir1_el1',
  'icc_hppir1_el1',
  'icc_bpr1_el1',
  'icc_ctlr_el1',
  'icc_sre_el1',
  'icc_igrpen0_el1',
  'icc_igrpen1_el1',
  'icc_sre_el2',
  'icc_ctlr_el3',
  'icc_sre_el3',
  'icc_igrpen1_el3',
  'ich_hcr_el2',
  'ich_vtr_el2',
  'ich_vmcr_el2',
];

const interruptRegister: ComputedRegister = {
  read: (cpu, row) => cpu.environment.interrupts?.read(cpu, row.name),
  write: (cpu, value, row) => cpu.environment.interrupts?.write(cpu, row.name, value) ?? false,
};

export const COMPUTED: Readonly<Record<string, ComputedRegister>> = {
  midr_el1: {
    read: (cpu, row) => (cpu.pstate.el === 1 && cpu.el2Enabled ? cpu.cells.get(VPIDR_EL2) : row.reset),
  },
  mpidr_el1: {
    read: (cpu) => (cpu.pstate.el === 1 && cpu.el2Enabled ? cpu.cells.get(VMPIDR_EL2) : mpidrOf(cpu.index)),
  },
  ccsidr_el1: {
    read: (cpu) => cacheSizeId(cpu.cells.field(CSSELR_EL1, 4, 0), cpu.environment.hasMte2),
  },
  dczid_el0: {
    read: (cpu, row) => row.reset | (cpu.pstate.el === 0 && !cpu.cells.bit(SCTLR_EL1, SCTLR.DZE) ? 16n : 0n),
  },
  rvbar_el3: { read: (cpu) => cpu.environment.resetVector },

  spsel: {
    read: (cpu) => BigInt(cpu.pstate.sp),
    write: always((cpu, value) => cpu.setSpSel(Number(value & 1n) as 0 | 1)),
  },
  currentel: { read: (cpu) => BigInt(cpu.pstate.el << 2) },
  pan: field('pan', 22n),
  uao: field('uao', 23n),
  dit: field('dit', 24n),
  ssbs: field('ssbs', 12n),
  tco: field('tco', 25n),
  nzcv: {
    read: (cpu) => BigInt(cpu.nzcv) << 28n,
    write: always((cpu, value) => {
      cpu.nzcv = Number((value >> 28n) & 15n);
    }),
  },
  daif: {
    read: (cpu) => BigInt(cpu.pstate.daif << 6),
    write: always((cpu, value) => {
      cpu.pstate.daif = Number((value >> 6n) & 15n);
      cpu.attention();
    }),
  },
  sp_el0: stackPointer(0),
  sp_el1: stackPointer(1),
  sp_el2: stackPointer(2),

  isr_el1: { read: interruptStatus },
  // Success is NZCV = 0000. Ref. RNDR.
  rndr: {
    read: (cpu) => {
      cpu.nzcv = 0;
      return cpu.environment.random.u64();
    },
  },
  rndrrs: {
    read: (cpu) => {
      cpu.nzcv = 0;
      return cpu.environment.random.u64();
    },
  },

  cntpct_el0: { read: physicalCount },
  cntpctss_el0: { read: physicalCount },
  cntvct_el0: { read: virtualCount },
  cntvctss_el0: { read: virtualCount },
  ...timer('cntp', 'el0', physicalCount),
  ...timer('cntv', 'el0', virtualCount),
  ...timer('cnthp', 'el2', physicalCount),
  ...timer('cntps', 'el1', physicalCount),

  // OSLM = 10: the OS lock is implemented; its state is the cell of OSLSR. Locked out of reset it is not here.
  oslsr_el1: { read: (cpu, _row, cell) => 8n | (cpu.cells.get(cell) & 2n) },
  oslar_el1: {
    write: always((cpu, value) => {
      cpu.cells.set(cellOf('oslsr_el1'), (value & 1n) << 1n);
      cpu.cellWritten(cellOf('oslsr_el1'));
    }),
  },
  dbgclaimset_el1: {
    read: () => 0xffn,
    write: (cpu, value, _row, cell) => {
      cpu.cells.set(cell, cpu.cells.get(cell) | (value & 0xffn));
      return true;
    },
  },
  dbgclaimclr_el1: {
    read: (cpu) => cpu.cells.get(cellOf('dbgclaimset_el1')) & 0xffn,
    write: always((cpu, value) => {
      const cell = cellOf('dbgclaimset_el1');
      cpu.cells.set(cell, cpu.cells.get(cell) & ~value);
    }),
  },

  ...Object.fromEntries(INTERRUPT_REGISTERS.map((name) => [name, interruptRegister])),
};
