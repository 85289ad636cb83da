/**
 * Arm semihosting: HLT #0xF000 with an operation in W0 and a parameter in X1.
 *
 * Output and exit, which is what bare-metal tests need; other operations answer -1, "not supported".
 *
 * Ref. Semihosting for AArch32 and AArch64, version 2024Q3, operations SYS_WRITEC, SYS_WRITE0, SYS_EXIT,
 * SYS_EXIT_EXTENDED.
 */
import type { Cpu } from '../cpu/cpu.js';

const SYS_WRITEC = 0x03;
const SYS_WRITE0 = 0x04;
const SYS_ERRNO = 0x13;
const SYS_EXIT = 0x18;
const SYS_EXIT_EXTENDED = 0x20;
/** ADP_Stopped_ApplicationExit: a regular exit with a status of its own. */
const APPLICATION_EXIT = 0x20026n;
const FAILED = -1n;
/** A string without an end is cut here. */
const MOST_CHARACTERS = 1 << 20;

/** Gives the handler of a machine; `output` gets the bytes written. */
export function semihosting(
  output: (byte: number) => void,
): (cpu: Cpu, operation: number, argument: bigint) => bigint {
  return (cpu, operation, argument) => {
    switch (operation) {
      case SYS_WRITEC: {
        const byte = cpu.access.peek(argument);
        if (byte !== undefined) output(byte);
        return argument;
      }
      case SYS_WRITE0:
        for (let i = 0; i < MOST_CHARACTERS; i++) {
          const byte = cpu.access.peek(BigInt.asUintN(64, argument + BigInt(i)));
          if (byte === undefined || byte === 0) break;
          output(byte);
        }
        return argument;
      case SYS_ERRNO:
        return 0n;
      case SYS_EXIT:
      case SYS_EXIT_EXTENDED: {
        // On AArch64 both take a block: reason, then subcode.
        const reason = peek64(cpu, argument);
        const subcode = peek64(cpu, argument + 8n);
        const status = reason === APPLICATION_EXIT ? Number((subcode ?? 1n) & 0xffn) : 1;
        cpu.stop = { kind: 'exit', status };
        return 0n;
      }
      default:
        return FAILED;
    }
  };
}

function peek64(cpu: Cpu, va: bigint): bigint | undefined {
  let value = 0n;
  for (let i = 7; i >= 0; i--) {
    const byte = cpu.access.peek(BigInt.asUintN(64, va + BigInt(i)));
    if (byte === undefined) return undefined;
    value = (value << 8n) | BigInt(byte);
  }
  return value;
}
