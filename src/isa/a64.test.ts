import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { A64 } from './a64.js';
import { disassemble } from './disassemble.js';
import { ignoredBits, randomSource, randomWord } from './random-encoder.js';
import type { Row } from './row.js';

const SEED = 0x5eed_a64;
const OBJDUMP = 'aarch64-linux-gnu-objdump';
/** Where the words are linked for objdump: far from zero, so that negative branch distances stay positive. */
const BASE = 0x1_4000_0000n;

const hasObjdump = spawnSync(OBJDUMP, ['--version']).status === 0;
const needsObjdump = hasObjdump ? {} : { skip: `${OBJDUMP} is not installed` };

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

/** objdump's text of each word: mnemonic, tab, operands; no symbols, no comments. */
function objdump(words: readonly number[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'v8a-objdump-'));
  try {
    const file = join(folder, 'words.bin');
    const bytes = new DataView(new ArrayBuffer(4 * words.length));
    words.forEach((word, i) => {
      bytes.setUint32(4 * i, word, true);
    });
    writeFileSync(file, new Uint8Array(bytes.buffer));
    const { stdout, status } = spawnSync(
      OBJDUMP,
      ['-b', 'binary', '-m', 'aarch64', '-D', '-z', '-M', 'no-aliases', `--adjust-vma=${BASE}`, file],
      { encoding: 'utf8', maxBuffer: 2 ** 28 },
    );
    assert.equal(status, 0);
    const lines: string[] = [];
    for (const line of stdout.split('\n')) {
      const text = /^\s*[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$/.exec(line)?.[1];
      // Without the name of a condition's alias and the symbol of a target.
      if (text !== undefined) lines.push(text.replace(/\s*\/\/.*| <[^>]*>/g, ''));
    }
    assert.equal(lines.length, words.length);
    return lines;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Where we and objdump 2.40 differ with reason. */
const EXCUSES: readonly { mask: number; match: number; when?: (word: number) => boolean; why: string }[] = [
  {
    mask: 0xffd0_0000,
    match: 0xd510_0000,
    why: 'MRS and MSR of registers that v8a lacks: objdump knows names of later extensions and of debug registers',
    when: (word) => /\bs[23]_\d_c\d+_c\d+_\d/.test(disassemble(word, 0n)),
  },
  {
    mask: 0xfb00_0c00,
    match: 0x1900_0400,
    why: 'CPY and SET with one register twice, or 31: CONSTRAINED UNPREDICTABLE, objdump refuses them',
    when: (word) => {
      const registers = [word & 31, (word >>> 5) & 31, (word >>> 16) & 31];
      return new Set(registers).size < 3 || registers.includes(31);
    },
  },
  {
    mask: 0xfe40_0000,
    match: 0x6840_0000,
    why: 'LDPSW of one register twice or with writeback to one it loads: CONSTRAINED UNPREDICTABLE',
    when: (word) => {
      const [Rt, Rn, Rt2] = [word & 31, (word >>> 5) & 31, (word >>> 10) & 31];
      const isWriteback = (word & 0x0080_0000) !== 0;
      return Rt === Rt2 || (isWriteback && (Rt === Rn || Rt2 === Rn) && Rn !== 31);
    },
  },
  {
    mask: 0,
    match: 0,
    why: 'features that objdump 2.40 does not know',
    when: (word) => /FEAT_(LSE128|THE|LRCPC3|GCS|SYSINSTR128|SYSREG128)/.test(A64.decode(word)?.name ?? ''),
  },
  {
    mask: 0xffff_f0df,
    match: 0xd500_409f,
    why: 'MSR PAN and SPSel use bit 0 of the immediate; objdump refuses the other bits',
    when: (word) => (word & 0xe00) !== 0,
  },
  {
    mask: 0xffff_f0ff,
    match: 0xd500_407f,
    why: 'MSR UAO uses bit 0 of the immediate; objdump refuses the other bits',
    when: (word) => (word & 0xe00) !== 0,
  },
  {
    mask: 0xffff_f09f,
    match: 0xd503_401f,
    why: 'MSR SSBS and DIT use bit 0 of the immediate; objdump refuses the other bits',
    when: (word) => (word & 0xe00) !== 0,
  },
];

function isExcused(word: number): boolean {
  return EXCUSES.some(
    ({ mask, match, when }) => (word & mask) >>> 0 === match && (when === undefined || when(word)),
  );
}

/** `word` with the bits that decoding ignores set, as the manual asks and objdump insists. */
function withIgnoredBits(word: number): number {
  const row = A64.decode(word);
  return row ? (word | ignoredBits(row)) >>> 0 : word;
}

const isDone = (row: Row): boolean => row.status === 'done';

function fixedBits(row: Row): number {
  return row.mask.toString(2).replaceAll('0', '').length;
}

test('no word belongs to two rows with the same number of fixed bits', () => {
  const random = randomSource(SEED);
  const words = A64.rows.flatMap((row) => Array.from({ length: 200 }, () => randomWord(row, random)));
  for (let i = 0; i < 50_000; i++) words.push(random());
  const overlaps = new Set<string>();
  for (const word of words) {
    const [first, ...others] = A64.claims(word);
    for (const other of others)
      if (first && fixedBits(first) === fixedBits(other))
        overlaps.add(`${hex(word)}: ${first.name} and ${other.name}`);
  }
  assert.deepEqual([...overlaps], []);
});

test('a random word of a row belongs to it, or to a row with more fixed bits', () => {
  const random = randomSource(SEED);
  for (const row of A64.rows)
    for (let i = 0; i < 50; i++) {
      const word = randomWord(row, random);
      const found = A64.decode(word);
      assert.ok(found === row || (found && fixedBits(found) > fixedBits(row)), `${row.name}: ${hex(word)}`);
    }
});

test('every row has a name of its own and a clause', () => {
  assert.equal(new Set(A64.rows.map((row) => row.name)).size, A64.rows.length);
  for (const row of A64.rows) assert.match(row.spec, /^DDI0487 C(6\.2|7\.2|4\.1)/, row.name);
});

test('disassembly is what objdump -M no-aliases prints', needsObjdump, () => {
  const random = randomSource(SEED);
  const words = A64.rows
    .filter(isDone)
    .flatMap((row) => Array.from({ length: 100 }, () => randomWord(row, random)));
  const theirs = objdump(words);
  const wrong = words.flatMap((word, i) => {
    const ours = disassemble(word, BASE + 4n * BigInt(i));
    return ours === theirs[i] || isExcused(word) ? [] : [`${hex(word)}: '${ours}', objdump '${theirs[i]}'`];
  });
  assert.deepEqual(wrong, []);
});

/** Bits 28 to 25 of the groups of C4.1 that only use general registers; system instructions apart. */
function isIntegerGroup(word: number): boolean {
  const op0 = (word >>> 25) & 15;
  const isSystem = (word & 0xffc0_0000) >>> 0 === 0xd500_0000;
  const isSystemRegister = isSystem && ((word >>> 19) & 3) !== 0;
  const isReserved = op0 === 0 && word >>> 16 !== 0;
  const isLoadStoreSimd = (op0 & 5) === 4 && (word & 0x0400_0000) !== 0;
  return !isReserved && !isSystemRegister && !isLoadStoreSimd && (op0 & 6) !== 2 && (op0 & 7) !== 7;
}

test('a word is an instruction where objdump says so', needsObjdump, () => {
  const random = randomSource(SEED);
  const words: number[] = [];
  // Random words, and instructions with one bit changed: close to the borders of the encodings.
  while (words.length < 60_000) {
    const word = withIgnoredBits(random());
    if (isIntegerGroup(word)) words.push(word);
  }
  for (const row of A64.rows)
    for (let i = 0; i < 100; i++) {
      const word = withIgnoredBits((randomWord(row, random) ^ (1 << (random() & 31))) >>> 0);
      if (isIntegerGroup(word)) words.push(word);
    }
  const theirs = objdump(words);
  const wrong = words.flatMap((word, i) => {
    const isOurs = A64.decode(word) !== undefined;
    const isTheirs = theirs[i]?.endsWith('; undefined') !== true;
    return isOurs === isTheirs || isExcused(word)
      ? []
      : [`${hex(word)}: ${A64.decode(word)?.name}, objdump '${theirs[i]}'`];
  });
  assert.deepEqual(wrong, []);
});
