/** The Cryptographic Extension: AES, polynomial multiplication, SHA-1, SHA-256. DDI0487 C4.1.97. */
import type { I32, I64, V128 } from '../../wasm/expr.js';
import {
  add, and, i32, i64, mul, or, rotl, rotr, shl, shrU, v128, xor,
} from '../../wasm/expr.js'; // prettier-ignore
import { extractLane, replaceLane, shuffle, splat, vector, vectorShift } from '../../wasm/simd.js';
import type { Feature } from '../features.js';
import type { Helper, HelperBody } from '../helper.js';
import type { Row } from '../row.js';
import { insn } from '../row.js';
import { bitAnd, bitOr, bitXor } from '../simd-arithmetic.js';
import { scalar, vec } from '../simd-text.js';
import type { Stage } from '../stage.js';

// ---- AES: FIPS 197. The state is a vector, column by column.

/** x · a in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. FIPS 197 4.2. */
const timesX = (a: number): number => ((a << 1) ^ ((a & 0x80) === 0 ? 0 : 0x11b)) & 0xff;

/** FIPS 197 5.1.1: the inverse, then an affine transformation. */
function makeSBox(): Uint8Array {
  const box = new Uint8Array(256);
  // Powers of the generator 3 and of its inverse go through the field in step.
  let power = 1;
  let inverse = 1;
  const rotate = (a: number, by: number): number => ((a << by) | (a >> (8 - by))) & 0xff;
  for (let i = 0; i < 255; i++) {
    box[power] =
      inverse ^ rotate(inverse, 1) ^ rotate(inverse, 2) ^ rotate(inverse, 3) ^ rotate(inverse, 4) ^ 0x63;
    power ^= timesX(power);
    // By 1/3 = 0xf6 = x^7 + x^6 + x^5 + x^4 + x^2 + x.
    let next = 0;
    for (let factor = 0xf6, a = inverse; factor !== 0; factor >>= 1, a = timesX(a))
      if ((factor & 1) === 1) next ^= a;
    inverse = next;
  }
  box[0] = 0x63;
  return box;
}

const S_BOX = makeSBox();
const INVERSE_S_BOX = Uint8Array.from({ length: 256 }, (_, value) => S_BOX.indexOf(value));

const vectorHelper = (
  name: string,
  operands: number,
  build: (body: HelperBody, args: V128[]) => V128,
): Helper<'v128'> => ({
  name,
  params: Array<'v128'>(operands).fill('v128'),
  result: 'v128',
  build: (body) => {
    const args = Array.from({ length: operands }, (_, i) => body.fb.get(body.fb.param(i, 'v128')));
    body.fb.return(build(body, args));
  },
});

/** Every byte replaced by `table` of it: sixteen tables of 16 entries, of which at most one is not zero. */
function substitute({ fb }: HelperBody, table: Uint8Array, a: V128): V128 {
  let index = a;
  let result: V128 | undefined;
  for (let part = 0; part < 16; part++) {
    if (part > 0) index = fb.let(vector('i8x16.sub', index, splat('i8x16.splat', i32(16))));
    const found = vector('i8x16.swizzle', v128(table.subarray(16 * part, 16 * part + 16)), index);
    result = fb.let(result ? bitOr(result, found) : found);
  }
  return result ?? a;
}

/** FIPS 197 5.1.2: row r of the state moves left by r columns; 5.3.1 moves right. */
const shiftedRows = (direction: 1 | -1): number[] =>
  Array.from({ length: 16 }, (_, i) => (i + 16 + direction * 4 * (i % 4)) % 16);

const round = (name: string, table: Uint8Array, direction: 1 | -1): Helper<'v128'> =>
  vectorHelper(name, 2, (body, [state, key]) => {
    const mixed = body.fb.let(bitXor(state!, key!));
    const shifted = body.fb.let(shuffle(mixed, mixed, shiftedRows(direction)));
    return substitute(body, table, shifted);
  });

/** Bytes of each column, moved up by `count` rows. */
const rotatedColumns = (a: V128, count: number): V128 =>
  shuffle(
    a,
    a,
    Array.from({ length: 16 }, (_, i) => (i & 12) | ((i + count) & 3)),
  );

function timesXEach(a: V128): V128 {
  const reduction = bitAnd(vectorShift('i8x16.shr_s', a, i32(7)), splat('i8x16.splat', i32(0x1b)));
  return bitXor(vectorShift('i8x16.shl', a, i32(1)), reduction);
}

/** FIPS 197 5.1.3: row r becomes 2·r ⊕ 3·(r + 1) ⊕ (r + 2) ⊕ (r + 3). */
function mixColumns({ fb }: HelperBody, a: V128): V128 {
  const next = fb.let(rotatedColumns(a, 1));
  const rest = bitXor(rotatedColumns(a, 2), rotatedColumns(a, 3));
  return bitXor(timesXEach(fb.let(bitXor(a, next))), bitXor(next, rest));
}

