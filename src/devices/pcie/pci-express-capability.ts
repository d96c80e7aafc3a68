/**
 * The PCI Express capability of an integrated endpoint of the root complex: a function on bus 0, without a link
 * (PCI Express Base Specification 3.0, "PCIe", 7.8).
 */
import type { Trace } from '../../base/index.js';
import { registers } from '../registers.js';
import type { PciCapability } from './pci-function.js';
import { RegisterCapability } from './register-capability.js';

/** Version 2, root complex integrated endpoint (7.8.2), above identifier and link. */
const EXPRESS_CAPABILITIES = (2 | (9 << 4)) << 16;
/** Role-based error reporting, which is required, and function-level reset (7.8.3). Payloads of 128 bytes. */
const DEVICE_CAPABILITIES = (1 << 15) | (1 << 28);

/** Link, slot and root registers are not there for such an endpoint and read as zero (7.8). */
const EXPRESS = registers({
  CAPABILITIES: { at: 0x00, width: 32, access: 'id', reset: EXPRESS_CAPABILITIES, spec: 'PCIe 7.8.2' },
  DEVICE_CAPABILITIES: { at: 0x04, width: 32, access: 'id', reset: DEVICE_CAPABILITIES, spec: 'PCIe 7.8.3' },
  DEVICE_CONTROL_STATUS: {
    at: 0x08,
    width: 32,
    access: 'rw',
    spec: 'PCIe 7.8.4, 7.8.5',
    fields: { ERROR_REPORTING: [0, 4], INITIATE_RESET: [15, 1] },
  },
  LINK: { at: 0x0c, width: 32, access: 'id', count: 2, spec: 'PCIe 7.8.6' },
  SLOT: { at: 0x14, width: 32, access: 'id', count: 2, spec: 'PCIe 7.8.9' },
  ROOT: { at: 0x1c, width: 32, access: 'id', count: 2, spec: 'PCIe 7.8.12' },
  DEVICE_CAPABILITIES_2: { at: 0x24, width: 32, access: 'id', spec: 'PCIe 7.8.15' },
  DEVICE_CONTROL_STATUS_2: {
    at: 0x28,
    width: 32,
    access: 'rw',
    spec: 'PCIe 7.8.16',
    fields: { NONE: [0, 32, 'ro'] },
  },
  LINK_2: { at: 0x2c, width: 32, access: 'id', count: 2, spec: 'PCIe 7.8.18' },
  SLOT_2: { at: 0x34, width: 32, access: 'id', count: 2, spec: 'PCIe 7.8.21' },
});

/** `resetFunction` carries out a function-level reset (6.6.2). */
export function pciExpressCapability(
  name: string,
  { resetFunction, trace }: { readonly resetFunction: () => void; readonly trace: Trace },
): PciCapability {
  const { DEVICE_CONTROL_STATUS } = EXPRESS;
  return new RegisterCapability<typeof EXPRESS>(name, {
    id: 0x10,
    sizeBytes: 0x3c,
    table: EXPRESS,
    behaviour: (registers) => ({
      read: {},
      write: {
        DEVICE_CONTROL_STATUS: (value) => {
          if (DEVICE_CONTROL_STATUS.has(value, 'INITIATE_RESET')) resetFunction();
          else registers().DEVICE_CONTROL_STATUS = value;
        },
      },
    }),
    trace,
  });
}
