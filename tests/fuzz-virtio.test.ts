/** Drivers that do anything to virtio devices, for some thousand chains; `npm run test:fuzz-virtio` does any number. */
import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';

import { fuzz, TRANSPORTS } from './virtio-fuzz/fuzz.js';
import { SUBJECTS } from './virtio-fuzz/subjects.js';

/** For each device, shared by the transports. */
const CHAINS = 5000;

suite('virtio devices survive drivers that do anything, and answer after a reset', () => {
  for (const device of Object.keys(SUBJECTS))
    for (const transport of TRANSPORTS)
      test(`virtio-${device} over ${transport}`, () => {
        const counts = fuzz(device, transport, CHAINS / TRANSPORTS.length, 20_250_101);
        assert.ok(counts.completed > 100, 'chains in right rings are among them');
        assert.ok(counts.needingReset > 10, 'and mistakes that need a reset');
      });
});
