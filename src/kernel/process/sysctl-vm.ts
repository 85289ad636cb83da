/**
 * /proc/sys/vm as text: numbers separated by tabs, taken apart as proc_dointvec() does (kernel/sysctl.c). What they
 * mean is the memory manager's (mm/sysctl.ts).
 */
import { EINVAL } from '../contexts/index.js';
import type { Inode, Store } from '../fs/index.js';
import type { MemoryManager } from '../mm/index.js';
import { KERNEL_SYSCTLS, VM_SYSCTLS } from '../mm/index.js';

type MakeFile = (content: () => string, store: Store, mode: number) => Inode;

/** Numbers of a write, undefined where something in it is none: spaces between, none needed at the end. */
export function sysctlNumbers(text: string): number[] | undefined {
  const words = text.split(/[\s\0]+/).filter((word) => word !== '');
  if (words.some((word) => !/^-?(?:0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(word))) return undefined;
  return words.map((word) => (word.startsWith('-') ? -Number(word.slice(1)) : Number(word)));
}

/** Those of /proc/sys/vm or /proc/sys/kernel, made where they are opened. */
export function vmSysctlFiles(
  mm: MemoryManager,
  folder: 'vm' | 'kernel',
  file: MakeFile,
): Record<string, () => Inode> {
  const here = VM_SYSCTLS.filter(({ name }) => KERNEL_SYSCTLS.includes(name) === (folder === 'kernel'));
  return Object.fromEntries(
    here.map(({ name, readable }) => [
      name,
      () => {
        const store: Store = (text) => {
          const numbers = sysctlNumbers(text);
          return numbers === undefined ? -EINVAL : mm.sysctlWrite(name, numbers);
        };
        return file(() => `${mm.sysctlRead(name).join('\t')}\n`, store, readable ? 0o644 : 0o200);
      },
    ]),
  );
}
