/**
 * /sys/power: hibernation at a program's wish (kernel/power/{main,hibernate}.c;
 * Documentation/admin-guide/pm/sleep-states.rst).
 *
 * `echo disk > /sys/power/state` writes memory to the swap device, and power goes. Whichever mode
 * /sys/power/disk names, it comes back at once, the image is found, and the write returns: the machine does not
 * wait for somebody to switch it on.
 */
import { EINVAL } from '../contexts/index.js';
import type { SpecialFile, Store } from '../fs/index.js';
import type { MemoryManager, PowerCycle } from '../mm/index.js';

const MODES = ['shutdown', 'reboot', 'test_resume'] as const;

/** What of the machine hibernation needs; `mode` is what /sys/power/disk was set to. */
export interface Power {
  mode: (typeof MODES)[number];
  readonly cycle: PowerCycle;
}

type MakeFile = (content: () => string, store?: Store) => SpecialFile;

/** The directory's files, made where they are opened. */
export function powerFiles(
  mm: MemoryManager,
  power: Power,
  file: MakeFile,
): Record<string, () => SpecialFile> {
  return {
    state: () =>
      file(
        () => 'disk\n',
        (text) => (text.trim() === 'disk' ? mm.hibernate(power.cycle) : -EINVAL),
      ),
    disk: () =>
      file(
        () => `${MODES.map((mode) => (mode === power.mode ? `[${mode}]` : mode)).join(' ')}\n`,
        (text) => {
          const found = MODES.find((mode) => mode === text.trim());
          if (found === undefined) return -EINVAL;
          power.mode = found;
          return 0;
        },
      ),
  };
}
