/**
 * When guest code is translated. `sync`: where it is found to be hot, before the guest goes on. `always`: before it is
 * executed first, which is slow, and for tests. The guest executes the same instructions either way.
 */
export const TRANSLATION_POLICIES = ['sync', 'off', 'always'] as const;
export type TranslationPolicy = (typeof TRANSLATION_POLICIES)[number];
export const DEFAULT_JIT: TranslationPolicy = 'sync';
