/**
 * Registers that assemblers know by name and the machine does not implement: trace, branch records,
 * performance and activity monitors, statistical profiling, MPAM, SVE and SME controls, FEAT_VHE's
 * second names, Armv8-R protection regions. Their accesses are UNDEFINED here; MRS and MSR of them still
 * assemble and disassemble as binutils 2.40 does.
 *
 * Numbered families are computed from their index, the others listed by op0:op1:CRn.
 *
 * Ref. DDI 0487, D19; IHI 0064 (trace); IHI 0069 (GIC virtual interface).
 */
import { nameOnly, type SystemRegister } from './row.js';

const LISTED = `
  2:0:8 csrcr_el1 0:0, csrptr_el1 0:1, csrptridx_el1 0:3
  2:1:0 trctraceidr 0:1, trcvictlr 0:2, trcprgctlr 1:0, trcqctlr 1:1, trcviiectlr 1:2
  2:1:0 trcprocselr 2:0, trcvissctlr 2:2, trcstatr 3:0, trcvipcssctlr 3:2, trcconfigr 4:0
  2:1:0 trcauxctlr 6:0, trcseqrstevr 6:4, trcseqstr 7:4, trceventctl0r 8:0, trcvdctlr 8:2
  2:1:0 trceventctl1r 9:0, trcvdsacctlr 9:2, trcrsr 10:0, trcvdarcctlr 10:2, trcstallctlr 11:0
  2:1:0 trctsctlr 12:0, trcsyncpr 13:0, trcccctlr 14:0, trcbbctlr 15:0
  2:1:1 trcoslar 0:4, trcoslsr 1:4, trcpdcr 4:4, trcpdsr 5:4
  2:1:3 trccidcctlr0 0:2, trccidcctlr1 1:2, trcvmidcctlr0 2:2, trcvmidcctlr1 3:2
  2:1:7 trcitctrl 0:4, trcdevid 2:7, trcdevtype 3:7, trcclaimset 8:6, trcclaimclr 9:6
  2:1:7 trcdevaff0 10:6, trcdevaff1 11:6, trclar 12:6, trclsr 13:6, trcauthstatus 14:6
  2:1:7 trcdevarch 15:6
  2:1:9 brbcr_el1 0:0, brbfcr_el1 0:1, brbts_el1 0:2, brbinfinj_el1 1:0, brbsrcinj_el1 1:1
  2:1:9 brbtgtinj_el1 1:2, brbidr0_el1 2:0
  2:2:0 teecr32_el1 0:0
  2:2:1 teehbr32_el1 0:0
  2:3:0 dbgdtr_el0 4:0
  2:3:8 csrcr_el0 0:0, csrptr_el0 0:1, csridr_el0 0:2, csrptridx_el0 0:3
  2:4:0 dbgvcr32_el2 7:0
  2:4:8 csrcr_el2 0:0, csrptr_el2 0:1, csrptridx_el2 0:3
  2:4:9 brbcr_el2 0:0
  2:5:8 csrcr_el12 0:0, csrptr_el12 0:1
  2:5:9 brbcr_el12 0:0
  3:0:0 mpuir_el1 0:4
  3:0:1 zcr_el1 2:0, trfcr_el1 2:1, smpri_el1 2:4, smcr_el1 2:6
  3:0:4 allint 3:0
  3:0:5 erridr_el1 3:0, errselr_el1 3:1, erxfr_el1 4:0, erxctlr_el1 4:1, erxstatus_el1 4:2
  3:0:5 erxaddr_el1 4:3, erxpfgf_el1 4:4, erxpfgctl_el1 4:5, erxpfgcdn_el1 4:6, erxmisc0_el1 5:0
  3:0:5 erxmisc1_el1 5:1, erxmisc2_el1 5:2, erxmisc3_el1 5:3
  3:0:6 prenr_el1 1:1, prselr_el1 2:1, prbar_el1 8:0, prlar_el1 8:1
  3:0:9 pmscr_el1 9:0, pmsnevfr_el1 9:1, pmsicr_el1 9:2, pmsirr_el1 9:3, pmsfcr_el1 9:4
  3:0:9 pmsevfr_el1 9:5, pmslatfr_el1 9:6, pmsidr_el1 9:7, pmblimitr_el1 10:0, pmbptr_el1 10:1
  3:0:9 pmbsr_el1 10:3, pmbidr_el1 10:7, trblimitr_el1 11:0, trbptr_el1 11:1, trbbaser_el1 11:2
  3:0:9 trbsr_el1 11:3, trbmar_el1 11:4, trbtrg_el1 11:6, trbidr_el1 11:7, pmintenset_el1 14:1
  3:0:9 pmintenclr_el1 14:2, pmmir_el1 14:6
  3:0:10 mpamidr_el1 4:4, mpam1_el1 5:0, mpam0_el1 5:1, mpamsm_el1 5:3
  3:0:12 rvbar_el1 0:1, rmr_el1 0:2, disr_el1 1:1, icc_nmiar1_el1 9:5
  3:0:13 accdata_el1 0:5, scxtnum_el1 0:7
  3:1:0 ccsidr2_el1 0:2, smidr_el1 0:6
  3:3:4 svcr 2:2, dspsr_el0 5:0, dlr_el0 5:1
  3:3:9 pmcr_el0 12:0, pmcntenset_el0 12:1, pmcntenclr_el0 12:2, pmovsclr_el0 12:3, pmswinc_el0 12:4
  3:3:9 pmselr_el0 12:5, pmceid0_el0 12:6, pmceid1_el0 12:7, pmccntr_el0 13:0, pmxevtyper_el0 13:1
  3:3:9 pmxevcntr_el0 13:2, pmuserenr_el0 14:0, pmovsset_el0 14:3
  3:3:13 tpidr2_el0 0:5, scxtnum_el0 0:7, amcr_el0 2:0, amcfgr_el0 2:1, amcgcr_el0 2:2
  3:3:13 amuserenr_el0 2:3, amcntenclr0_el0 2:4, amcntenset0_el0 2:5, amcg1idr_el0 2:6
  3:3:13 amcntenclr1_el0 3:0, amcntenset1_el0 3:1
  3:3:14 pmccfiltr_el0 15:7
  3:4:0 mpuir_el2 0:4
  3:4:1 hfgrtr_el2 1:4, hfgwtr_el2 1:5, hfgitr_el2 1:6, zcr_el2 2:0, trfcr_el2 2:1, hcrx_el2 2:2
  3:4:1 smprimap_el2 2:5, smcr_el2 2:6, sder32_el2 3:1
  3:4:2 vncr_el2 2:0, vsttbr_el2 6:0, vstcr_el2 6:2
  3:4:3 dacr32_el2 0:0, hdfgrtr_el2 1:4, hdfgwtr_el2 1:5, hafgrtr_el2 1:6
  3:4:4 spsr_irq 3:0, spsr_abt 3:1, spsr_und 3:2, spsr_fiq 3:3
  3:4:5 ifsr32_el2 0:1, vsesr_el2 2:3, fpexc32_el2 3:0
  3:4:6 prenr_el2 1:1, prselr_el2 2:1, prbar_el2 8:0, prlar_el2 8:1
  3:4:9 pmscr_el2 9:0
  3:4:10 mpamhcr_el2 4:0, mpamvpmv_el2 4:1, mpam2_el2 5:0, mpamvpm0_el2 6:0, mpamvpm1_el2 6:1
  3:4:10 mpamvpm2_el2 6:2, mpamvpm3_el2 6:3, mpamvpm4_el2 6:4, mpamvpm5_el2 6:5, mpamvpm6_el2 6:6
  3:4:10 mpamvpm7_el2 6:7
  3:4:12 rvbar_el2 0:1, rmr_el2 0:2, vdisr_el2 1:1, ich_misr_el2 11:2, ich_eisr_el2 11:3
  3:4:12 ich_elrsr_el2 11:5
  3:4:13 scxtnum_el2 0:7
  3:4:14 cntpoff_el2 0:6, cnthv_tval_el2 3:0, cnthv_ctl_el2 3:1, cnthv_cval_el2 3:2
  3:4:14 cnthvs_tval_el2 4:0, cnthvs_ctl_el2 4:1, cnthvs_cval_el2 4:2, cnthps_tval_el2 5:0
  3:4:14 cnthps_ctl_el2 5:1, cnthps_cval_el2 5:2
  3:5:1 sctlr_el12 0:0, cpacr_el12 0:2, zcr_el12 2:0, trfcr_el12 2:1, smcr_el12 2:6
  3:5:2 ttbr0_el12 0:0, ttbr1_el12 0:1, tcr_el12 0:2
  3:5:4 spsr_el12 0:0, elr_el12 0:1
  3:5:5 afsr0_el12 1:0, afsr1_el12 1:1, esr_el12 2:0, tfsr_el12 6:0
  3:5:6 far_el12 0:0
  3:5:9 pmscr_el12 9:0
  3:5:10 mair_el12 2:0, amair_el12 3:0, mpam1_el12 5:0
  3:5:12 vbar_el12 0:0
  3:5:13 contextidr_el12 0:1, scxtnum_el12 0:7
  3:5:14 cntkctl_el12 1:0, cntp_tval_el02 2:0, cntp_ctl_el02 2:1, cntp_cval_el02 2:2
  3:5:14 cntv_tval_el02 3:0, cntv_ctl_el02 3:1, cntv_cval_el02 3:2
  3:6:1 sder32_el3 1:1, zcr_el3 2:0, smcr_el3 2:6
  3:6:2 gptbr_el3 1:4, gpccr_el3 1:6
  3:6:6 mfar_el3 0:5
  3:6:10 mpam3_el3 5:0
  3:6:13 scxtnum_el3 0:7
`;

