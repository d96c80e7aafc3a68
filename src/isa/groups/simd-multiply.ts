/** Advanced SIMD three different, and vector and scalar by indexed element. DDI0487 C4.1.97. */
import type { V128 } from '../../wasm/expr.js';
import { i32, i64, or, shl } from '../../wasm/expr.js';
import type { Feature } from '../features.js';
import type { ImmField, Row, VecField } from '../row.js';
import { insn } from '../row.js';
import type { Shape } from '../simd-arithmetic.js';
import {
  absoluteDifference, accumulatedMultiplyHigh, bitAnd, bitXor, doublingMultiplyHigh, doublingMultiplyWide, dotProduct, elementBits, narrow, saturatingAdd,
  saturatingSub, setHalf, shiftRight, signMask, zeros,
} from '../simd-arithmetic.js'; // prettier-ignore
import {
  laneBinary,
  laneShift,
  laneSplat,
  multiply,
  multiplyWide,
  setLow,
  sizeLog2,
  widen,
} from '../simd-lanes.js';
import { element, scalar, vec } from '../simd-text.js';
import type { Stage } from '../stage.js';

type Half = 'low' | 'high';

/** The operands' half that the plain and the second (`2`) forms use. */
function halfOf(Q: number): Half {
  return Q === 1 ? 'high' : 'low';
}

/**
 * From the elements of a half of `a` and `b`, of `size`, to elements of twice the size. `bytes` of the result count.
 * Operands are used any number of times.
 */
type WideCompute = (s: Stage, shape: Shape, half: Half, a: V128, b: V128, d: V128) => V128;

const addOrSub =
  (name: 'add' | 'sub'): WideCompute =>
  (_, { U, size }, half, a, b) =>
    laneBinary(name, size + 1, widen(size, half, U === 0, a), widen(size, half, U === 0, b));

/** The first operand is wide already. */
const addOrSubWide =
  (name: 'add' | 'sub'): WideCompute =>
  (_, { U, size }, half, a, b) =>
    laneBinary(name, size + 1, a, widen(size, half, U === 0, b));

const difference: WideCompute = (_, { U, size }, half, a, b) =>
  widen(size, half, false, absoluteDifference(U, size, a, b));

const product: WideCompute = (_, { U, size }, half, a, b) => multiplyWide(size, half, U === 0, a, b);

const accumulated =
  (name: 'add' | 'sub', compute: WideCompute): WideCompute =>
  (s, shape, half, a, b, d) =>
    laneBinary(name, shape.size + 1, d, compute(s, shape, half, a, b, d));

const doubled: WideCompute = (s, shape, half, a, b) => doublingMultiplyWide(s, shape, half, a, b);

const saturated =
  (combine: typeof saturatingAdd): WideCompute =>
  (s, { size, bytes }, half, a, b, d) => {
    const products = s.let(doublingMultiplyWide(s, { size, bytes }, half, a, b));
    return combine(s, { U: 0, size: size + 1, bytes }, s.let(d), products);
  };

/** Polynomials over {0, 1} of 8 bits. */
const polynomial: WideCompute = (s, _, half, a, b) => {
  const [x, y] = [s.let(widen(0, half, false, a)), s.let(widen(0, half, false, b))];
  let result = zeros();
  for (let bit = 0; bit < 8; bit++) {
    const hasBit = signMask(1, laneShift('shl', 1, y, i32(15 - bit)));
    result = s.let(bitXor(result, bitAnd(laneShift('shl', 1, x, i32(bit)), hasBit)));
  }
  return result;
};

interface Widening {
  readonly opcode: string;
  /** For U = 0 and U = 1; an empty name is unallocated. */
  readonly names: readonly [string, string];
  readonly sizes: readonly number[];
  readonly compute: WideCompute;
  readonly isFirstWide?: true;
  readonly hasScalar?: true;
}

const NARROW = [0, 1, 2];
/** Of the saturating ones. */
const MIDDLE = [1, 2];

