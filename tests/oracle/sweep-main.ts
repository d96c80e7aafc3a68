/**
 * `npm run test:sweep`: which words are instructions, in v8a and under QEMU.
 *
 *     --stride N    distance of the words of the first part (4099)
 *     --seed N      other words of each row in the second part (1)
 *     --cpu MODEL   only this CPU model
 *
 * Prints the differences by row; the exit status is 1 where one has no reason.
 */
import { parseArgs } from 'node:util';
import { MODELS, openPair } from './check.js';
import { boundaryWords, strideWords, sweep, sweepText } from './sweep.js';

/** Random words of each row whose bits are changed. */
const WORDS_PER_ROW = 16;

const { values } = parseArgs({
  options: {
    stride: { type: 'string', default: '4099' },
    seed: { type: 'string', default: '1' },
    cpu: { type: 'string' },
  },
});

for (const model of MODELS) {
  if (values.cpu !== undefined && values.cpu !== model.name) continue;
  const pair = openPair(model);
  try {
    for (const words of [
      strideWords(Number(values.stride)),
      boundaryWords(Number(values.seed), WORDS_PER_ROW),
    ]) {
      const result = await sweep(pair, words);
      console.log(`${model.name}: ${sweepText(result)}`);
      if ([...result.lines.values()].some(({ why }) => why === undefined)) process.exitCode = 1;
    }
  } finally {
    await pair.qemu.close();
  }
}
