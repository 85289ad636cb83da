/**
 * An initial RAM disk for Linux, out of files made here: what the benchmark's rivals boot from.
 *
 * Ref. Linux Documentation/driver-api/early-userspace/buffer-format.rst ("newc" cpio).
 */

export interface RamDiskEntry {
  readonly name: string;
  /** File type and permissions, as st_mode has them. */
  readonly mode: number;
  /** A file's bytes, a link's target. */
  readonly data?: Uint8Array | string;
  /** Major and minor number of a device. */
  readonly device?: readonly [major: number, minor: number];
}

const TRAILER: RamDiskEntry = { name: 'TRAILER!!!', mode: 0 };

/** The archive, uncompressed; folders come before what is in them. */
export function makeRamDisk(entries: readonly RamDiskEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  const add = (bytes: Uint8Array) => {
    const padded = new Uint8Array(Math.ceil((size + bytes.length) / 4) * 4 - size);
    padded.set(bytes);
    parts.push(padded);
    size += padded.length;
  };
  [...entries, TRAILER].forEach(({ name, mode, data = '', device = [0, 0] }, i) => {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    const fields = [i + 1, mode, 0, 0, 1, 0, bytes.length, 0, 0, ...device, name.length + 1, 0];
    add(
      new TextEncoder().encode(
        `070701${fields.map((f) => f.toString(16).padStart(8, '0')).join('')}${name}\0`,
      ),
    );
    add(bytes);
  });
  const out = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
