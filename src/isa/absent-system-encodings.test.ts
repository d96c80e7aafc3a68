import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABSENT_SYSTEM_ENCODINGS, absentSystemEncoding } from './absent-system-encodings.js';
import {
  SYSTEM_OPERATIONS,
  SYSTEM_REGISTERS,
  systemEncoding,
  systemEncodingText,
} from './system-registers.js';

test('no encoding is both present and absent, or has two names', () => {
  const names = new Map(
    [...SYSTEM_REGISTERS, ...SYSTEM_OPERATIONS].map(({ name, encoding }) => [encoding, name]),
  );
  const doubles: string[] = [];
  for (const { name, encodings } of ABSENT_SYSTEM_ENCODINGS)
    for (const encoding of encodings) {
      const other = names.get(encoding);
      if (other !== undefined && !name.includes('<n>'))
        doubles.push(`${systemEncodingText(encoding)}: ${name}, ${other}`);
      names.set(encoding, name);
    }
  assert.deepEqual(doubles, [], 'what is present leaves absent-system-encodings.ts');
});

test('numbered registers are found by their encodings (DDI0487 D19.2)', () => {
  assert.equal(absentSystemEncoding(systemEncoding(2, 1, 8, 15, 6))?.name, 'BRBTGT<n>_EL1');
  assert.equal(absentSystemEncoding(systemEncoding(3, 3, 14, 11, 6))?.feature, 'more event counters');
  assert.equal(absentSystemEncoding(systemEncoding(3, 6, 1, 1, 0))?.feature, 'EL3');
  assert.equal(absentSystemEncoding(systemEncoding(3, 0, 1, 7, 7)), undefined);
});