const AES_ROUND = round('aesRound', S_BOX, 1);
const AES_INVERSE_ROUND = round('aesInverseRound', INVERSE_S_BOX, -1);
const AES_MIX = vectorHelper('aesMixColumns', 1, (body, [a]) => mixColumns(body, a!));
/** FIPS 197 5.3.3. Its matrix is that of MixColumns times one that adds 4·(r ⊕ (r + 2)) to each row. */
const AES_INVERSE_MIX = vectorHelper('aesInverseMixColumns', 1, (body, [a]) => {
  const { fb } = body;
  const pairs = fb.let(bitXor(a!, rotatedColumns(a!, 2)));
  const doubled = fb.let(timesXEach(pairs));
  return mixColumns(body, fb.let(bitXor(a!, timesXEach(doubled))));
});

// ---- polynomials over {0, 1} of 64 bits

const EVERY_FOURTH = [0, 1, 2, 3].map((first) => 0x1111_1111_1111_1111n << BigInt(first));

/**
 * The low half of the product. Of numbers that have every fourth bit only, an integer product has sums of at most 16
 * there, whose carries do not reach the next bit that counts.
 */
const POLYNOMIAL_LOW: Helper<'i64'> = {
  name: 'polynomialLow',
  params: ['i64', 'i64'],
  result: 'i64',
  build: ({ fb }) => {
    const parts = [0, 1].map((i) =>
      EVERY_FOURTH.map((mask) => fb.let(and(fb.get(fb.param(i, 'i64')), i64(mask)))),
    );
    const [a, b] = parts as [I64[], I64[]];
    let result: I64 = i64(0);
    EVERY_FOURTH.forEach((mask, n) => {
      let sum: I64 | undefined;
      for (let i = 0; i < 4; i++) {
        const product = mul(a[i]!, b[(n - i + 4) % 4]!);
        sum = sum ? xor(sum, product) : product;
      }
      result = fb.let(or(result, and(sum!, i64(mask))));
    });
    fb.return(result);
  },
};

const REVERSE_BITS: Helper<'i64'> = {
  name: 'reverseBits',
  params: ['i64'],
  result: 'i64',
  build: ({ fb }) => {
    let x: I64 = fb.get(fb.param(0, 'i64'));
    for (const [by, mask] of [
      [1n, 0x5555_5555_5555_5555n],
      [2n, 0x3333_3333_3333_3333n],
      [4n, 0x0f0f_0f0f_0f0f_0f0fn],
      [8n, 0x00ff_00ff_00ff_00ffn],
      [16n, 0x0000_ffff_0000_ffffn],
    ] as const)
      x = fb.let(or(shl(and(x, i64(mask)), i64(by)), and(shrU(x, i64(by)), i64(mask))));
    fb.return(rotl(x, i64(32)));
  },
};

const POLYNOMIAL: Helper<'v128'> = {
  name: 'polynomialMultiply',
  params: ['i64', 'i64'],
  result: 'v128',
  build: ({ fb, call }) => {
    const [a, b] = [fb.get(fb.param(0, 'i64')), fb.get(fb.param(1, 'i64'))];
    const low = call(POLYNOMIAL_LOW, a, b);
    // The high half is the low half of the product read backwards, which has 127 bits.
    const mirrored = call(POLYNOMIAL_LOW, call(REVERSE_BITS, a), call(REVERSE_BITS, b));
    const high = shrU(call(REVERSE_BITS, mirrored), i64(1));
    fb.return(replaceLane('i64x2.replace_lane', splat('i64x2.splat', low), 1, high));
  },
};

// ---- SHA: FIPS 180-4. Elements of vectors are its words.

const word = (a: V128, index: number): I32 => extractLane('i32x4.extract_lane', a, index);

function words(elements: readonly I32[]): V128 {
  const [first, ...rest] = elements;
  return rest.reduce(
    (result, value, i) => replaceLane('i32x4.replace_lane', result, i + 1, value),
    splat('i32x4.splat', first ?? i32(0)),
  );
}

const choose = (x: I32, y: I32, z: I32): I32 => xor(and(xor(y, z), x), z);
const parity = (x: I32, y: I32, z: I32): I32 => xor(xor(x, y), z);
const majority = (x: I32, y: I32, z: I32): I32 => or(and(x, y), and(or(x, y), z));
const rotations = (x: I32, ...by: [number, number, number]): I32 =>
  by.map((n) => rotr(x, i32(n))).reduce((a, b) => xor(a, b));

