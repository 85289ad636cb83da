/**
 * Signals that files send: SIGIO or another to whoever owns a file's events, with what happened and where.
 *
 * Ref. fs/fcntl.c (f_setown, f_setown_ex, send_sigio, sigio_perm).
 */
import { EINVAL, ESRCH } from '../contexts/index.js';
import type { FileOwner, OpenFile } from '../fs/index.js';
import { SIGNAL, signalName } from './abi.js';
import type { KernelState } from './kernel-state.js';
import { sendToProcess, sendToThread } from './send-signal.js';
import { SIGINFO_BYTES, type SignalInfo, sentSignal } from './siginfo.js';
import type { Thread } from './thread.js';

/** si_code of SIGIO, and si_band with each: include/uapi/asm-generic/siginfo.h, band_table. */
export const POLL_CODE = { IN: 1, OUT: 2, MSG: 3, ERR: 4, PRI: 5, HUP: 6 } as const;
const BANDS = [0x41, 0x304, 0x441, 0x8, 0x82, 0x18];

/** f_setown(): a process, or a group as a negative number; 0 is nobody. */
export function setFileOwner({ table }: KernelState, thread: Thread, file: OpenFile, who: number): number {
  if (who === -(2 ** 31)) return -EINVAL;
  const exists = who < 0 ? table.group(-who).length > 0 : table.get(who) !== undefined;
  if (who !== 0 && !exists) return -ESRCH;
  file.signalOwner = who === 0 ? undefined : ownerOf(thread, who < 0 ? 'group' : 'process', Math.abs(who));
  return 0;
}

export function ownerOf({ credentials }: Thread, kind: FileOwner['kind'], id: number): FileOwner {
  return { kind, id, uid: credentials.user.real, euid: credentials.user.effective };
}

/** Whether what is owned by number still is somebody. */
export function ownerLives({ table }: KernelState, { kind, id }: FileOwner): boolean {
  if (kind === 'group') return table.group(id).length > 0;
  return (kind === 'thread' ? table.thread(id) : table.get(id)) !== undefined;
}

/** sigio_perm(). */
function maySend({ uid, euid }: FileOwner, target: Thread): boolean {
  const { real, saved } = target.credentials.user;
  return euid === 0 || [uid, euid].some((id) => id === real || id === saved);
}

function info(signo: number, code: number, fd: number): SignalInfo {
  const raw = new Uint8Array(SIGINFO_BYTES);
  const view = new DataView(raw.buffer);
  view.setInt32(8, code, true);
  view.setBigInt64(16, BigInt(BANDS[code - 1] ?? 0), true);
  view.setInt32(24, fd, true);
  return { signo, signal: signalName(signo), code, codeName: 'POLL', address: 0n, fault: false, raw };
}

/** send_sigio(): without F_SETSIG it is SIGIO, which says nothing more. */
export function sendSigio({ table }: KernelState, file: OpenFile, fd: number, code: number): void {
  const { signalOwner: owner, signal } = file;
  if (owner === undefined) return;
  const said = signal === 0 ? sentSignal(SIGNAL.SIGIO, 'SI_KERNEL') : info(signal, code, fd);
  // Where there is no room for what would say more, it is SIGIO after all.
  const plain = sentSignal(SIGNAL.SIGIO, 'SI_KERNEL');
  if (owner.kind === 'thread') {
    const thread = table.thread(owner.id);
    if (thread === undefined || !maySend(owner, thread)) return;
    if (!sendToThread(thread, said)) sendToThread(thread, plain);
    return;
  }
  const process = owner.kind === 'group' ? undefined : table.get(owner.id);
  for (const each of owner.kind === 'group'
    ? table.group(owner.id)
    : process === undefined
      ? []
      : [process]) {
    const { leader } = each;
    if (leader === undefined || !maySend(owner, leader)) continue;
    if (!sendToProcess(each, said)) sendToProcess(each, plain);
  }
}
