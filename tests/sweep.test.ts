/** Which words are instructions, compared with QEMU: a subset of `npm run test:sweep`. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MODELS, openPair } from './oracle/check.js';
import { missingTool } from './oracle/qemu-user.js';
import { boundaryWords, strideWords, sweep, sweepText } from './oracle/sweep.js';

const SEED = 0x5eed;
const STRIDE = 300_007;
const WORDS_PER_ROW = 2;

const missing = missingTool();

suite(
  'a word is an instruction where QEMU has one',
  { skip: missing !== undefined && `${missing} is not installed` },
  () => {
    for (const model of MODELS)
      test(model.name, async () => {
        const pair = openPair(model);
        try {
          for (const words of [strideWords(STRIDE), boundaryWords(SEED, WORDS_PER_ROW)]) {
            const result = await sweep(pair, words);
            const unexplained = [...result.lines.values()].filter(({ why }) => why === undefined);
            assert.equal(unexplained.length, 0, sweepText(result));
          }
        } finally {
          await pair.qemu.close();
        }
      });
  },
);