/** Four rounds of SHA-1: hash words a to d in a vector, e, and four words of the schedule with constants added. */
const sha1Rounds = (name: string, f: typeof choose): Helper<'v128'> => ({
  name,
  params: ['v128', 'i32', 'v128'],
  result: 'v128',
  build: ({ fb }) => {
    const [hash, schedule] = [fb.get(fb.param(0, 'v128')), fb.get(fb.param(2, 'v128'))];
    let [a, b, c, d] = [0, 1, 2, 3].map((i) => fb.let(word(hash, i))) as [I32, I32, I32, I32];
    let e: I32 = fb.get(fb.param(1, 'i32'));
    for (let i = 0; i < 4; i++) {
      const next = fb.let(add(add(add(e, rotl(a, i32(5))), f(b, c, d)), word(schedule, i)));
      [a, b, c, d, e] = [next, a, fb.let(rotl(b, i32(30))), c, d];
    }
    fb.return(words([a, b, c, d]));
  },
});

const SHA1_ROUNDS = {
  SHA1C: sha1Rounds('sha1Choose', choose),
  SHA1P: sha1Rounds('sha1Parity', parity),
  SHA1M: sha1Rounds('sha1Majority', majority),
} as const;

/** Four rounds of SHA-256, words a to d and e to h; gives the first half of the hash, or the second. */
const sha256Rounds = (name: string, isFirst: boolean): Helper<'v128'> =>
  vectorHelper(name, 3, ({ fb }, [first, second, schedule]) => {
    const part = (from: V128): I32[] => [0, 1, 2, 3].map((i) => fb.let(word(from, i)));
    let [a, b, c, d] = part(first!) as [I32, I32, I32, I32];
    let [e, f, g, h] = part(second!) as [I32, I32, I32, I32];
    for (let i = 0; i < 4; i++) {
      const t = fb.let(add(add(h, rotations(e, 6, 11, 25)), add(choose(e, f, g), word(schedule!, i))));
      const next = fb.let(add(t, add(rotations(a, 2, 13, 22), majority(a, b, c))));
      [a, b, c, d, e, f, g, h] = [next, a, b, c, fb.let(add(d, t)), e, f, g];
    }
    return words(isFirst ? [a, b, c, d] : [e, f, g, h]);
  });

const SHA256_FIRST = sha256Rounds('sha256First', true);
const SHA256_SECOND = sha256Rounds('sha256Second', false);

const SHA256_SCHEDULE_0 = vectorHelper('sha256Schedule0', 2, ({ fb }, [a, b]) => {
  const old = [0, 1, 2, 3].map((i) => fb.let(word(a!, i)));
  const following = [...old.slice(1), fb.let(word(b!, 0))];
  return words(
    following.map((x, i) => add(old[i]!, xor(xor(rotr(x, i32(7)), rotr(x, i32(18))), shrU(x, i32(3))))),
  );
});

const SHA256_SCHEDULE_1 = vectorHelper('sha256Schedule1', 3, ({ fb }, [d, n, m]) => {
  const sums = [0, 1, 2, 3].map((i) => add(word(d!, i), i < 3 ? word(n!, i + 1) : word(m!, 0)));
  const result: I32[] = [];
  for (let i = 0; i < 4; i++) {
    const x = i < 2 ? fb.let(word(m!, i + 2)) : result[i - 2]!;
    const sigma = xor(xor(rotr(x, i32(17)), rotr(x, i32(19))), shrU(x, i32(10)));
    result.push(fb.let(add(sums[i]!, sigma)));
  }
  return words(result);
});

// ---- rows

type TwoCompute = (s: Stage, d: V128, n: V128) => V128;

