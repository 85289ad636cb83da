/** Items of tag-storage.md section 10 that cannot be told, each with what it waits for. */
import type { Waiting } from './scenario.js';

export const WAITING: readonly Waiting[] = [
  { id: 'R11', title: 'a stub has the wrong parameter type', waitsFor: 'nothing: the compiler proves it' },
  { id: 'R20', title: 'a memslot with a device mapping, before and after', waitsFor: 'KVM' },
  { id: 'R21', title: 'KVM frees a page that was reserved and never tagged', waitsFor: 'KVM' },
  { id: 'F14', title: 'a memslot over a VM_PFNMAP mapping', waitsFor: 'KVM' },
  { id: 'F15', title: 'two memslots in one mapping, one is deleted', waitsFor: 'KVM' },
  { id: 'F27', title: 'the KVM tag copy ioctl', waitsFor: 'KVM' },
  { id: 'F34', title: 'a build without CMA', waitsFor: 'nothing: it is about the build configuration' },
];
