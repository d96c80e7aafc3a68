/**
 * The table that a CFI chip answers with in query mode (JESD68.01), with the primary extended table of
 * the Intel/Sharp command set (AN-646 table 5). One byte per chip word, the index is the word's address.
 */

/** One 16-bit chip. */
export interface ChipGeometry {
  /** A power of two. */
  readonly sizeBytes: number;
  /** Erase block; a power of two of at least 256. */
  readonly blockBytes: number;
  /** Write buffer; a power of two. */
  readonly bufferBytes: number;
}

const INTEL_SHARP_EXTENDED = 0x0001;
const INTERFACE_X16_X32 = 0x0005;
const PRIMARY_TABLE_AT = 0x31;

/** AN-646 table 5, optional feature and command support. */
const FEATURE_INSTANT_BLOCK_LOCKING = 1 << 5;
const FEATURE_PROTECTION_BITS = 1 << 6;
const FEATURE_PAGE_MODE_READ = 1 << 7;

/** AN-646 table 5, block status register mask: the lock bit alone. */
const BLOCK_STATUS_LOCK_BIT = 1 << 0;

/**
 * Where a chip keeps its protection registers in identifier space. They are modelled as factory-locked zeros: the
 * one-time programming command does not exist here.
 */
const PROTECTION_REGISTER_AT = 0x80;
const PROTECTION_REGISTER_BYTES_LOG2 = 3;

/** Builds the query table of one chip. */
export function buildQueryTable(chip: ChipGeometry): Uint8Array {
  const table: number[] = [];
  let at = 0;
  const bytes = (...values: number[]): void => {
    for (const value of values) table[at++] = value;
  };
  const half = (value: number): void => bytes(value & 0xff, value >> 8);
  const text = (value: string): void => bytes(...[...value].map((letter) => letter.charCodeAt(0)));

  at = 0x10;
  text('QRY');
  half(INTEL_SHARP_EXTENDED);
  half(PRIMARY_TABLE_AT);
  half(0); // no alternative command set
  half(0);

  at = 0x1b;
  bytes(0x45, 0x55); // Vcc from 4.5 V to 5.5 V
  bytes(0, 0); // no Vpp pin
  bytes(1, 1); // typically 2 us for a word, 2 us for a buffer (powers of two)
  bytes(1, 0); // 2 ms for a block; no erase of the whole chip
  bytes(0, 0, 0, 0); // at most once the typical time

  at = 0x27;
  bytes(Math.log2(chip.sizeBytes));
  half(INTERFACE_X16_X32);
  half(Math.log2(chip.bufferBytes));
  bytes(1); // one erase region
  half(chip.sizeBytes / chip.blockBytes - 1);
  half(chip.blockBytes / 256);

  at = PRIMARY_TABLE_AT;
  text('PRI');
  text('10');
  bytes(FEATURE_INSTANT_BLOCK_LOCKING | FEATURE_PROTECTION_BITS | FEATURE_PAGE_MODE_READ, 0, 0, 0);
  bytes(0); // nothing can be done while suspended: there is no suspend
  half(BLOCK_STATUS_LOCK_BIT);
  bytes(0x50, 0x00); // best at Vcc 5.0 V; no Vpp
  bytes(1); // one protection register field
  half(PROTECTION_REGISTER_AT);
  bytes(PROTECTION_REGISTER_BYTES_LOG2, PROTECTION_REGISTER_BYTES_LOG2); // factory part, user part

  return Uint8Array.from(table, (value) => value ?? 0);
}
