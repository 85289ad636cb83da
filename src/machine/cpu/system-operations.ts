/**
 * SYS instructions: cache maintenance, TLB maintenance, address translation.
 *
 * TLB maintenance is by effect: an operation drops at least what it names, in every CPU. Cache
 * maintenance goes to the memory system, which has work for it only where caches are modelled.
 *
 * Ref. DDI 0487, C5.3 (DC, IC, AT), C5.5 (TLBI), D8.13 (TLB maintenance), D19.2.100 (PAR_EL1).
 */

import { HCR, type SystemOperation } from '../../../isa/index.js';
import type { MaintenanceKind } from '../memory/memory-system.js';
import { isFault } from '../mmu/index.js';
import { AT_FORMS } from './at-forms.js';
import type { Cpu } from './cpu.js';
import { ISS_CM, ISS_WNR } from './exception.js';
import { cellOf } from './system-cells.js';

const PAR_EL1 = cellOf('par_el1');
const LINE = 64;

export function performOperation(cpu: Cpu, operation: SystemOperation, value: bigint): void {
  switch (operation.group) {
    case 'tlbi':
      for (const other of cpu.environment.cpus()) invalidate(other, operation.name, value);
      return;
    case 'dc':
      dataCache(cpu, operation.name, value);
      return;
    case 'ic':
      if (operation.name === 'ivau') {
        const pa = cpu.access.maintenanceAddress(value, false, ISS_CM | ISS_WNR);
        cpu.memory.invalidateInstructions(pa - (pa % LINE), LINE);
      } else {
        cpu.memory.invalidateInstructions();
      }
      return;
    case 'at':
      translate(cpu, operation.name, value);
      return;
    default:
      // CFP, DVP, CPP: there is no prediction to restrict.
      return;
  }
}

// ---- TLBI ------------------------------------------------------------------------------------------

/** By address: `vae1`, `vaae1`, `vale1`, `vaale1`, `vae2`, `vale2`, `vae3`, `vale3`, with is/os or not. */
const BY_ADDRESS = /^va(a?l?)e[123](is|os)?$/;
const BY_RANGE = /^rva(a?l?)e[123](is|os)?$/;

function invalidate(cpu: Cpu, name: string, value: bigint): void {
  if (BY_ADDRESS.test(name)) {
    // Bits 43:0 are VA[55:12].
    cpu.mmu.flushRange(BigInt.asIntN(56, (value & 0xfff_ffff_ffffn) << 12n), 4096);
    return;
  }
  if (BY_RANGE.test(name)) {
    const shift = [12, 12, 14, 16][Number((value >> 46n) & 3n)]!;
    const scale = Number((value >> 44n) & 3n);
    const number = Number((value >> 39n) & 31n);
    const bytes = (number + 1) * 2 ** (5 * scale + 1) * 2 ** shift;
    const base = BigInt.asIntN(37, value) << BigInt(shift);
    cpu.mmu.flushRange(base, bytes);
    return;
  }
  cpu.mmu.flushAll();
}

// ---- DC --------------------------------------------------------------------------------------------

interface Maintenance {
  readonly kind: MaintenanceKind;
  readonly data: boolean;
  readonly tags: boolean;
}

/** `cigdvac`: operation `ci`, on tags (`g`), tags and data (`gd`) or data. */
function parseMaintenance(name: string): Maintenance | undefined {
  const match = /^(i|c|ci)(g|gd)?(vac|vau|vap|vadp|sw)$/.exec(name);
  if (match === null) return undefined;
  const kind = match[1] === 'i' ? 'invalidate' : match[1] === 'c' ? 'clean' : 'clean-invalidate';
  return { kind, data: match[2] !== 'g', tags: match[2] !== undefined };
}

function dataCache(cpu: Cpu, name: string, value: bigint): void {
  if (name === 'zva') {
    cpu.access.zeroBlock(value);
    return;
  }
  if (name === 'gva' || name === 'gzva') {
    cpu.access.tagBlock(value, name === 'gzva');
    return;
  }
  const maintenance = parseMaintenance(name);
  if (maintenance === undefined) return;
  const { data, tags } = maintenance;
  let { kind } = maintenance;
  if (name.endsWith('sw')) {
    if (kind === 'invalidate' && cpu.pstate.el === 1 && cpu.hcrBit(HCR.SWIO)) kind = 'clean-invalidate';
    if (data) cpu.memory.maintainDataSetWay(kind, value);
    if (tags) cpu.memory.maintainTagsSetWay(kind, value);
    return;
  }
  // DC IVAC needs write permission, the others read permission; faults say CM and WnR.
  const pa = cpu.access.maintenanceAddress(value, kind === 'invalidate', ISS_CM | ISS_WNR);
  // A guest of EL2 must not uncover what was there before it: its invalidates clean first.
  const isGuest = cpu.pstate.el === 1 && (cpu.hcrBit(HCR.VM) || cpu.hcrBit(HCR.DC));
  if (kind === 'invalidate' && isGuest) kind = 'clean-invalidate';
  const line = pa - (pa % LINE);
  if (data) cpu.memory.maintainData(kind, line, LINE);
  if (tags) cpu.memory.maintainTags(kind, line, LINE);
}

// ---- AT --------------------------------------------------------------------------------------------

function translate(cpu: Cpu, name: string, va: bigint): void {
  const form = AT_FORMS[name];
  if (form === undefined) return;
  const result = cpu.mmu.probe(form.regime, {
    low: Number(BigInt.asUintN(32, va)) | 0,
    high: Number(BigInt.asUintN(32, va >> 32n)) | 0,
    intent: form.write ? 'write' : 'read',
    user: form.user,
    pan: form.pan && cpu.pstate.pan === 1,
    stage1Only: form.stage1Only,
  });
  let par: bigint;
  if (isFault(result)) {
    // F, FST, PTW (a stage 2 fault on a walk), S (a stage 2 fault); bit 11 is RES1.
    const stage2 = result.stage2;
    par =
      1n |
      (BigInt(result.status) << 1n) |
      (stage2?.duringWalk ? 1n << 8n : 0n) |
      (stage2 !== undefined ? 1n << 9n : 0n) |
      (1n << 11n);
  } else {
    const page = BigInt(result.pa - (result.pa % 4096));
    const shareability = result.type === 'device' ? 2 : result.shareability;
    const nonSecure = form.regime !== 'el3' && cpu.isNonSecure ? 1n << 9n : 0n;
    par = page | (BigInt(shareability) << 7n) | nonSecure | (1n << 11n) | (BigInt(result.attributes) << 56n);
  }
  cpu.cells.set(PAR_EL1, par);
}
