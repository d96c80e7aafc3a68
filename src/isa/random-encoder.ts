/** Random words of a row, for comparing instructions with other implementations. Seeded: the same seed, the same words. */
import type { FieldLayout, Row } from './row.js';

/** A source of uniform 32-bit numbers. Mulberry32: small, and good enough to choose test words. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** Registers with a meaning of their own, or likely to meet each other: 0, 1, 30 and 31. */
const EDGE_REGISTERS = [0, 1, 30, 31] as const;

/** Out of four choices of a register or number, how many are edge cases. */
const EDGES_OF_FOUR = 2;

function randomField(field: FieldLayout, random: () => number): number {
  const limit = 2 ** field.width;
  const isEdge = (random() & 3) < EDGES_OF_FOUR;
  if (!isEdge) return random() % limit;
  if (field.kind !== 'immediate' && field.kind !== 'label')
    return EDGE_REGISTERS[random() % EDGE_REGISTERS.length] ?? 0;
  // Zero, one, the largest, the sign bit alone and the one below.
  const edges = [0, 1, limit - 1, limit / 2, limit / 2 - 1];
  return Math.floor(edges[random() % edges.length] ?? 0) % limit;
}

/** Bits of `row` that decoding ignores. */
export function ignoredBits(row: Row): number {
  let known = row.mask;
  for (const field of row.fields) known |= (2 ** field.width - 1) * 2 ** field.low;
  return ~known;
}

/** Tries before a row's constraint counts as unsatisfiable. */
const TRIES = 10_000;

/** Out of how many fields one is near the field before it. */
const NEAR_ONE_OF = 6;

/** A word of `row`; bits that decoding ignores are one, as the manual asks of most. */
export function randomWord(row: Row, random: () => number): number {
  for (let i = 0; i < TRIES; i++) {
    let word = row.match | ignoredBits(row);
    let before = 0;
    for (const field of row.fields) {
      const limit = 2 ** field.width;
      // Equal or next to each other: overlapping registers, bitfields of one bit and of all, slides.
      const isNear = field.width > 1 && random() % NEAR_ONE_OF === 0;
      const value = isNear ? (before + (random() % 3) + limit - 1) % limit : randomField(field, random);
      word |= value * 2 ** field.low;
      before = value;
    }
    if (row.accepts(word >>> 0)) return word >>> 0;
  }
  throw new Error(`${row.name}: no word found that it accepts`);
}
