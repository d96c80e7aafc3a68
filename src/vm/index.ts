/**
 * v8a as a library: `createMachine` builds a virtual machine, `Machine` runs it, `Serial` is its console.
 *
 * @packageDocumentation
 */
export { UserError } from '../base/index.js';
export type { TraceChannel } from '../base/index.js';
export type { ConsoleKind, PortOptions } from './consoles.js';
export type { ConsoleSize } from '../devices/virtio/virtio-console.js';
export { createMachine } from './create-machine.js';
export type { MachineOptions } from './create-machine.js';
export type { DiskOptions } from './disk-options.js';
export type { ShareOptions } from './share-options.js';
export type { NetworkOptions, PortForward } from './network-options.js';
export { MachineStoppedError, TimeoutError } from './errors.js';
export type { StopReason } from './errors.js';
export type { Profile } from '../profile/report.js';
export type { ProfileOptions, SymbolsOptions } from './profile-options.js';
export type { DeviceStatistics, Machine, MachineEvents, MachineState, MachineStatistics } from './machine.js';
export type { OutputListener, Serial, SerialMatch, WaitForOptions } from './serial.js';
export type { TraceEvent, TraceOptions } from './trace.js';