function twoRegister(name: string, feature: Feature, opcode: string, compute: TwoCompute): Row {
  const isAes = feature === 'AES';
  const bits = '01 0 0 1110 00 10100 00000 10 Vn:5 Vd:5';
  const start = isAes ? bits : bits.replace('01 0 0 1110', '01 0 1 1110');
  return insn(name, {
    bits: start.replace(' 00000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${name}`,
    feature,
    simd: true,
    text: ({ Vn, Vd }) =>
      `${name.toLowerCase()}\t${isAes ? vec(Vd, 0, 1) : vec(Vd, 2, 1)}, ${isAes ? vec(Vn, 0, 1) : vec(Vn, 2, 1)}`,
    exec(s, { Vn, Vd }) {
      s.setV(Vd, compute(s, s.let(s.v(Vd)), s.let(s.v(Vn))));
    },
  });
}

type ThreeCompute = (s: Stage, d: V128, n: V128, m: V128) => V128;

/** How the assembly text writes the first two operands: a quadword and a word, quadwords, or vectors of words. */
type HashText = 'hash1' | 'hash256' | 'schedule';

function threeRegister(
  name: string,
  feature: Feature,
  opcode: string,
  kind: HashText,
  compute: ThreeCompute,
): Row {
  const bits = '01 0 11110 00 0 Vm:5 0 000 00 Vn:5 Vd:5';
  return insn(name, {
    bits: bits.replace(' 0 000 00 ', ` 0 ${opcode} 00 `) as typeof bits,
    spec: `DDI0487 C7.2 ${name}`,
    feature,
    simd: true,
    text: ({ Vm, Vn, Vd }) => {
      const d = kind === 'schedule' ? vec(Vd, 2, 1) : scalar(Vd, 4);
      const n = kind === 'schedule' ? vec(Vn, 2, 1) : scalar(Vn, kind === 'hash1' ? 2 : 4);
      return `${name.toLowerCase()}\t${d}, ${n}, ${vec(Vm, 2, 1)}`;
    },
    exec(s, { Vm, Vn, Vd }) {
      s.setV(Vd, compute(s, s.let(s.v(Vd)), s.let(s.v(Vn)), s.let(s.v(Vm))));
    },
  });
}

const hash1 =
  (helper: Helper<'v128'>): ThreeCompute =>
  (s, d, n, m) =>
    s.call(helper, d, word(n, 0), m);

export const SIMD_CRYPTO: readonly Row[] = [
  twoRegister('AESE', 'AES', '00100', (s, d, n) => s.call(AES_ROUND, d, n)),
  twoRegister('AESD', 'AES', '00101', (s, d, n) => s.call(AES_INVERSE_ROUND, d, n)),
  twoRegister('AESMC', 'AES', '00110', (s, _, n) => s.call(AES_MIX, n)),
  twoRegister('AESIMC', 'AES', '00111', (s, _, n) => s.call(AES_INVERSE_MIX, n)),
  insn('SHA1H', {
    bits: '01 0 1 1110 00 10100 00000 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 SHA1H',
    feature: 'SHA1',
    simd: true,
    text: ({ Vn, Vd }) => `sha1h\t${scalar(Vd, 2)}, ${scalar(Vn, 2)}`,
    exec(s, { Vn, Vd }) {
      s.setS(Vd, rotl(s.s(Vn), i32(30)));
    },
  }),
  twoRegister('SHA1SU1', 'SHA1', '00001', (s, d, n) => {
    const down = shuffle(
      n,
      splat('i32x4.splat', i32(0)),
      [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16, 16, 16],
    );
    const t = s.let(bitXor(d, down));
    const turned = (by: number): V128 =>
      bitOr(vectorShift('i32x4.shl', t, i32(by)), vectorShift('i32x4.shr_u', t, i32(32 - by)));
    const once = s.let(turned(1));
    return replaceLane('i32x4.replace_lane', once, 3, xor(word(once, 3), rotl(word(t, 0), i32(2))));
  }),
  twoRegister('SHA256SU0', 'SHA256', '00010', (s, d, n) => s.call(SHA256_SCHEDULE_0, d, n)),
  threeRegister('SHA1C', 'SHA1', '000', 'hash1', hash1(SHA1_ROUNDS.SHA1C)),
  threeRegister('SHA1P', 'SHA1', '001', 'hash1', hash1(SHA1_ROUNDS.SHA1P)),
  threeRegister('SHA1M', 'SHA1', '010', 'hash1', hash1(SHA1_ROUNDS.SHA1M)),
  threeRegister('SHA1SU0', 'SHA1', '011', 'schedule', (_, d, n, m) => {
    const middle = shuffle(
      d,
      n,
      Array.from({ length: 16 }, (_unused, i) => i + 8),
    );
    return bitXor(bitXor(middle, d), m);
  }),
  threeRegister('SHA256H', 'SHA256', '100', 'hash256', (s, d, n, m) => s.call(SHA256_FIRST, d, n, m)),
  threeRegister('SHA256H2', 'SHA256', '101', 'hash256', (s, d, n, m) => s.call(SHA256_SECOND, n, d, m)),
  threeRegister('SHA256SU1', 'SHA256', '110', 'schedule', (s, d, n, m) => s.call(SHA256_SCHEDULE_1, d, n, m)),
  insn('PMULL, PMULL2 (64-bit)', {
    bits: '0 Q 0 01110 11 1 Vm:5 1110 00 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 PMULL',
    feature: 'PMULL',
    static: ['Q'],
    simd: true,
    text: ({ Q, Vm, Vn, Vd }) => `pmull${Q === 1 ? '2' : ''}\tv${Vd}.1q, ${vec(Vn, 3, Q)}, ${vec(Vm, 3, Q)}`,
    exec(s, { Q, Vm, Vn, Vd }) {
      const half = (v: V128): I64 => extractLane('i64x2.extract_lane', v, Q);
      s.setV(Vd, s.call(POLYNOMIAL, half(s.v(Vn)), half(s.v(Vm))));
    },
  }),
];
