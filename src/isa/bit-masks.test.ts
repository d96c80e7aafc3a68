import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitMask, isBitMask } from './bit-masks.js';

function fields(index: number): [number, number, number] {
  return [index >> 12, (index >> 6) & 63, index & 63];
}

test('bit masks are the 5334 repeated rotated runs of ones, each with one encoding of its element (DDI0487 C3.4.2)', () => {
  // Built from the description, not from the decoding: elements of 2 to 64 bits, runs of 1 to size − 1 ones, rotated.
  const expected = new Set<bigint>();
  for (let size = 2; size <= 64; size *= 2)
    for (let ones = 1; ones < size; ones++)
      for (let rotation = 0; rotation < size; rotation++) {
        const run = '0'.repeat(size - ones) + '1'.repeat(ones);
        const element = run.slice(size - rotation) + run.slice(0, size - rotation);
        expected.add(BigInt(`0b${element.repeat(64 / size)}`));
      }
  const found = new Set<bigint>();
  for (let index = 0; index < 2 ** 13; index++) {
    const [N, , imms] = fields(index);
    if (isBitMask(1, N, imms)) found.add(bitMask(index));
    else assert.equal(bitMask(index), 0n);
  }
  assert.equal(expected.size, 5334);
  assert.deepEqual([...found].sort(), [...expected].sort());
});

test('32-bit operands have no 64-bit elements (DDI0487 C6.2, AND (immediate))', () => {
  assert.equal(isBitMask(0, 1, 0), false);
  assert.equal(isBitMask(1, 1, 0), true);
  assert.equal(isBitMask(0, 0, 0), true);
});
