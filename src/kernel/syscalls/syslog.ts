/**
 * syslog(2), called klogctl by C libraries: the kernel's log, for dmesg.
 *
 * Ref. kernel/printk/printk.c (do_syslog), syslog(2).
 */
import { EFAULT, EINVAL, EPERM, type MaySleep } from '../contexts/index.js';
import { CAP, capable, LOG_BUFFER_BYTES, type Thread, writeUser } from '../process/index.js';
import { int, type Syscall, type SyscallServices } from './row.js';

const ACTION = {
  CLOSE: 0,
  OPEN: 1,
  READ: 2,
  READ_ALL: 3,
  READ_CLEAR: 4,
  CLEAR: 5,
  CONSOLE_OFF: 6,
  CONSOLE_ON: 7,
  CONSOLE_LEVEL: 8,
  SIZE_UNREAD: 9,
  SIZE_BUFFER: 10,
} as const;
/** What anybody may ask. */
const FREE: ReadonlySet<number> = new Set([ACTION.READ_ALL, ACTION.SIZE_BUFFER]);

function* syslog(
  { mm, messages }: SyscallServices,
  thread: Thread,
  action: number,
  buffer: bigint,
  length: number,
): MaySleep<number> {
  if (!FREE.has(action) && !capable(thread.credentials, CAP.SYSLOG)) return -EPERM;
  switch (action) {
    case ACTION.READ:
    case ACTION.READ_ALL:
    case ACTION.READ_CLEAR: {
      if (buffer === 0n || length < 0) return -EINVAL;
      // Who reads on does not wait for more: nothing more may ever come.
      const bytes = action === ACTION.READ ? messages.next(length) : messages.last(length);
      if ((yield* writeUser(mm, thread, buffer, bytes)) !== 0) return -EFAULT;
      if (action === ACTION.READ_CLEAR) messages.clear();
      return bytes.length;
    }
    case ACTION.CLEAR:
      messages.clear();
      return 0;
    case ACTION.CLOSE:
    case ACTION.OPEN:
    case ACTION.CONSOLE_OFF:
    case ACTION.CONSOLE_ON:
      return 0;
    case ACTION.CONSOLE_LEVEL:
      return length < 1 || length > 8 ? -EINVAL : 0;
    case ACTION.SIZE_UNREAD:
      return messages.unread;
    case ACTION.SIZE_BUFFER:
      return LOG_BUFFER_BYTES;
    default:
      return -EINVAL;
  }
}

export const syslogSyscalls: readonly Syscall[] = [
  {
    number: 116,
    name: 'syslog',
    args: ['int', 'buffer', 'int'],
    run: (services, thread, [action, buffer, length]) =>
      syslog(services, thread, int(action), buffer, int(length)),
  },
];
