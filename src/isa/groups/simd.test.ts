import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Decoder } from '../decoder.js';
import type { Row } from '../row.js';
import { FLOATING_POINT } from './floating-point.js';
import { LOADS_STORES_SIMD } from './loads-stores-simd.js';
import { SIMD_COPY } from './simd-copy.js';
import { SIMD_THREE_SAME } from './simd-three-same.js';

const ROWS: readonly Row[] = [...LOADS_STORES_SIMD, ...SIMD_COPY, ...FLOATING_POINT, ...SIMD_THREE_SAME];
const DECODER = new Decoder(ROWS);

/** xorshift32: the words must be the same in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** `count` words that decode to each row; fewer where the row has fewer. */
function wordsOf(rows: readonly Row[], count: number): { row: Row; word: number }[] {
  const random = generator(0x5eed);
  return rows.flatMap((row) => {
    const words = new Set<number>();
    for (let attempt = 0; attempt < 60 * count && words.size < count; attempt++) {
      const word = ((random() & ~row.mask) | row.match) >>> 0;
      if (row.accepts(word) && DECODER.decode(word) === row) words.add(word);
    }
    assert.notEqual(words.size, 0, `${row.name}: no word found`);
    return [...words].map((word) => ({ row, word }));
  });
}

function disassemble(words: readonly number[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'v8a-'));
  try {
    const file = join(folder, 'words');
    writeFileSync(file, Buffer.from(Uint32Array.from(words).buffer));
    const listing = execFileSync(
      'aarch64-linux-gnu-objdump',
      ['-D', '-z', '-b', 'binary', '-m', 'aarch64', '-M', 'no-aliases', file],
      { encoding: 'utf8', maxBuffer: 1 << 28 },
    );
    const lines = listing.split('\n').filter((line) => /^ +[0-9a-f]+:\t/.test(line));
    assert.equal(lines.length, words.length);
    // Comments are no part of the instruction.
    return lines.map((line) =>
      line.split('\t').slice(2).join('\t').replace(/\s*\/\/.*$/, '').trimEnd(),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function hasObjdump(): boolean {
  try {
    execFileSync('aarch64-linux-gnu-objdump', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test(
  'SIMD and FP rows print what binutils prints',
  { skip: hasObjdump() ? false : 'no aarch64-linux-gnu-objdump' },
  () => {
    const cases = wordsOf(
      ROWS.filter((row) => row.status === 'done'),
      100,
    );
    const expected = disassemble(cases.map(({ word }) => word));
    const wrong = cases.flatMap(({ row, word }, i) => {
      const text = row.text(word, BigInt(4 * i));
      return text === expected[i]
        ? []
        : [`${word.toString(16)} ${row.name}: '${text}', binutils '${expected[i]}'`];
    });
    assert.deepEqual(wrong.slice(0, 40), []);
  },
);

test('no word belongs to two SIMD and FP rows of equal rank', () => {
  for (const { word } of wordsOf(ROWS, 200)) {
    const [first, second] = DECODER.claims(word);
    assert.ok(
      !first || !second || first.mask !== second.mask,
      `${word.toString(16)}: ${first?.name} and ${second?.name}`,
    );
  }
});
