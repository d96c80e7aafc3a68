/** Finds the row of a word. */
import type { Row } from './row.js';

/** Words are sorted into buckets by their bits 31 to 21, which separate nearly all rows. */
const BUCKET_SHIFT = 21;
const BUCKETS = 1 << (32 - BUCKET_SHIFT);

function popcount(value: number): number {
  let count = 0;
  for (let rest = value >>> 0; rest !== 0; rest &= rest - 1) count++;
  return count;
}

export class Decoder {
  readonly rows: readonly Row[];
  /** Filled as words are looked up. */
  readonly #buckets: (readonly Row[] | undefined)[] = Array.from({ length: BUCKETS });

  constructor(rows: readonly Row[]) {
    // Where two rows match a word the one with more fixed bits is meant, as in the manual's tables.
    const fixedBits = new Map(rows.map((row) => [row, popcount(row.mask)]));
    this.rows = [...rows].sort((a, b) => (fixedBits.get(b) ?? 0) - (fixedBits.get(a) ?? 0));
  }

  /** The rows that words with the same highest bits as `word` may belong to. */
  #bucketOf(word: number): readonly Row[] {
    const index = word >>> BUCKET_SHIFT;
    return (this.#buckets[index] ??= this.rows.filter(
      ({ mask, match }) => (index & (mask >>> BUCKET_SHIFT)) === match >>> BUCKET_SHIFT,
    ));
  }

  /** The row of `word`, or undefined where the word is unallocated (or not known yet). */
  decode(word: number): Row | undefined {
    for (const row of this.#bucketOf(word))
      if ((word & row.mask) >>> 0 === row.match && row.accepts(word)) return row;
    return undefined;
  }

  /** All rows that claim `word`; more than one with the same number of fixed bits is a mistake in the table. */
  claims(word: number): Row[] {
    return this.#bucketOf(word).filter((row) => (word & row.mask) >>> 0 === row.match && row.accepts(word));
  }
}
