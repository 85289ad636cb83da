/** The words every floor speaks: addresses, bits, diagnostics, randomness, sizes, floating point. */
export * from './addresses.js';
export * from './bits.js';
export * from './diagnostics.js';
export * from './guest-text.js';
export * from './random.js';
export * from './sizes.js';
export * from './softfloat/index.js';