const WIDENING: readonly Widening[] = [
  { opcode: '0000', names: ['saddl', 'uaddl'], sizes: NARROW, compute: addOrSub('add') },
  {
    opcode: '0001',
    names: ['saddw', 'uaddw'],
    sizes: NARROW,
    isFirstWide: true,
    compute: addOrSubWide('add'),
  },
  { opcode: '0010', names: ['ssubl', 'usubl'], sizes: NARROW, compute: addOrSub('sub') },
  {
    opcode: '0011',
    names: ['ssubw', 'usubw'],
    sizes: NARROW,
    isFirstWide: true,
    compute: addOrSubWide('sub'),
  },
  { opcode: '0101', names: ['sabal', 'uabal'], sizes: NARROW, compute: accumulated('add', difference) },
  { opcode: '0111', names: ['sabdl', 'uabdl'], sizes: NARROW, compute: difference },
  { opcode: '1000', names: ['smlal', 'umlal'], sizes: NARROW, compute: accumulated('add', product) },
  {
    opcode: '1001',
    names: ['sqdmlal', ''],
    sizes: MIDDLE,
    hasScalar: true,
    compute: saturated(saturatingAdd),
  },
  { opcode: '1010', names: ['smlsl', 'umlsl'], sizes: NARROW, compute: accumulated('sub', product) },
  {
    opcode: '1011',
    names: ['sqdmlsl', ''],
    sizes: MIDDLE,
    hasScalar: true,
    compute: saturated(saturatingSub),
  },
  { opcode: '1100', names: ['smull', 'umull'], sizes: NARROW, compute: product },
  { opcode: '1101', names: ['sqdmull', ''], sizes: MIDDLE, hasScalar: true, compute: doubled },
  { opcode: '1110', names: ['pmull', ''], sizes: [0], compute: polynomial },
];

function nameOf(names: readonly [string, string]): string {
  return names
    .filter((name) => name !== '')
    .join(', ')
    .toUpperCase();
}

function second(Q: number): string {
  return Q === 1 ? '2' : '';
}