function listed(): SystemRegister[] {
  const out: SystemRegister[] = [];
  for (const line of LISTED.trim().split('\n')) {
    const [, prefix, names] = /^\s*(\S+) (.*)$/.exec(line)!;
    for (const entry of names!.split(', ')) {
      const [name, rest] = entry.split(' ') as [string, string];
      out.push(nameOnly(name, `${prefix}:${rest}`));
    }
  }
  return out;
}

/** Members `from` to `to` of a family; `place` gives CRm:op2 or CRn:CRm:op2 behind `prefix`. */
function family(
  name: (n: number) => string,
  from: number,
  to: number,
  place: (n: number) => string,
): SystemRegister[] {
  return Array.from({ length: to - from + 1 }, (_, i) => nameOnly(name(from + i), place(from + i)));
}

const debug = [
  ...family(
    (n) => `dbgbvr${n}_el1`,
    6,
    15,
    (n) => `2:0:0:${n}:4`,
  ),
  ...family(
    (n) => `dbgbcr${n}_el1`,
    6,
    15,
    (n) => `2:0:0:${n}:5`,
  ),
  ...family(
    (n) => `dbgwvr${n}_el1`,
    4,
    15,
    (n) => `2:0:0:${n}:6`,
  ),
  ...family(
    (n) => `dbgwcr${n}_el1`,
    4,
    15,
    (n) => `2:0:0:${n}:7`,
  ),
  nameOnly('dbgdtrrx_el0', '2:3:0:5:0', 'ro'),
  nameOnly('dbgdtrtx_el0', '2:3:0:5:0', 'wo'),
];

