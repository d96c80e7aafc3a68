/**
 * When guest code is translated. `sync`: when it has become hot, between two slices of execution. `async`: from then on, on
 * another thread, while it is interpreted. `always`: before it is executed first, which is slow, and for tests. The guest
 * executes the same instructions either way.
 */
export const TRANSLATION_POLICIES = ['sync', 'async', 'off', 'always'] as const;
export type TranslationPolicy = (typeof TRANSLATION_POLICIES)[number];
export const DEFAULT_JIT: TranslationPolicy = 'sync';

/** Whether code is translated once it has become hot. */
export function translatesWhatIsHot(policy: TranslationPolicy | RegionChooser): boolean {
  return policy === 'sync' || policy === 'async';
}

/** A region to translate. */
export interface RegionChoice {
  /** Host address. */
  readonly start: number;
  /** Whether it goes on at a word of its page. */
  readonly isWanted: (word: number) => boolean;
  /** As many as there may be, where undefined. */
  readonly maxInstructions?: number | undefined;
}

/** The regions to translate when the word at host address `p` is going to be executed first: a test's. */
export type RegionChooser = (p: number) => readonly RegionChoice[];

/**
 * How often the interpreter goes to an address by a jump, or back by a branch, until it is hot; then it is counted anew.
 * What is translated is not only to be translated here: V8 compiles it twice, the second time on a thread that may be
 * short of a core.
 */
export const HOT_JUMPS = 4_096;
/**
 * Instructions after which all are counted anew: what is hot is found soon, and what adds up slowly over a boot isn't worth
 * translating. With 16,384 jumps in any time as the only rule, boots of Linux take 3 to 6 % longer, and kernels of 100 ms 3 %.
 */
export const HOT_WITHIN = 4_000_000;
/**
 * Jumps that make an address hot however long they take. A program with many functions has none that is hot soon: Python
 * would take twice the time without this.
 */
export const HOT_JUMPS_EVER = 16_384;
/**
 * Instructions that what is hot by `HOT_JUMPS_EVER` alone is translated with at the most. Longer pieces would mostly be what is
 * translated already, and would be executed as V8's baseline compiler has them until the optimising one is done.
 */
export const SLOWLY_HOT_INSTRUCTIONS = 128;
