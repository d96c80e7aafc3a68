/**
 * `npm run test:fuzz-vars`: any number of damaged variable stores. Options: `--stores N` (10,000), `--seed N` (1),
 * `--image FILE`, to damage the store that firmware wrote there instead of small ones.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { fuzz, realSources } from './fuzz.js';

const { values } = parseArgs({
  options: {
    stores: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    image: { type: 'string' },
  },
});
const [stores, seed] = [Number(values.stores), Number(values.seed)];
if (!(stores >= 1) || !Number.isSafeInteger(seed)) {
  console.error('fuzz-vars: stores and seed are numbers');
  process.exit(2);
}
const start = performance.now();
const counts = fuzz(
  stores,
  seed,
  values.image === undefined ? undefined : realSources(readFileSync(values.image)),
);
const seconds = (performance.now() - start) / 1000;
console.log(
  `${stores} stores: ${counts.readable} could be read, ${counts.sound} of them sound, ${counts.repaired} were repaired;` +
    ` ${counts.changed} changes made, ${counts.refused} refused; ${Math.round(stores / seconds)} stores/s`,
);
