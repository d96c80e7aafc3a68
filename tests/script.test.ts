/** `--expect`, `--timeout` and what they mean for the exit status, with firmware of four instructions. */
import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { v8a } from './support/cli.js';
import { LETTER_A, scratch } from './support/guests.js';

const files = scratch();
after(() => files.remove());
const firmware = files.path('letter.bin');
writeFileSync(firmware, LETTER_A);

suite('a script on the command line', () => {
  test('ends with status 0 when the guest has printed the last text', async () => {
    const { status, stdout, stderr } = await v8a([
      ...['run', '--firmware', firmware, '--expect', 'A', '--timeout', '60s'],
    ]);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'A');
    assert.equal(stderr, '');
  });

  test('ends with status 1, the missing text and the last output when the time is over', async () => {
    const { status, stderr } = await v8a([
      ...['run', '--firmware', firmware, '--expect', 'A', '--expect', 'never', '--timeout', '3s'],
    ]);
    assert.equal(status, 1);
    assert.match(stderr, /never/);
    assert.match(stderr, /^A$/m);
  });
});
