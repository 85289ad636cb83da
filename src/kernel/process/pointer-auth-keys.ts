/**
 * Pointer authentication keys of user space: each program has its own, threads and children share
 * them, execve and prctl(PR_PAC_RESET_KEYS) make new ones.
 *
 * Ref. arch/arm64/include/asm/pointer_auth.h (ptrauth_keys_user), arch/arm64/kernel/pointer_auth.c.
 */
import type { Random } from '../../base/index.js';
import { EINVAL } from '../contexts/index.js';

/** In the order of PR_PAC_APIAKEY and its neighbours. */
const NAMES = ['apia', 'apib', 'apda', 'apdb', 'apga'] as const;

export interface PointerAuthKeys {
  /** Values of the key registers, low half before high half, in the order of `KEY_REGISTERS`. */
  readonly values: readonly bigint[];
}

export const KEY_REGISTERS: readonly string[] = NAMES.flatMap((name) => [
  `${name}keylo_el1`,
  `${name}keyhi_el1`,
]);

export function newKeys(random: Random): PointerAuthKeys {
  return { values: KEY_REGISTERS.map(() => random.u64()) };
}

/** PR_PAC_RESET_KEYS: those named in `which`, all of them where it is 0; or -EINVAL. */
export function resetKeys(keys: PointerAuthKeys, which: bigint, random: Random): PointerAuthKeys | number {
  const all = (1n << BigInt(NAMES.length)) - 1n;
  if ((which & ~all) !== 0n) return -EINVAL;
  const chosen = which === 0n ? all : which;
  return {
    values: keys.values.map((value, i) => (((chosen >> BigInt(i >> 1)) & 1n) === 1n ? random.u64() : value)),
  };
}
