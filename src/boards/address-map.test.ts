import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantError } from '../base/index.js';
import { addressMap } from './address-map.js';
import type { MapEntry } from './ports.js';

function entry(name: string, base: number, sizeBytes: number): MapEntry {
  return {
    base,
    device: { name, sizeBytes, maxAccess: 4, read: () => 0, write: () => undefined, reset: () => undefined },
  };
}

test('entries come out in the order of addresses; neighbours may touch', () => {
  const map = addressMap([entry('b', 0x2000, 0x1000), entry('c', 0x3000, 1), entry('a', 0, 0x2000)]);
  assert.deepEqual(
    map.map(({ device }) => device.name),
    ['a', 'b', 'c'],
  );
});

test('two devices at one address are a bug of ours, named', () => {
  assert.throws(() => addressMap([entry('a', 0x1000, 0x11), entry('b', 0x1010, 4)]), {
    name: 'InvariantError',
    message: 'a at 0x1000 overlaps b at 0x1010',
  });
  assert.throws(() => addressMap([entry('a', 0, 8), entry('b', 0, 4)]), InvariantError);
});

test('ranges lie within the 52 bits of a physical address and are not empty', () => {
  for (const [base, sizeBytes] of [
    [-1, 4],
    [0, 0],
    [2 ** 52 - 4, 8],
  ] as const) {
    assert.throws(() => addressMap([entry('a', base, sizeBytes)]), InvariantError);
  }
});
