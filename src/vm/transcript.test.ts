import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Transcript } from './transcript.js';

function lastLines(text: string, count = 10): string[] {
  const transcript = new Transcript();
  transcript.append(text);
  return transcript.lastLines(count);
}

describe('the last lines for a report', () => {
  const sequences: readonly (readonly [what: string, sequence: string])[] = [
    ['colours', '\u001b[1m\u001b[37;40m'],
    ['private modes', '\u001b[=3h\u001b[?25l'],
    ['a terminal title that BEL ends', '\u001b]0;title\u0007'],
    ['a terminal title that ST ends', '\u001b]0;title\u001b\\'],
    ['a device control string', '\u001bP1$r0m\u001b\\'],
    ['a character set', '\u001b(B'],
    ['saving and restoring the cursor', '\u001b7\u001b8'],
    ['a full reset', '\u001bc'],
    ['C0 and C1 control characters', '\u0007\u0000\u0085\u007f'],
    ['a sequence that was not finished', '\u001b'],
  ];
  for (const [what, sequence] of sequences) {
    test(`are without ${what}`, () => {
      assert.deepEqual(lastLines(`one${sequence}\ntwo`), ['one', 'two']);
    });
  }

  test('hold no control character, whatever the guest prints', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'\u001b[]P;\\01HJmé\r\n\u0007\u009b a') }), (text) => {
        for (const line of lastLines(text)) assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f]/);
      }),
      { seed: 6, numRuns: 500 },
    );
  });

  test('are at most 200 characters each', () => {
    assert.deepEqual(
      lastLines(`${'x'.repeat(1000)}\nend`).map((line) => line.length),
      [200, 3],
    );
  });

  test('show what was written last where a line was written anew', () => {
    assert.deepEqual(lastLines('10 %\r50 %\r100 %\r\n'), ['100 %']);
    assert.deepEqual(lastLines('\u001b[05;01H5 seconds\u001b[05;01H4 seconds\u001b[06;01HShell>'), [
      '4 seconds',
      'Shell>',
    ]);
  });

  test('keep together what was written from different columns', () => {
    assert.deepEqual(lastLines('\u001b[06;01HShell>\u001b[06;08Hver'), ['Shell>ver']);
  });
});
