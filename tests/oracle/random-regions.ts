/** Regions of random extent: with entries in other regions' middle, with holes that the interpreter executes. */
import type { RegionChoice, RegionChooser } from '#v8a/cpu/translation-policy.js';
import { randomSource } from '#v8a/isa/random-encoder.js';
import { B, FIRST_WORD, MAX_WORDS, PAGE_BYTES, SLOT_WORDS } from './format.js';
import type { Random } from './operands.js';
import { pick } from './operands.js';

/** Out of eight words: how many go into a region, or how long it is at the most. */
const DENSITIES = [8, 7, 4] as const;
const LENGTHS = [1, 2, 3, 5] as const;

function randomExtent(random: Random, start: number): (word: number) => boolean {
  if (random() % 2 === 0) {
    const end = start + pick(random, LENGTHS);
    return (word) => word >= start && word < end;
  }
  const density = pick(random, DENSITIES);
  const seed = random();
  return (word) => randomSource(seed + word)() % 8 < density;
}

/** Of a word, the same in every slot: a program's last branch leaves the slot. */
function familiar(word: number): number {
  return word >>> 26 === B >>> 26 ? B : word;
}

/**
 * `code`: the slots of programs, in the machine's memory. A program's regions follow from its words, so that it shows the
 * same difference in another slot.
 */
export function randomRegions(code: Uint32Array): RegionChooser {
  const seedOf = (program: number, at: number): number => {
    let hash = at;
    for (const word of code.subarray(program, program + MAX_WORDS))
      hash = Math.imul(hash ^ familiar(word), 0x0100_0193) ^ (hash >>> 15);
    return hash;
  };
  return (p) => {
    const at = (p - code.byteOffset) / 4;
    if (at < 0 || at >= code.length) return [{ start: p, isWanted: () => true }];
    const first = at - (at % SLOT_WORDS);
    const random = randomSource(seedOf(first + FIRST_WORD, at - first));
    const starts = random() % 4 === 0 ? [] : [at];
    for (let more = random() % 3; more > 0; more--) starts.push(first + FIRST_WORD + (random() % MAX_WORDS));
    return starts.map((start): RegionChoice => {
      const isWanted = randomExtent(random, start % (PAGE_BYTES / 4));
      return { start: code.byteOffset + 4 * start, isWanted };
    });
  };
}
