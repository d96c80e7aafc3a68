/** What tests of the engine share. */
import { NO_TRACE } from '../base/index.js';
import { AddressSpace } from '../bus/index.js';
import type { EnginePorts } from './wasm-engine.js';

/** A machine without firmware and system registers of devices. */
export function bareEnginePorts(addressSpace = new AddressSpace(NO_TRACE)): EnginePorts {
  return {
    addressSpace,
    systemRegisterPort: () => undefined,
    firmwareCall: () => 'undefined',
    trace: NO_TRACE,
  };
}
