/** What Arm's PrimeCell peripherals (PL011, PL031, PL061) have in common. */
import { cells64 } from '../bus/index.js';
import type { DtNode, DtPhandle, DtValue } from '../bus/index.js';
import { spiInterrupt } from './interrupt-spec.js';

/** Address space of one peripheral. */
export const PRIMECELL_SIZE_BYTES = 0x1000;

/** The clock that drives the bus and, on the `virt` board, the baud rate generator too. */
export const APB_CLOCK_HZ = 24_000_000;
const APB_CLOCK: DtPhandle = { phandle: 'apb-pclk' };

/** Four identification registers in a row. */
export interface IdRow {
  readonly at: number;
  readonly width: 8;
  readonly access: 'id';
  readonly count: 4;
  readonly reset: readonly [number, number, number, number];
  readonly spec: string;
}

type IdTable<Prefix extends string> = Readonly<Record<`${Prefix}PeriphID` | `${Prefix}PCellID`, IdRow>>;

/**
 * The identification registers at the end of the address space, as rows of a register table. `part` is the number
 * in the part's name read as hexadecimal digits (PL011 is 0x011), `revision` the designator of its release.
 */
export function primecellIds<Prefix extends string>(
  prefix: Prefix,
  { part, revision, spec }: { readonly part: number; readonly revision: number; readonly spec: string },
): IdTable<Prefix> {
  const row = (at: number, reset: IdRow['reset']): IdRow => ({
    at,
    width: 8,
    access: 'id',
    count: 4,
    reset,
    spec,
  });
  const designer = 0x41;
  return {
    [`${prefix}PeriphID`]: row(0xfe0, [
      part & 0xff,
      ((designer & 0xf) << 4) | (part >> 8),
      (revision << 4) | (designer >> 4),
      0,
    ]),
    [`${prefix}PCellID`]: row(0xff0, [0x0d, 0xf0, 0x05, 0xb1]),
  } as IdTable<Prefix>;
}

/** Where a board puts a peripheral. */
export interface PeripheralPlace {
  /** Physical address. */
  readonly base: number;
  /** Number of the shared peripheral interrupt; 0 is INTID 32. */
  readonly spi: number;
}

/** The node of a peripheral, as the binding `arm,primecell` of Linux has it. */
export function primecellNode(
  part: string,
  { base, spi }: PeripheralPlace,
  {
    clockNames = ['apb_pclk'],
    label,
    properties = {},
  }: {
    readonly clockNames?: readonly string[];
    readonly label?: string;
    readonly properties?: Readonly<Record<string, DtValue>>;
  } = {},
): DtNode {
  return {
    name: `${part}@${base.toString(16)}`,
    ...(label === undefined ? {} : { label }),
    properties: {
      compatible: [`arm,${part}`, 'arm,primecell'],
      reg: { cells: [...cells64(base), ...cells64(PRIMECELL_SIZE_BYTES)] },
      interrupts: { cells: spiInterrupt(spi, 'level-high') },
      clocks: { cells: clockNames.map(() => APB_CLOCK) },
      'clock-names': clockNames,
      ...properties,
    },
  };
}

/** The clock's own node, which `primecellNode`s refer to. */
export function apbClockNode(): DtNode {
  return {
    name: 'apb-pclk',
    label: APB_CLOCK.phandle,
    properties: {
      compatible: 'fixed-clock',
      '#clock-cells': { cells: [0] },
      'clock-frequency': { cells: [APB_CLOCK_HZ] },
      'clock-output-names': `clk${APB_CLOCK_HZ / 1e6}mhz`,
    },
  };
}
