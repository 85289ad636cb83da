/**
 * A user program as a scenario needs one: mappings, loads, stores, LDG and STG.
 *
 * The methods whose names end in `Task` are for tasks of a race and may be interrupted at every fault;
 * the others run to their end at once.
 */
import { PA } from '../../base/index.js';
import type { AddressSpace, FaultResult, MaySleep, PhysicalMapping } from '../../kernel/index.js';
import { sleepPoint } from '../../kernel/index.js';
import { Broken, PAGE, va, type World } from './world.js';

const MAP_PRIVATE_ANON = 0x22;
const MAP_SHARED_ANON = 0x21;
/** Faults of one access without success after which there is no progress. */
const MOST_FAULTS = 400;
const USER = sleepPoint('user code');

/** A recognisable page of data, never all zeros. */
export function pattern(seed: number): Uint8Array {
  const out = new Uint8Array(PAGE);
  let x = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < PAGE; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    out[i] = x;
  }
  return out;
}

export class Program {
  readonly as: AddressSpace;
  readonly #k: World;
  /** Faults taken. */
  faults = 0;
  /** What ended the last access that failed. */
  lastFault: FaultResult | undefined;

  constructor(k: World, as: AddressSpace) {
    this.#k = k;
    this.as = as;
  }

  map(pages: number, prot: number): number {
    return this.#map(pages, prot, MAP_PRIVATE_ANON);
  }

  mapShared(pages: number, prot: number): number {
    return this.#map(pages, prot, MAP_SHARED_ANON);
  }

  #map(pages: number, prot: number, flags: number): number {
    const k = this.#k;
    const addr = k.run(k.manager.mmap(this.as, { addr: va(0), length: pages * k.pageSize, prot, flags }));
    if (addr < 0) throw new Error(`mmap: ${addr}`);
    return addr;
  }

  protect(addr: number, pages: number, prot: number): void {
    const result = this.#k.run(this.#k.manager.mprotect(this.as, va(addr), pages * this.#k.pageSize, prot));
    if (result !== 0) throw new Error(`mprotect: ${result}`);
  }

  unmap(addr: number, pages: number): void {
    this.#k.run(this.#k.manager.munmap(this.as, va(addr), pages * this.#k.pageSize));
  }

  fork(): Program {
    const child = this.#k.run(this.#k.manager.cloneAddressSpace(this.as));
    if (typeof child === 'number') throw new Error(`fork: ${child}`);
    return this.#k.program(child);
  }

  exit(): void {
    this.#k.programs.delete(this);
    this.#k.run(this.#k.manager.exitMmap(this.as));
  }

  mapping(addr: number): PhysicalMapping | undefined {
    return this.#k.manager.virtToPhys(this.as, va(addr));
  }

  /** PFN behind an address, also where the entry is fault-on-access. */
  pfn(addr: number): number | undefined {
    return this.#k.manager.residentPfn(this.as, va(addr));
  }

  /** The mapping that allows the access, after as many faults as it takes; undefined where one is fatal. */
  *access(addr: number, write: boolean): MaySleep<PhysicalMapping | undefined> {
    const k = this.#k;
    for (let tries = 0; tries < MOST_FAULTS; tries++) {
      const mapping = this.mapping(addr);
      if (mapping && (!write || mapping.write)) return mapping;
      this.faults++;
      const result = yield* k.manager.handleMmFault(this.as, va(addr), {
        write,
        exec: false,
        user: true,
        tagAccess: false,
      });
      if (result.kind !== 'handled') {
        this.lastFault = result;
        return undefined;
      }
      yield USER;
    }
    throw new Broken('progress', `${MOST_FAULTS} faults at one address, and the access is still not done`);
  }

  #now(addr: number, write: boolean): PhysicalMapping {
    const mapping = this.#k.run(this.access(addr, write));
    if (!mapping) throw new Broken('access', `an access is refused: ${JSON.stringify(this.lastFault)}`);
    return mapping;
  }

  store(addr: number, bytes: Uint8Array): void {
    this.#k.memory.writeBytes(this.#now(addr, true).pa, bytes);
  }

  load(addr: number, bytes: number): Uint8Array {
    return this.#k.memory.readBytes(this.#now(addr, false).pa, bytes);
  }

  stg(addr: number, tag: number): void {
    const { pa, tagged } = this.#now(addr, true);
    if (tagged) this.#k.memory.writeTag(PA(pa - (pa % 16)), tag);
  }

  ldg(addr: number): number {
    const { pa, tagged } = this.#now(addr, false);
    return tagged ? this.#k.memory.readTag(pa) : 0;
  }

  /** Every granule of a page. */
  tagPage(addr: number, tag: number): void {
    this.stg(addr, tag);
    const { pa, tagged } = this.#now(addr, true);
    if (tagged) this.#k.memory.fillTags(pa, this.#k.pageSize, tag);
  }

  *stgTask(addr: number, tag: number): MaySleep<void> {
    const mapping = yield* this.access(addr, true);
    if (mapping?.tagged) this.#k.memory.writeTag(PA(mapping.pa - (mapping.pa % 16)), tag);
  }

  *ldgTask(addr: number, see: (tag: number) => void): MaySleep<void> {
    const mapping = yield* this.access(addr, false);
    if (mapping) see(mapping.tagged ? this.#k.memory.readTag(mapping.pa) : 0);
  }

  *storeTask(addr: number, bytes: Uint8Array): MaySleep<void> {
    const mapping = yield* this.access(addr, true);
    if (mapping) this.#k.memory.writeBytes(mapping.pa, bytes);
  }

  expectData(addr: number, seed: number, whose: string): void {
    const want = pattern(seed);
    const got = this.load(addr, PAGE);
    const at = want.findIndex((byte, i) => byte !== got[i]);
    if (at < 0) return;
    throw new Broken(
      '8',
      `byte ${at} of ${whose} is 0x${got[at]!.toString(16)}, not 0x${want[at]!.toString(16)}`,
    );
  }

  expectTag(addr: number, tag: number, whose: string): void {
    const got = this.ldg(addr);
    if (got !== tag) throw new Broken('8', `the tag of ${whose} is ${got}, not ${tag}`);
  }
}
