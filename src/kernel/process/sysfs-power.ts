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
import type { Freezer, MemoryManager, PowerCycle } from '../mm/index.js';

/** What drivers may allocate while memory is copied (SPARE_PAGES), in bytes; none do. */
const RESERVED_SIZE = 1024 * 1024;
/** Milliseconds; who cannot be frozen is known at once here. */
const FREEZE_TIMEOUT = 20000;

const MODES = ['shutdown', 'reboot', 'test_resume'] as const;

/** What of the machine hibernation needs; `mode` is what /sys/power/disk was set to. */
export interface Power {
  mode: (typeof MODES)[number];
  readonly cycle: PowerCycle;
  readonly freezer: Freezer;
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
        (text) => (text.trim() === 'disk' ? mm.hibernate(power.cycle, power.freezer) : -EINVAL),
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
    image_size: () =>
      file(
        () => `${mm.imageSize}\n`,
        (text) => {
          const bytes = Number(/^\s*([0-9]{1,18})\s*$/.exec(text)?.[1] ?? Number.NaN);
          if (Number.isNaN(bytes)) return -EINVAL;
          mm.imageSize = bytes;
          return 0;
        },
      ),
    reserved_size: () => file(() => `${RESERVED_SIZE}\n`),
    // The image is on the only device there is, and looked for at once: nobody names another.
    resume: () =>
      file(
        () => '0:0\n',
        () => -EINVAL,
      ),
    resume_offset: () => file(() => '0\n'),
    pm_freeze_timeout: () => file(() => `${FREEZE_TIMEOUT}\n`),
  };
}
