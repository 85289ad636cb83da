/**
 * System calls of processes: exit, identity, prctl.
 */
import { EINVAL } from '../contexts/index.js';
import { getTaggedAddrCtrl, PRCTL, setTaggedAddrCtrl } from '../process/index.js';
import { int, type Syscall } from './row.js';

export const processSyscalls: readonly Syscall[] = [
  {
    number: 93,
    name: 'exit',
    args: ['int'],
    run(_services, process, [status]) {
      process.end = { kind: 'exited', status: int(status) & 0xff };
      return 0;
    },
  },
  {
    number: 94,
    name: 'exit_group',
    args: ['int'],
    run(_services, process, [status]) {
      process.end = { kind: 'exited', status: int(status) & 0xff };
      return 0;
    },
  },
  {
    number: 167,
    name: 'prctl',
    args: ['int', 'hex', 'hex', 'hex', 'hex'],
    run({ mte, controlChanged }, process, [option, arg2, arg3, arg4, arg5]) {
      switch (int(option)) {
        case PRCTL.SET_TAGGED_ADDR_CTRL: {
          if (arg3 !== 0n || arg4 !== 0n || arg5 !== 0n) return -EINVAL;
          const control = setTaggedAddrCtrl(arg2, mte);
          if (typeof control === 'number') return control;
          process.control = control;
          controlChanged(process);
          return 0;
        }
        case PRCTL.GET_TAGGED_ADDR_CTRL:
          if (arg2 !== 0n || arg3 !== 0n || arg4 !== 0n || arg5 !== 0n) return -EINVAL;
          return getTaggedAddrCtrl(process.control);
        default:
          return -EINVAL;
      }
    },
  },
  {
    number: 172,
    name: 'getpid',
    args: [],
    run(_services, process) {
      return process.pid;
    },
  },
];
