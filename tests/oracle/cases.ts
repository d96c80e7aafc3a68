/**
 * Cases worth keeping: each was a mistake once, or is one that is easily made. `npm run test:oracle` and `npm test --
 * oracle` print the line of every difference that they find.
 */
import type { NamedCase } from './named-cases.js';

export const NAMED_CASES: readonly NamedCase[] = [
  { title: 'EXTR by 0 is the second register (DDI0487 C6.2)', words: [0x93c603c1], before: { x6: 0x80n, x30: 0x1eff_12f5_5079_8b90n }, after: { x1: 0x80n } },
  { title: 'STXRB fails once CLREX has opened the monitor, whatever the address (DDI0487 B2.9.1)', words: [0x085f7c41, 0xd5033f5f, 0x08037ca4], before: { x2: 0x20_0000_0800n, x5: 0xffff_ffff_ffff_ffffn }, after: { x3: 0x1n }, departure: 'DDI0487 B2.9.1' },
]; // prettier-ignore