/** Address and context comparators stand at every second CRm, the upper half one op2 further. */
const comparator = (stem: string, count: number, crn: number, op2: number, wrap: number) =>
  family(
    (n) => `${stem}${n}`,
    0,
    count - 1,
    (n) => `2:1:${crn}:${2 * (n % wrap) * (8 / wrap)}:${op2 + Math.floor(n / wrap)}`,
  );

const trace = [
  ...family(
    (n) => `trcseqevr${n}`,
    0,
    2,
    (n) => `2:1:0:${n}:4`,
  ),
  ...family(
    (n) => `trccntrldvr${n}`,
    0,
    3,
    (n) => `2:1:0:${n}:5`,
  ),
  ...family(
    (n) => `trccntctlr${n}`,
    0,
    3,
    (n) => `2:1:0:${4 + n}:5`,
  ),
  ...family(
    (n) => `trccntvr${n}`,
    0,
    3,
    (n) => `2:1:0:${8 + n}:5`,
  ),
  ...family(
    (n) => `trcextinselr${n}`,
    0,
    3,
    (n) => `2:1:0:${8 + n}:4`,
  ),
  ...family(
    (n) => `trcimspec${n}`,
    0,
    7,
    (n) => `2:1:0:${n}:7`,
  ),
  ...family(
    (n) => `trcidr${n}`,
    0,
    7,
    (n) => `2:1:0:${8 + n}:7`,
  ),
  ...family(
    (n) => `trcidr${n}`,
    8,
    13,
    (n) => `2:1:0:${n - 8}:6`,
  ),
  ...family(
    (n) => `trcrsctlr${n}`,
    2,
    15,
    (n) => `2:1:1:${n}:0`,
  ),
  ...family(
    (n) => `trcrsctlr${n}`,
    16,
    31,
    (n) => `2:1:1:${n - 16}:1`,
  ),
  ...family(
    (n) => `trcssccr${n}`,
    0,
    7,
    (n) => `2:1:1:${n}:2`,
  ),
  ...family(
    (n) => `trcsscsr${n}`,
    0,
    7,
    (n) => `2:1:1:${8 + n}:2`,
  ),
  ...family(
    (n) => `trcsspcicr${n}`,
    0,
    7,
    (n) => `2:1:1:${n}:3`,
  ),
  ...comparator('trcacvr', 16, 2, 0, 8),
  ...comparator('trcacatr', 16, 2, 2, 8),
  ...comparator('trcdvcvr', 8, 2, 4, 4),
  ...comparator('trcdvcmr', 8, 2, 6, 4),
  ...comparator('trccidcvr', 8, 3, 0, 8),
  ...comparator('trcvmidcvr', 8, 3, 1, 8),
  ...family(
    (n) => `trcpidr${n}`,
    0,
    3,
    (n) => `2:1:7:${8 + n}:7`,
  ),
  ...family(
    (n) => `trcpidr${n}`,
    4,
    7,
    (n) => `2:1:7:${n}:7`,
  ),
  ...family(
    (n) => `trccidr${n}`,
    0,
    3,
    (n) => `2:1:7:${12 + n}:7`,
  ),
];

