/** Experiments: conformance vectors, pictures of tag storage. */
export * from './conform.js';
export * from './picture.js';
