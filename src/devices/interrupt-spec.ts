import type { DtCell } from '../bus/index.js';

/** Flags of the third cell. */
const TRIGGER = { 'edge-rising': 1, 'level-high': 4 } as const;
/** Interrupt type in the first cell. */
const SPI = 0;

/**
 * The `interrupts` cells of shared peripheral interrupt `spi` (0 is INTID 32), as the device-tree bindings
 * `arm,gic` and `arm,gic-v3` of Linux have them for controllers with `#interrupt-cells = <3>`.
 */
export function spiInterrupt(spi: number, trigger: keyof typeof TRIGGER): DtCell[] {
  return [SPI, spi, TRIGGER[trigger]];
}

/** ACPI's number of shared peripheral interrupt `spi`: its INTID (ACPI 6.4, 5.2.12.15). */
export function gsiOfSpi(spi: number): number {
  return 32 + spi;
}
