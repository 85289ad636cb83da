/**
 * seccomp: strict mode, and filters that classic BPF programs are.
 *
 * All filters of a thread run, the one that was installed last first; the answer of highest precedence counts.
 * SECCOMP_RET_USER_NOTIF is not offered.
 *
 * Ref. kernel/seccomp.c (seccomp_check_filter, seccomp_run_filters, __seccomp_filter), net/core/filter.c
 * (bpf_check_classic), include/uapi/linux/{seccomp,filter,bpf_common}.h.
 */
import { EINVAL } from '../contexts/index.js';

export const SECCOMP = { DISABLED: 0, STRICT: 1, FILTER: 2 } as const;

/** What a filter answers, in its upper half; the lower is data. */
export const SECCOMP_RET = {
  KILL_PROCESS: 0x80000000,
  KILL_THREAD: 0,
  TRAP: 0x00030000,
  ERRNO: 0x00050000,
  TRACE: 0x7ff00000,
  LOG: 0x7ffc0000,
  ALLOW: 0x7fff0000,
} as const;
const ACTION = 0xffff0000;
/** read, write, exit, rt_sigreturn. */
export const STRICT_CALLS: ReadonlySet<number> = new Set([63, 64, 93, 139]);

/** BPF_MAXINSNS, and instructions of all filters of a thread. */
export const MOST_INSTRUCTIONS = 4096;
export const MOST_PATH = 32768;
const MEMORY_WORDS = 16;
/** struct seccomp_data: number, architecture, address of the call, six arguments. */
const DATA_BYTES = 64;

/** struct sock_filter. */
export interface BpfInstruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export interface SeccompFilter {
  readonly program: readonly BpfInstruction[];
  /** SECCOMP_FILTER_FLAG_LOG. */
  readonly log: boolean;
}

const BPF = {
  LD_W_ABS: 0x20,
  LD_IMM: 0x00,
  LD_MEM: 0x60,
  LD_LEN: 0x80,
  LDX_IMM: 0x01,
  LDX_MEM: 0x61,
  LDX_LEN: 0x81,
  ST: 0x02,
  STX: 0x03,
  RET_K: 0x06,
  RET_A: 0x16,
  TAX: 0x07,
  TXA: 0x87,
  JA: 0x05,
} as const;

/** ALU operations by bits 7:4 of the code; class 4, source K (0) or X (8). */
const ALU: ReadonlyMap<number, (a: number, b: number) => number> = new Map([
  [0x00, (a, b) => a + b],
  [0x10, (a, b) => a - b],
  [0x20, (a, b) => Math.imul(a, b)],
  [0x30, (a, b) => Math.floor(a / b)],
  [0x40, (a, b) => a | b],
  [0x50, (a, b) => a & b],
  [0x60, (a, b) => (b < 32 ? a << b : 0)],
  [0x70, (a, b) => (b < 32 ? a >>> b : 0)],
  [0x80, (a) => -a],
  [0xa0, (a, b) => a ^ b],
]);
const ALU_DIV = 0x30;
const ALU_SHIFTS: ReadonlySet<number> = new Set([0x60, 0x70]);
/** Comparisons of class 5: JEQ, JGT, JGE, JSET. */
const JUMPS: ReadonlyMap<number, (a: number, b: number) => boolean> = new Map([
  [0x10, (a, b) => a === b],
  [0x20, (a, b) => a > b],
  [0x30, (a, b) => a >= b],
  [0x40, (a, b) => (a & b) !== 0],
]);

const SIMPLE: ReadonlySet<number> = new Set([
  BPF.LD_IMM,
  BPF.LD_LEN,
  BPF.LDX_IMM,
  BPF.LDX_LEN,
  BPF.RET_K,
  BPF.RET_A,
  BPF.TAX,
  BPF.TXA,
]);
const MEMORY: ReadonlySet<number> = new Set([BPF.LD_MEM, BPF.LDX_MEM, BPF.ST, BPF.STX]);

function isValid({ code, jt, jf, k }: BpfInstruction, at: number, length: number): boolean {
  if (SIMPLE.has(code)) return true;
  if (MEMORY.has(code)) return k < MEMORY_WORDS;
  if (code === BPF.LD_W_ABS) return k < DATA_BYTES && k % 4 === 0;
  if (code === BPF.JA) return k < length - at - 1;
  const operation = code & 0xf0;
  const usesX = (code & 8) !== 0;
  if ((code & ~0xf8) === 5) return JUMPS.has(operation) && at + Math.max(jt, jf) + 1 < length;
  if ((code & ~0xf8) !== 4 || !ALU.has(operation)) return false;
  if (usesX) return operation !== 0x80;
  return !(operation === ALU_DIV && k === 0) && !(ALU_SHIFTS.has(operation) && k >= 32);
}

/** bpf_check_classic() and seccomp_check_filter(): 0 or -EINVAL. Jumps go forwards only, so that every program ends. */
export function checkFilter(program: readonly BpfInstruction[]): number {
  if (program.length === 0 || program.length > MOST_INSTRUCTIONS) return -EINVAL;
  const last = program.at(-1)?.code;
  if (last !== BPF.RET_K && last !== BPF.RET_A) return -EINVAL;
  return program.every((instruction, at) => isValid(instruction, at, program.length)) ? 0 : -EINVAL;
}

/** Runs a checked program on struct seccomp_data. */
function runFilter(program: readonly BpfInstruction[], data: DataView): number {
  const memory = new Uint32Array(MEMORY_WORDS);
  let a = 0;
  let x = 0;
  for (let pc = 0; ; pc++) {
    const { code, jt, jf, k } = program[pc]!;
    const operand = (code & 8) !== 0 ? x : k;
    switch (code) {
      case BPF.LD_W_ABS:
        a = data.getUint32(k, true);
        continue;
      case BPF.LD_IMM:
        a = k;
        continue;
      case BPF.LD_LEN:
        a = DATA_BYTES;
        continue;
      case BPF.LD_MEM:
        a = memory[k]!;
        continue;
      case BPF.LDX_IMM:
        x = k;
        continue;
      case BPF.LDX_LEN:
        x = DATA_BYTES;
        continue;
      case BPF.LDX_MEM:
        x = memory[k]!;
        continue;
      case BPF.ST:
        memory[k] = a;
        continue;
      case BPF.STX:
        memory[k] = x;
        continue;
      case BPF.TAX:
        x = a;
        continue;
      case BPF.TXA:
        a = x;
        continue;
      case BPF.RET_K:
        return k;
      case BPF.RET_A:
        return a;
      case BPF.JA:
        pc += k;
        continue;
      default: {
        const operation = code & 0xf0;
        if ((code & 7) === 5) {
          pc += JUMPS.get(operation)!(a, operand) ? jt : jf;
        } else {
          // A division by a zero in X ends the program.
          if (operation === ALU_DIV && operand === 0) return 0;
          a = ALU.get(operation)!(a, operand) >>> 0;
        }
      }
    }
  }
}

/** seccomp_run_filters(): the answer that counts. `data`: struct seccomp_data. */
export function seccompAnswer(filters: readonly SeccompFilter[], data: DataView): number {
  let answer: number = SECCOMP_RET.ALLOW;
  for (const { program } of filters) {
    const own = runFilter(program, data) >>> 0;
    // As signed numbers: KILL_PROCESS before all, then the lowest.
    if ((own & ACTION) < (answer & ACTION)) answer = own;
  }
  return answer;
}
