/** Reports of faults, as data, text and JSON. */
export * from './describe-owner.js';
export * from './render.js';
export * from './tag-fault.js';
export * from './tag-history.js';
