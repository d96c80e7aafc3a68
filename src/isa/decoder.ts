/** Finds the row of a word. */
import { invariant } from '../base/index.js';
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
  readonly #buckets: readonly (readonly Row[])[];

  constructor(rows: readonly Row[]) {
    // Where two rows match a word the one with more fixed bits is meant, as in the manual's tables.
    this.rows = [...rows].sort((a, b) => popcount(b.mask) - popcount(a.mask));
    const buckets: Row[][] = Array.from({ length: BUCKETS }, () => []);
    for (const row of this.rows) {
      const mask = row.mask >>> BUCKET_SHIFT;
      const match = row.match >>> BUCKET_SHIFT;
      for (let i = 0; i < BUCKETS; i++) if ((i & mask) === match) buckets[i]?.push(row);
    }
    this.#buckets = buckets;
  }

  /** The row of `word`, or undefined where the word is unallocated (or not known yet). */
  decode(word: number): Row | undefined {
    const bucket = this.#buckets[word >>> BUCKET_SHIFT];
    invariant(bucket !== undefined, 'every word has a bucket');
    for (const row of bucket) if ((word & row.mask) >>> 0 === row.match && row.accepts(word)) return row;
    return undefined;
  }

  /** All rows that claim `word`; more than one with the same number of fixed bits is a mistake in the table. */
  claims(word: number): Row[] {
    return (this.#buckets[word >>> BUCKET_SHIFT] ?? []).filter(
      (row) => (word & row.mask) >>> 0 === row.match && row.accepts(word),
    );
  }
}