const branchRecords = (['inf', 'src', 'tgt'] as const).flatMap((part, i) =>
  family(
    (n) => `brb${part}${n}_el1`,
    0,
    31,
    (n) => `2:1:8:${n % 16}:${i + (n < 16 ? 0 : 4)}`,
  ),
);

const monitors = [
  ...family(
    (n) => `pmevcntr${n}_el0`,
    0,
    30,
    (n) => `3:3:14:${8 + (n >> 3)}:${n & 7}`,
  ),
  ...family(
    (n) => `pmevtyper${n}_el0`,
    0,
    30,
    (n) => `3:3:14:${12 + (n >> 3)}:${n & 7}`,
  ),
  ...family(
    (n) => `amevcntr0${n}_el0`,
    0,
    3,
    (n) => `3:3:13:4:${n}`,
  ),
  ...family(
    (n) => `amevtyper0${n}_el0`,
    0,
    3,
    (n) => `3:3:13:6:${n}`,
  ),
  ...family(
    (n) => `amevcntr1${n}_el0`,
    0,
    15,
    (n) => `3:3:13:${12 + (n >> 3)}:${n & 7}`,
  ),
  ...family(
    (n) => `amevtyper1${n}_el0`,
    0,
    15,
    (n) => `3:3:13:${14 + (n >> 3)}:${n & 7}`,
  ),
  ...family(
    (n) => `amevcntvoff0${n}_el2`,
    0,
    15,
    (n) => `3:4:13:${8 + (n >> 3)}:${n & 7}`,
  ),
  ...family(
    (n) => `amevcntvoff1${n}_el2`,
    0,
    15,
    (n) => `3:4:13:${10 + (n >> 3)}:${n & 7}`,
  ),
];

const regions = ([1, 2] as const).flatMap((el) =>
  (['prbar', 'prlar'] as const).flatMap((stem, i) =>
    family(
      (n) => `${stem}${n}_el${el}`,
      1,
      15,
      (n) => `3:${el === 1 ? 0 : 4}:6:${8 + (n >> 1)}:${4 * (n & 1) + i}`,
    ),
  ),
);

const virtualInterface = [
  ...family(
    (n) => `ich_ap0r${n}_el2`,
    0,
    3,
    (n) => `3:4:12:8:${n}`,
  ),
  ...family(
    (n) => `ich_ap1r${n}_el2`,
    0,
    3,
    (n) => `3:4:12:9:${n}`,
  ),
  ...family(
    (n) => `ich_lr${n}_el2`,
    0,
    15,
    (n) => `3:4:12:${12 + (n >> 3)}:${n & 7}`,
  ),
];

export const NAMED_REGISTERS: readonly SystemRegister[] = [
  ...listed(),
  ...debug,
  ...trace,
  ...branchRecords,
  ...monitors,
  ...regions,
  ...virtualInterface,
];
