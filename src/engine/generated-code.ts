/**
 * Whether the host runs generated code: a page whose Content-Security-Policy lacks `wasm-unsafe-eval`
 * compiles no WebAssembly, and some hosts have none. The evaluator then runs everything, slower.
 */

/** The smallest module: magic number and version. */
const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** Why generated code cannot be used, in words; undefined where it can. */
export function refusalOfGeneratedCode(): string | undefined {
  if (typeof WebAssembly === 'undefined') return 'the host has no WebAssembly';
  try {
    new WebAssembly.Module(EMPTY);
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    return `the host compiles no WebAssembly (${message})`;
  }
}
