/**
 * Stands in for Node's `util` in the library and browser bundles: arcsecond asks for it where there is
 * no global TextEncoder, which every Node and browser of today has.
 */
export const TextEncoder = globalThis.TextEncoder;
export const TextDecoder = globalThis.TextDecoder;
