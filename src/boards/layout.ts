/** What the tables of addresses of all boards have in common, and how CPUs are told apart. */
import { hex, invariant } from '../base/index.js';
import { cells64, type DtNode, type DtValue, type MmioDevice } from '../bus/index.js';
import type { Board, MapEntry } from './ports.js';

/** A row of a board's table. */
export interface BoardRow {
  readonly base: number;
  /** Room for one device; it may decode less. */
  readonly sizeBytes: number;
  /** That many devices one after the other. Default 1. */
  readonly count?: number;
  /** The first shared peripheral interrupt of that many; 0 is INTID 32. */
  readonly spi?: number;
  readonly spiCount?: number;
  readonly device: string;
}

/** The device in its row of the table, or in the `index`th place of it. */
export function place(row: BoardRow, device: MmioDevice, index = 0): MapEntry {
  invariant(device.sizeBytes <= row.sizeBytes, `${device.name} does not fit at ${hex(row.base)}`);
  return { base: row.base + index * row.sizeBytes, device };
}

/** The affinity fields of MPIDR_EL1. One cluster: Aff0 alone tells the CPUs apart. */
export function affinityOf(cpu: number): bigint {
  return BigInt(cpu);
}

/** Devicetree Specification v0.4 3.4. */
export function describeRam({ base, sizeBytes }: Board['ram']): DtNode {
  return {
    name: `memory@${base.toString(16)}`,
    properties: { device_type: 'memory', reg: { cells: [...cells64(base), ...cells64(sizeBytes)] } },
  };
}

/** What the `chosen` node says of the seed for KASLR (dt-schema, schemas/chosen.yaml). Linux reads it and clears it. */
export function describeKaslrSeed(seed: bigint | undefined): Record<string, DtValue> {
  return seed === undefined
    ? {}
    : { 'kaslr-seed': { cells: [Number(seed >> 32n), Number(seed & 0xffff_ffffn)] } };
}
