export * from './acpi.js';
export * from './block-storage.js';
export * from './clock.js';
export * from './description.js';
export * from './device.js';
export * from './flash-storage.js';
export * from './sysreg.js';
export * from './address-space.js';
