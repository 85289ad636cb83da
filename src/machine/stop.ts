/**
 * Why a run of a CPU ended.
 */
export type StopReason =
  /** An exception was taken to a level that a supervisor handles; ESR, FAR, ELR and SPSR say what. */
  | { readonly kind: 'supervisor'; readonly el: 1 | 2 }
  /** As many instructions as were asked for. */
  | { readonly kind: 'limit' }
  /** The guest asked to end (semihosting, PSCI): 0..255. `reset`: it asked for a reset, which ends a run too. */
  | { readonly kind: 'exit'; readonly status: number; readonly reset?: true }
  /** WFI or WFE with nothing pending that would wake the CPU, or the CPU switched itself off. */
  | { readonly kind: 'wait' }
  /** The CPU cannot go on: HLT with no one to serve it, an unmappable vector, no host memory. */
  | { readonly kind: 'halted'; readonly message: string }
  /** A breakpoint, a request from outside, or exceptions that lead nowhere but to the next. */
  | { readonly kind: 'request' };