function wideningRow({ opcode, names, sizes, compute, isFirstWide }: Widening): Row {
  const bits = '0 Q U 01110 size:2 1 Vm:5 0000 00 Vn:5 Vd:5';
  return insn(`${nameOf(names)} (vector)`, {
    bits: bits.replace(' 0000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)} (vector)`,
    static: ['Q', 'U', 'size'],
    allocated: ({ U, size }) => names[U] !== '' && sizes.includes(size),
    simd: true,
    text: ({ Q, U, size, Vm, Vn, Vd }) => {
      const first = isFirstWide ? vec(Vn, size + 1, 1) : vec(Vn, size, Q);
      return `${names[U]}${second(Q)}\t${vec(Vd, size + 1, 1)}, ${first}, ${vec(Vm, size, Q)}`;
    },
    exec(s, { Q, U, size, Vm, Vn, Vd }) {
      const [a, b] = [s.let(s.v(Vn)), s.let(s.v(Vm))];
      s.setV(Vd, compute(s, { U, size, bytes: 16 }, halfOf(Q), a, b, s.v(Vd)));
    },
  });
}

function scalarWideningRow({ opcode, names, sizes, compute }: Widening): Row {
  const bits = '01 0 11110 size:2 1 Vm:5 0000 00 Vn:5 Vd:5';
  return insn(`${nameOf(names)} (scalar)`, {
    bits: bits.replace(' 0000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)} (vector)`,
    static: ['size'],
    allocated: ({ size }) => sizes.includes(size),
    simd: true,
    text: ({ size, Vm, Vn, Vd }) =>
      `${names[0]}\t${scalar(Vd, size + 1)}, ${scalar(Vn, size)}, ${scalar(Vm, size)}`,
    exec(s, { size, Vm, Vn, Vd }) {
      const bytes = 2 << size;
      const [a, b] = [s.let(s.v(Vn)), s.let(s.v(Vm))];
      setLow(s, bytes, Vd, compute(s, { U: 0, size, bytes }, 'low', a, b, s.v(Vd)));
    },
  });
}

/** ADDHN and its kind: the high half of each sum or difference. `size` is that of the result. */
function highNarrowRow(opcode: string, names: readonly [string, string], name: 'add' | 'sub'): Row {
  const bits = '0 Q U 01110 size:2 1 Vm:5 0000 00 Vn:5 Vd:5';
  return insn(nameOf(names), {
    bits: bits.replace(' 0000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)}`,
    static: ['Q', 'U', 'size'],
    allocated: ({ size }) => size < 3,
    simd: true,
    text: ({ Q, U, size, Vm, Vn, Vd }) =>
      `${names[U]}${second(Q)}\t${vec(Vd, size, Q)}, ${vec(Vn, size + 1, 1)}, ${vec(Vm, size + 1, 1)}`,
    exec(s, { Q, U, size, Vm, Vn, Vd }) {
      const bitsOfHalf = elementBits(size);
      const sum = laneBinary(name, size + 1, s.v(Vn), s.v(Vm));
      const half = laneSplat(size + 1, i64(1n << BigInt(bitsOfHalf - 1)));
      const rounded = U === 1 ? laneBinary('add', size + 1, sum, half) : sum;
      const high = laneShift(shiftRight(1), size + 1, rounded, i32(bitsOfHalf));
      setHalf(s, Q, Vd, s.let(narrow(s, size, 16, 'truncate', s.let(high))));
    },
  });
}

// ---- by element

/**
 * The element is numbered H:L:M for halfwords, which can be in V0 to V15 only, and H:L for words. Each size is a row of
 * its own.
 */
interface ByElement {
  readonly opcode: string;
  readonly names: readonly [string, string];
  readonly compute:
    | { readonly isWide: true; readonly of: WideCompute }
    | {
        readonly isWide: false;
        readonly of: (s: Stage, shape: Shape, a: V128, b: V128, d: V128) => V128;
      };
  readonly hasScalar?: true;
  readonly feature?: Feature;
}

const BY_ELEMENT: readonly ByElement[] = [
  {
    opcode: '0000',
    names: ['', 'mla'],
    compute: {
      isWide: false,
      of: (_, { size }, a, b, d) => laneBinary('add', size, d, multiply(size, a, b)),
    },
  },
  { opcode: '0010', names: ['smlal', 'umlal'], compute: { isWide: true, of: accumulated('add', product) } },
  {
    opcode: '0011',
    names: ['sqdmlal', ''],
    hasScalar: true,
    compute: { isWide: true, of: saturated(saturatingAdd) },
  },
  {
    opcode: '0100',
    names: ['', 'mls'],
    compute: {
      isWide: false,
      of: (_, { size }, a, b, d) => laneBinary('sub', size, d, multiply(size, a, b)),
    },
  },
  { opcode: '0110', names: ['smlsl', 'umlsl'], compute: { isWide: true, of: accumulated('sub', product) } },
  {
    opcode: '0111',
    names: ['sqdmlsl', ''],
    hasScalar: true,
    compute: { isWide: true, of: saturated(saturatingSub) },
  },
  {
    opcode: '1000',
    names: ['mul', ''],
    compute: { isWide: false, of: (_, { size }, a, b) => multiply(size, a, b) },
  },
  { opcode: '1010', names: ['smull', 'umull'], compute: { isWide: true, of: product } },
  { opcode: '1011', names: ['sqdmull', ''], hasScalar: true, compute: { isWide: true, of: doubled } },
  {
    opcode: '1100',
    names: ['sqdmulh', ''],
    hasScalar: true,
    compute: { isWide: false, of: (s, shape, a, b) => doublingMultiplyHigh(s, shape, false, a, b) },
  },
  {
    opcode: '1101',
    names: ['sqrdmulh', ''],
    hasScalar: true,
    compute: { isWide: false, of: (s, shape, a, b) => doublingMultiplyHigh(s, shape, true, a, b) },
  },
  {
    opcode: '1101',
    names: ['', 'sqrdmlah'],
    hasScalar: true,
    feature: 'RDM',
    compute: { isWide: false, of: (s, shape, a, b, d) => accumulatedMultiplyHigh(s, 'add', shape, a, b, d) },
  },
  {
    opcode: '1111',
    names: ['', 'sqrdmlsh'],
    hasScalar: true,
    feature: 'RDM',
    compute: { isWide: false, of: (s, shape, a, b, d) => accumulatedMultiplyHigh(s, 'sub', shape, a, b, d) },
  },
];

interface ElementFields {
  readonly H: ImmField;
  readonly L: ImmField;
  readonly M?: ImmField;
  readonly Vm: VecField;
}

/** The element in all elements. */
function broadcast(s: Stage, size: number, { H, L, M, Vm }: ElementFields): V128 {
  const pair = or(shl(s.imm(H), i32(1)), s.imm(L));
  const index = M === undefined ? pair : or(shl(pair, i32(1)), s.imm(M));
  return s.let(laneSplat(size, s.lane(Vm, sizeLog2(size), index)));
}

interface Operands extends ElementFields {
  readonly U: number;
  readonly Vn: VecField;
  readonly Vd: VecField;
}

function byElement(s: Stage, { compute }: ByElement, Q: number, size: number, fields: Operands): void {
  const { U, Vn, Vd } = fields;
  const b = broadcast(s, size, fields);
  const a = s.let(s.v(Vn));
  const bytes = compute.isWide ? 16 : 8 << Q;
  const result = compute.isWide
    ? compute.of(s, { U, size, bytes }, halfOf(Q), a, b, s.v(Vd))
    : compute.of(s, { U, size, bytes }, a, b, s.v(Vd));
  setLow(s, bytes, Vd, result);
}

function byElementScalar(s: Stage, { compute }: ByElement, size: number, fields: Operands): void {
  const { Vn, Vd } = fields;
  const b = broadcast(s, size, fields);
  const a = s.let(s.v(Vn));
  const bytes = (compute.isWide ? 2 : 1) << size;
  const result = compute.isWide
    ? compute.of(s, { U: 0, size, bytes }, 'low', a, b, s.v(Vd))
    : compute.of(s, { U: 0, size, bytes }, a, b, s.v(Vd));
  setLow(s, bytes, Vd, result);
}

function byElementText(
  { names, compute }: ByElement,
  Q: number,
  U: number,
  size: number,
  Vd: number,
  Vn: number,
): string {
  const [suffix, wide] = compute.isWide ? [second(Q), vec(Vd, size + 1, 1)] : ['', vec(Vd, size, Q)];
  return `${names[U]}${suffix}\t${wide}, ${vec(Vn, size, Q)}, `;
}

function byElementScalarText({ names, compute }: ByElement, size: number, Vd: number, Vn: number): string {
  return `${names[0] === '' ? names[1] : names[0]}\t${scalar(Vd, size + (compute.isWide ? 1 : 0))}, ${scalar(Vn, size)}, `;
}

function byElementRows(instruction: ByElement): Row[] {
  const { opcode, names, hasScalar, feature } = instruction;
  const optional = feature === undefined ? {} : { feature };
  const spec = `DDI0487 C7.2 ${nameOf(names)} (by element)`;
  const allocated = ({ U }: { U: number }): boolean => names[U] !== '';
  const halfwords = '0 Q U 01111 01 L M Vm:4 0000 H 0 Vn:5 Vd:5';
  const words = '0 Q U 01111 10 L Vm:5 0000 H 0 Vn:5 Vd:5';
  const rows = [
    insn(`${nameOf(names)} (by element), 16-bit`, {
      bits: halfwords.replace(' 0000 ', ` ${opcode} `) as typeof halfwords,
      spec,
      ...optional,
      static: ['Q', 'U'],
      allocated,
      simd: true,
      text: ({ Q, U, L, M, Vm, H, Vn, Vd }) =>
        byElementText(instruction, Q, U, 1, Vd, Vn) + element(Vm, 1, (H << 2) | (L << 1) | M),
      exec(s, { Q, U, L, M, Vm, H, Vn, Vd }) {
        byElement(s, instruction, Q, 1, { U, H, L, M, Vm, Vn, Vd });
      },
    }),
    insn(`${nameOf(names)} (by element), 32-bit`, {
      bits: words.replace(' 0000 ', ` ${opcode} `) as typeof words,
      spec,
      ...optional,
      static: ['Q', 'U'],
      allocated,
      simd: true,
      text: ({ Q, U, L, Vm, H, Vn, Vd }) =>
        byElementText(instruction, Q, U, 2, Vd, Vn) + element(Vm, 2, (H << 1) | L),
      exec(s, { Q, U, L, Vm, H, Vn, Vd }) {
        byElement(s, instruction, Q, 2, { U, H, L, Vm, Vn, Vd });
      },
    }),
  ];
  if (!hasScalar) return rows;
  const U = names[0] === '' ? '1' : '0';
  const scalarHalfwords = '01 0 11111 01 L M Vm:4 0000 H 0 Vn:5 Vd:5';
  const scalarWords = '01 0 11111 10 L Vm:5 0000 H 0 Vn:5 Vd:5';
  return [
    ...rows,
    insn(`${nameOf(names)} (by element, scalar), 16-bit`, {
      bits: scalarHalfwords
        .replace(' 0000 ', ` ${opcode} `)
        .replace('01 0', `01 ${U}`) as typeof scalarHalfwords,
      spec,
      ...optional,
      simd: true,
      text: ({ L, M, Vm, H, Vn, Vd }) =>
        byElementScalarText(instruction, 1, Vd, Vn) + element(Vm, 1, (H << 2) | (L << 1) | M),
      exec(s, { L, M, Vm, H, Vn, Vd }) {
        byElementScalar(s, instruction, 1, { U: 0, H, L, M, Vm, Vn, Vd });
      },
    }),
    insn(`${nameOf(names)} (by element, scalar), 32-bit`, {
      bits: scalarWords.replace(' 0000 ', ` ${opcode} `).replace('01 0', `01 ${U}`) as typeof scalarWords,
      spec,
      ...optional,
      simd: true,
      text: ({ L, Vm, H, Vn, Vd }) =>
        byElementScalarText(instruction, 2, Vd, Vn) + element(Vm, 2, (H << 1) | L),
      exec(s, { L, Vm, H, Vn, Vd }) {
        byElementScalar(s, instruction, 2, { U: 0, H, L, Vm, Vn, Vd });
      },
    }),
  ];
}

// ---- dot products of FEAT_DotProd

const DOT_NAMES = ['sdot', 'udot'] as const;

const DOT: readonly Row[] = [
  insn('SDOT, UDOT (vector)', {
    bits: '0 Q U 01110 10 0 Vm:5 1 0010 1 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 SDOT, UDOT (vector)',
    feature: 'DotProd',
    static: ['Q', 'U'],
    simd: true,
    text: ({ Q, U, Vm, Vn, Vd }) => `${DOT_NAMES[U]}\t${vec(Vd, 2, Q)}, ${vec(Vn, 0, Q)}, ${vec(Vm, 0, Q)}`,
    exec(s, { Q, U, Vm, Vn, Vd }) {
      const [a, b] = [s.let(s.v(Vn)), s.let(s.v(Vm))];
      setLow(s, 8 << Q, Vd, dotProduct(U, a, b, s.v(Vd)));
    },
  }),
  insn('SDOT, UDOT (by element)', {
    bits: '0 Q U 01111 10 L Vm:5 1110 H 0 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 SDOT, UDOT (by element)',
    feature: 'DotProd',
    static: ['Q', 'U'],
    simd: true,
    text: ({ Q, U, L, Vm, H, Vn, Vd }) =>
      `${DOT_NAMES[U]}\t${vec(Vd, 2, Q)}, ${vec(Vn, 0, Q)}, v${Vm}.4b[${(H << 1) | L}]`,
    exec(s, { Q, U, L, Vm, H, Vn, Vd }) {
      const b = broadcast(s, 2, { H, L, Vm });
      setLow(s, 8 << Q, Vd, dotProduct(U, s.let(s.v(Vn)), b, s.v(Vd)));
    },
  }),
];

export const SIMD_MULTIPLY: readonly Row[] = [
  ...WIDENING.map(wideningRow),
  ...WIDENING.filter(({ hasScalar }) => hasScalar).map(scalarWideningRow),
  highNarrowRow('0100', ['addhn', 'raddhn'], 'add'),
  highNarrowRow('0110', ['subhn', 'rsubhn'], 'sub'),
  ...BY_ELEMENT.flatMap(byElementRows),
  ...DOT,
];
