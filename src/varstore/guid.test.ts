import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatAttributes, parseAttributes } from './attributes.js';
import { crc32 } from './crc32.js';
import { guidName, parseGuid, readGuid, writeGuid } from './guid.js';

describe('GUIDs', () => {
  test('are three little-endian numbers and eight bytes (UEFI 2.10, appendix A)', () => {
    const bytes = Uint8Array.from({ length: 18 }, (_, index) => index);
    assert.equal(readGuid(bytes, 1), '04030201-0605-0807-090a-0b0c0d0e0f10');
    const copy = new Uint8Array(18);
    writeGuid(copy, 1, '04030201-0605-0807-090a-0b0c0d0e0f10');
    assert.deepEqual(copy.subarray(1, 17), bytes.subarray(1, 17));
  });

  test('are known by the names that EDK2 has for them', () => {
    const guid = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
    assert.equal(guidName(guid), 'EfiGlobalVariable');
    for (const text of [guid, guid.toUpperCase(), 'efiglobalvariable', 'gEfiGlobalVariableGuid']) {
      assert.equal(parseGuid(text), guid);
    }
    for (const text of ['', 'nobody', guid.slice(1), `${guid}0`]) assert.equal(parseGuid(text), undefined);
  });
});

test('attributes are written as in the UEFI shell', () => {
  for (const [attributes, text] of [
    [7, 'NV+BS+RT'],
    [0x27, 'NV+BS+RT+AT'],
    [0, '0'],
    [0x8000_0001, 'NV+0x80000000'],
  ] as const) {
    assert.equal(formatAttributes(attributes), text);
  }
  assert.equal(parseAttributes('nv,BS'), 3);
  assert.equal(parseAttributes('NV+XX'), undefined);
});

test('CRC-32 has its check value', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf4_3926);
});
