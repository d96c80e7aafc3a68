/** Damaged variable stores, some hundred; `npm run test:fuzz-vars` has any number. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';

import { fuzz } from './vars-fuzz/fuzz.js';

test('no damaged store makes v8a vars fail, or write a worse one', () => {
  const counts = fuzz(800, 20_250_102);
  assert.ok(counts.readable > 300 && counts.sound > 50, JSON.stringify(counts));
  assert.ok(counts.repaired > 50 && counts.changed > 300 && counts.refused > 100, JSON.stringify(counts));
});
