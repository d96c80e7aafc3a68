import type { AcpiData } from '../bus/index.js';
import { gsiOfSpi } from './interrupt-spec.js';

/** `_CRS` of a device with one block of registers below 4 GiB and perhaps an interrupt (ACPI 6.4, 6.2.2). */
export function registerResources(
  base: number,
  sizeBytes: number,
  interrupt?: { readonly spi: number; readonly trigger: 'level-high' | 'edge-rising' },
): AcpiData {
  return {
    resources: [
      { kind: 'memory32-fixed', base, sizeBytes },
      ...(interrupt
        ? [{ kind: 'interrupt' as const, gsi: gsiOfSpi(interrupt.spi), trigger: interrupt.trigger }]
        : []),
    ],
  };
}
