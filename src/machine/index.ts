/**
 * The machine: what silicon does. DRAM with tags in its bytes, the tag controller, MMU, CPUs, devices.
 *
 * `createMachine` builds one from plain data, `buildMachine` from a device tree. Engines (`src/engine`)
 * run its CPUs; software at EL1 that is written in TypeScript reaches memory through `MemoryPort` and is
 * called through `Supervisor`.
 */
export * from './board.js';
export * from './bootloader.js';
export * from './caches/index.js';
export * from './conductor.js';
export * from './cpu/calls.js';
export { COMPUTED, mpidrOf, physicalCount } from './cpu/computed-registers.js';
export { Cpu } from './cpu/cpu.js';
export type { CpuEnvironment, InterruptInterface } from './cpu/environment.js';
export * from './cpu/exception.js';
export { anythingPending } from './cpu/interrupts.js';
export type { AccessSize, MemoryAccess, MemoryWrite } from './cpu/memory-access.js';
export { PAC_ENTRIES, PacEntry } from './cpu/pac-table.js';
export { GENERIC_KEY as PAC_GENERIC_KEY, KEYS as PAC_KEYS } from './cpu/pointer-authentication.js';
export { Pstate } from './cpu/pstate.js';
export { isPlainRegister } from './cpu/system-access.js';
export { cellOf } from './cpu/system-cells.js';
export { chooseNonExcludedTag } from './cpu/tags.js';
export { counterTicks } from './cpu/timers.js';
export { Gic } from './devices/gic.js';
export { Pl011, type SerialSource } from './devices/pl011.js';
export { type PsciOptions, psci } from './devices/psci.js';
export * from './devices/tag-controller.js';
export type { Engine } from './engine.js';
export * from './firmware.js';
export * from './linux-image.js';
export * from './machine.js';
export type { Device } from './memory/bus.js';
export { Dram, type DramBank } from './memory/dram.js';
export * from './memory/linear-memory.js';
export * from './memory/memory-system.js';
export * from './memory/tag-controller.js';
export * from './memory/tag-history.js';
export * from './mmu/index.js';
export type { MemoryPort } from './port.js';
export * from './shipped.js';
export type { StopReason } from './stop.js';
export type { Supervisor } from './supervisor.js';
