import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBlocks } from './describe-image.js';
import { FIRST_AT, smallStore } from './store-suite.js';

test('an image is described by blocks and by what is known', () => {
  const image = new Uint8Array(0x6000).fill(0xff);
  image.set(smallStore({ name: 'A', data: [1] }), 0);
  image.fill(0, 0x4000, 0x5000);
  const { runs, found } = describeBlocks(image, 0x1000);
  assert.deepEqual(runs, [
    { first: 0, last: 1, contents: 'used', usedBytes: 0x1020 },
    { first: 2, last: 3, contents: 'erased', usedBytes: 0 },
    { first: 4, last: 4, contents: 'zeros', usedBytes: 0 },
    { first: 5, last: 5, contents: 'erased', usedBytes: 0 },
  ]);
  assert.deepEqual(
    found.map(({ at }) => at),
    [0, 0x1000],
  );
  const free = 0x1000 - FIRST_AT - 68;
  assert.match(
    found[0]!.text,
    new RegExp(`12288 bytes: authenticated .* with 1 variables, ${free} bytes free$`),
  );
  assert.match(found[1]!.text, /working block .*, 4096 bytes/);
});

test('a last block that is cut off, and an empty image', () => {
  assert.deepEqual(describeBlocks(new Uint8Array(5), 4).runs, [
    { first: 0, last: 1, contents: 'zeros', usedBytes: 0 },
  ]);
  assert.deepEqual(describeBlocks(new Uint8Array(), 4), { runs: [], found: [] });
});
