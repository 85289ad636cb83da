/**
 * What answers at physical addresses that are not DRAM: memory-mapped devices.
 *
 * Devices see offsets and sizes of 1, 2, 4 or 8 bytes. Offsets they do not know read as zero and ignore
 * writes, as most peripherals do; addresses that no device claims are the CPU's external aborts.
 */

export interface Device {
  /** For messages: `pl011@9000000`. */
  readonly name: string;
  readonly base: number;
  readonly size: number;
  read(offset: number, bytes: 1 | 2 | 4 | 8): bigint;
  write(offset: number, bytes: 1 | 2 | 4 | 8, value: bigint): void;
  /**
   * For devices in which things happen by themselves: told the system counter between turns of CPUs, gives
   * the ticks until it wants to be told again, at least 1; Infinity for never, as things are.
   */
  advance?(now: number): number;
}

export class Bus {
  readonly devices: readonly Device[];
  #last: Device | undefined;

  /** Throws RangeError for devices that overlap. */
  constructor(devices: readonly Device[]) {
    this.devices = [...devices].sort((a, b) => a.base - b.base);
    for (const [i, device] of this.devices.entries()) {
      const before = this.devices[i - 1];
      if (before !== undefined && before.base + before.size > device.base)
        throw new RangeError(`devices ${before.name} and ${device.name} overlap`);
    }
  }

  /** The device that claims `pa`, or undefined. */
  find(pa: number): Device | undefined {
    const last = this.#last;
    if (last !== undefined && pa >= last.base && pa < last.base + last.size) return last;
    this.#last = this.devices.find((d) => pa >= d.base && pa < d.base + d.size);
    return this.#last;
  }
}
