export * from './bits.js';
export * from './brand.js';
export * from './byte-buffer.js';
export * from './deep-copy.js';
export * from './errors.js';
export * from './invariant.js';
export * from './phys-addr.js';
export * from './trace.js';
