/**
 * Floating point on vectors, and the scalar instructions that are encoded beside it. DDI0487 C4.1.97.
 *
 * Each instruction has rows for single and double precision, and for half precision, which is encoded elsewhere.
 */
import { invariant } from '../../base/index.js';
import type { I32, Int, V128 } from '../../wasm/expr.js';
import { i32, i64, or, shl, sub } from '../../wasm/expr.js';
import { shuffle, splat } from '../../wasm/simd.js';
import type { Format } from '../fp/format.js';
import { LAYOUT, constant } from '../fp/format.js';
import { SIZE, formatOf, readElement, writeElement } from '../fp/lanes.js';
import type { VectorOperation } from '../fp/vector-operations.js';
import * as fp from '../fp/vector-operations.js';
import type { ImmField, Row, VecField } from '../row.js';
import { insn } from '../row.js';
import { bitAnd, bitNot, bitXor, setHalf, zeros } from '../simd-arithmetic.js';
import { everySecond, isFloatShape, laneSplat, setLow, setVector } from '../simd-lanes.js';
import { ELEMENT, element, scalar, vec } from '../simd-text.js';
import type { Stage } from '../stage.js';

/** `bits` with its words of `x` replaced by `words`, in order. */
function fixed<const B extends string>(bits: B, ...words: readonly (string | number)[]): B {
  let next = 0;
  const result = bits.replace(/\bx+\b/g, (place) => {
    const word = String(words[next++]);
    invariant(word.length === place.length, `'${word}' for '${place}' in ${bits}`);
    return word;
  });
  invariant(next === words.length, `${words.join(' ')} in ${bits}`);
  return result as B;
}

/** Feature of half precision, and what ends the names of its rows. */
const HALF = { feature: 'FP16' } as const;
const HALF_NAME = ', half-precision';

// ---- operands

/** A vector for an operation: of 8 bytes (`Q` = 0), those twice. */
function readVector(s: Stage, Q: number, register: VecField): V128 {
  return s.let(Q === 1 ? s.v(register) : splat('i64x2.splat', s.d(register)));
}

/** `fractionBits` of fixed-point numbers. */
function calculate(
  s: Stage,
  { vector: helper }: VectorOperation,
  format: Format,
  vectors: readonly V128[],
  fractionBits?: I32,
): V128 {
  return s.call(helper(format), ...vectors, ...(fractionBits ? [fractionBits] : []));
}

function calculateElement(
  s: Stage,
  operation: VectorOperation,
  format: Format,
  registers: readonly VecField[],
): Int {
  return operation.element(
    s,
    format,
    registers.map((register) => readElement(s, format, register)),
  );
}

/** The elements of `low` and then of `high` with even numbers, and those with odd ones. */
function pairs(format: Format, bytes: number, low: V128, high: V128): [V128, V128] {
  const part = (first: 0 | 1): V128 => shuffle(low, high, everySecond(SIZE[format], bytes, first));
  return [part(0), part(1)];
}

/** Scalar and vector forms of one heading of the manual. */
type Form = 'vector' | 'scalar';

function rowName(heading: string, forms: readonly Form[], form: Form, isHalf: boolean): string {
  return `${heading}${forms.length > 1 ? `, ${form}` : ''}${isHalf ? HALF_NAME : ''}`;
}

function mnemonic(heading: string): string {
  return heading.replace(/ .*/, '').toLowerCase();
}

const VECTOR = ['vector'] as const;
const SCALAR = ['scalar'] as const;
const BOTH = ['vector', 'scalar'] as const;

// ---- three same

interface ThreeSame {
  readonly heading: string;
  readonly U: 0 | 1;
  readonly a: 0 | 1;
  readonly opcode: string;
  readonly operation: VectorOperation;
  readonly forms?: readonly Form[];
  readonly isPairwise?: true;
}

const THREE_SAME: readonly ThreeSame[] = [
  { heading: 'FMAXNM (vector)', U: 0, a: 0, opcode: '11000', operation: fp.MAX_NUMBER },
  { heading: 'FMLA (vector)', U: 0, a: 0, opcode: '11001', operation: fp.MUL_ADD },
  { heading: 'FADD (vector)', U: 0, a: 0, opcode: '11010', operation: fp.ADD },
  { heading: 'FMULX', U: 0, a: 0, opcode: '11011', operation: fp.MULX, forms: BOTH },
  { heading: 'FCMEQ (register)', U: 0, a: 0, opcode: '11100', operation: fp.EQUAL, forms: BOTH },
  { heading: 'FMAX (vector)', U: 0, a: 0, opcode: '11110', operation: fp.MAX },
  { heading: 'FRECPS', U: 0, a: 0, opcode: '11111', operation: fp.RECIP_STEP, forms: BOTH },
  { heading: 'FMINNM (vector)', U: 0, a: 1, opcode: '11000', operation: fp.MIN_NUMBER },
  { heading: 'FMLS (vector)', U: 0, a: 1, opcode: '11001', operation: fp.MUL_SUB },
  { heading: 'FSUB (vector)', U: 0, a: 1, opcode: '11010', operation: fp.SUB },
  { heading: 'FMIN (vector)', U: 0, a: 1, opcode: '11110', operation: fp.MIN },
  { heading: 'FRSQRTS', U: 0, a: 1, opcode: '11111', operation: fp.RSQRT_STEP, forms: BOTH },
  { heading: 'FMAXNMP (vector)', U: 1, a: 0, opcode: '11000', operation: fp.MAX_NUMBER, isPairwise: true },
  { heading: 'FADDP (vector)', U: 1, a: 0, opcode: '11010', operation: fp.ADD, isPairwise: true },
  { heading: 'FMUL (vector)', U: 1, a: 0, opcode: '11011', operation: fp.MUL },
  { heading: 'FCMGE (register)', U: 1, a: 0, opcode: '11100', operation: fp.GREATER_EQUAL, forms: BOTH },
  { heading: 'FACGE', U: 1, a: 0, opcode: '11101', operation: fp.ABS_GREATER_EQUAL, forms: BOTH },
  { heading: 'FMAXP (vector)', U: 1, a: 0, opcode: '11110', operation: fp.MAX, isPairwise: true },
  { heading: 'FDIV (vector)', U: 1, a: 0, opcode: '11111', operation: fp.DIV },
  { heading: 'FMINNMP (vector)', U: 1, a: 1, opcode: '11000', operation: fp.MIN_NUMBER, isPairwise: true },
  { heading: 'FABD', U: 1, a: 1, opcode: '11010', operation: fp.ABS_DIFFERENCE, forms: BOTH },
  { heading: 'FCMGT (register)', U: 1, a: 1, opcode: '11100', operation: fp.GREATER, forms: BOTH },
  { heading: 'FACGT', U: 1, a: 1, opcode: '11101', operation: fp.ABS_GREATER, forms: BOTH },
  { heading: 'FMINP (vector)', U: 1, a: 1, opcode: '11110', operation: fp.MIN, isPairwise: true },
];

interface ThreeRegisters {
  readonly Vm: VecField;
  readonly Vn: VecField;
  readonly Vd: VecField;
}

function threeSame(
  s: Stage,
  { operation, isPairwise }: ThreeSame,
  format: Format,
  Q: number,
  { Vm, Vn, Vd }: ThreeRegisters,
): void {
  const n = readVector(s, Q, Vn);
  const m = readVector(s, Q, Vm);
  const sources = isPairwise ? pairs(format, 8 << Q, n, m) : [n, m];
  const operands = operation.operands === 3 ? [readVector(s, Q, Vd), ...sources] : sources;
  setVector(s, Q, Vd, calculate(s, operation, format, operands));
}

function threeSameRows(instruction: ThreeSame): Row[] {
  const { heading, U, a, opcode, operation, forms = VECTOR } = instruction;
  const spec = `DDI0487 C7.2 ${heading}`;
  const name = mnemonic(heading);
  const halfOpcode = opcode.slice(2);
  const vectorText = (size: number, Q: number, ...registers: number[]): string =>
    `${name}\t${registers.map((n) => vec(n, size, Q)).join(', ')}`;
  const scalarText = (size: number, ...registers: number[]): string =>
    `${name}\t${registers.map((n) => scalar(n, size)).join(', ')}`;
  const rows = [
    insn(rowName(heading, forms, 'vector', false), {
      bits: fixed('0 Q x 01110 x sz 1 Vm:5 xxxxx 1 Vn:5 Vd:5', U, a, opcode),
      spec,
      static: ['Q', 'sz'],
      allocated: isFloatShape,
      simd: true,
      text: ({ Q, sz, Vm, Vn, Vd }) => vectorText(2 + sz, Q, Vd, Vn, Vm),
      exec(s, { Q, sz, Vm, Vn, Vd }) {
        threeSame(s, instruction, formatOf(sz), Q, { Vm, Vn, Vd });
      },
    }),
    insn(rowName(heading, forms, 'vector', true), {
      bits: fixed('0 Q x 01110 x 10 Vm:5 00 xxx 1 Vn:5 Vd:5', U, a, halfOpcode),
      spec,
      static: ['Q'],
      simd: true,
      ...HALF,
      text: ({ Q, Vm, Vn, Vd }) => vectorText(1, Q, Vd, Vn, Vm),
      exec(s, { Q, Vm, Vn, Vd }) {
        threeSame(s, instruction, 'half', Q, { Vm, Vn, Vd });
      },
    }),
  ];
  if (!forms.includes('scalar')) return rows;
  return [
    ...rows,
    insn(rowName(heading, forms, 'scalar', false), {
      bits: fixed('01 x 11110 x sz 1 Vm:5 xxxxx 1 Vn:5 Vd:5', U, a, opcode),
      spec,
      static: ['sz'],
      simd: true,
      text: ({ sz, Vm, Vn, Vd }) => scalarText(2 + sz, Vd, Vn, Vm),
      exec(s, { sz, Vm, Vn, Vd }) {
        const format = formatOf(sz);
        writeElement(s, format, Vd, calculateElement(s, operation, format, [Vn, Vm]));
      },
    }),
    insn(rowName(heading, forms, 'scalar', true), {
      bits: fixed('01 x 11110 x 10 Vm:5 00 xxx 1 Vn:5 Vd:5', U, a, halfOpcode),
      spec,
      simd: true,
      ...HALF,
      text: ({ Vm, Vn, Vd }) => scalarText(1, Vd, Vn, Vm),
      exec(s, { Vm, Vn, Vd }) {
        writeElement(s, 'half', Vd, calculateElement(s, operation, 'half', [Vn, Vm]));
      },
    }),
  ];
}

// ---- two-register miscellaneous

/** A comparison with zero, which is the second operand or the first. */
type Zero = 'second' | 'first';

interface TwoRegister {
  readonly heading: string;
  readonly U: 0 | 1;
  readonly a: 0 | 1;
  readonly opcode: string;
  /** Or what becomes of the bits of a vector. */
  readonly operation: VectorOperation | ((format: Format, a: V128) => V128);
  readonly forms?: readonly Form[];
  readonly zero?: Zero;
}

/** All bits but the sign of each element. */
function magnitudeMask(format: Format): V128 {
  return laneSplat(SIZE[format], i64((1n << BigInt(LAYOUT[format].width - 1)) - 1n));
}

const ABS = (format: Format, a: V128): V128 => bitAnd(a, magnitudeMask(format));
const NEG = (format: Format, a: V128): V128 => bitXor(a, bitNot(magnitudeMask(format)));

const TWO_REGISTER: readonly TwoRegister[] = [
  { heading: 'FRINTN (vector)', U: 0, a: 0, opcode: '11000', operation: fp.roundToIntegral('N') },
  { heading: 'FRINTM (vector)', U: 0, a: 0, opcode: '11001', operation: fp.roundToIntegral('M') },
  { heading: 'FRINTP (vector)', U: 0, a: 1, opcode: '11000', operation: fp.roundToIntegral('P') },
  { heading: 'FRINTZ (vector)', U: 0, a: 1, opcode: '11001', operation: fp.roundToIntegral('Z') },
  { heading: 'FRINTA (vector)', U: 1, a: 0, opcode: '11000', operation: fp.roundToIntegral('A') },
  { heading: 'FRINTX (vector)', U: 1, a: 0, opcode: '11001', operation: fp.roundToIntegral('FPCR', true) },
  { heading: 'FRINTI (vector)', U: 1, a: 1, opcode: '11001', operation: fp.roundToIntegral('FPCR') },
  { heading: 'FABS (vector)', U: 0, a: 1, opcode: '01111', operation: ABS },
  { heading: 'FNEG (vector)', U: 1, a: 1, opcode: '01111', operation: NEG },
  { heading: 'FSQRT (vector)', U: 1, a: 1, opcode: '11111', operation: fp.SQRT },
  { heading: 'FRECPE', U: 0, a: 1, opcode: '11101', operation: fp.RECIP_ESTIMATE, forms: BOTH },
  { heading: 'FRECPX', U: 0, a: 1, opcode: '11111', operation: fp.RECIP_EXPONENT, forms: SCALAR },
  { heading: 'FRSQRTE', U: 1, a: 1, opcode: '11101', operation: fp.RSQRT_ESTIMATE, forms: BOTH },
  {
    heading: 'FCMGT (zero)',
    U: 0,
    a: 1,
    opcode: '01100',
    operation: fp.GREATER,
    zero: 'second',
    forms: BOTH,
  },
  { heading: 'FCMEQ (zero)', U: 0, a: 1, opcode: '01101', operation: fp.EQUAL, zero: 'second', forms: BOTH },
  { heading: 'FCMLT (zero)', U: 0, a: 1, opcode: '01110', operation: fp.GREATER, zero: 'first', forms: BOTH },
  {
    heading: 'FCMGE (zero)',
    U: 1,
    a: 1,
    opcode: '01100',
    operation: fp.GREATER_EQUAL,
    zero: 'second',
    forms: BOTH,
  },
  {
    heading: 'FCMLE (zero)',
    U: 1,
    a: 1,
    opcode: '01101',
    operation: fp.GREATER_EQUAL,
    zero: 'first',
    forms: BOTH,
  },
  ...(
    [
      ['N', '', 0, '11010'],
      ['M', '', 0, '11011'],
      ['A', '', 0, '11100'],
      ['P', '', 1, '11010'],
      ['Z', ', integer', 1, '11011'],
    ] as const
  ).flatMap(([rounding, variant, a, opcode]): TwoRegister[] =>
    ([0, 1] as const).map((U) => ({
      heading: `FCVT${rounding}${U === 1 ? 'U' : 'S'} (vector${variant})`,
      U,
      a,
      opcode,
      operation: fp.toInteger(rounding, U === 1, false),
      forms: BOTH,
    })),
  ),
  ...([0, 1] as const).map((U): TwoRegister => ({
    heading: `${U === 1 ? 'U' : 'S'}CVTF (vector, integer)`,
    U,
    a: 0,
    opcode: '11101',
    operation: fp.fromInteger(U === 1, false),
    forms: BOTH,
  })),
];

function withZero<T>(zero: Zero | undefined, a: T, nothing: T): readonly T[] {
  if (zero === undefined) return [a];
  return zero === 'first' ? [nothing, a] : [a, nothing];
}

interface TwoRegisters {
  readonly Vn: VecField;
  readonly Vd: VecField;
}

function twoRegister(
  s: Stage,
  { operation, zero }: TwoRegister,
  format: Format,
  Q: number,
  { Vn, Vd }: TwoRegisters,
): void {
  const a = readVector(s, Q, Vn);
  const result =
    typeof operation === 'function'
      ? operation(format, a)
      : calculate(s, operation, format, withZero(zero, a, zeros()));
  setVector(s, Q, Vd, result);
}

function twoRegisterScalar(
  s: Stage,
  { operation, zero, heading }: TwoRegister,
  format: Format,
  { Vn, Vd }: TwoRegisters,
): void {
  invariant(typeof operation !== 'function', `${heading} has no scalar form`);
  const elements = withZero(zero, readElement(s, format, Vn), constant(format, 0n));
  writeElement(s, format, Vd, operation.element(s, format, elements));
}

function twoRegisterRows(instruction: TwoRegister): Row[] {
  const { heading, U, a, opcode, forms = VECTOR, zero } = instruction;
  const spec = `DDI0487 C7.2 ${heading}`;
  const ending = zero === undefined ? '' : ', #0.0';
  const vectorText = (size: number, Q: number, Vd: number, Vn: number): string =>
    `${mnemonic(heading)}\t${vec(Vd, size, Q)}, ${vec(Vn, size, Q)}${ending}`;
  const scalarText = (size: number, Vd: number, Vn: number): string =>
    `${mnemonic(heading)}\t${scalar(Vd, size)}, ${scalar(Vn, size)}${ending}`;
  const rows: Row[] = [];
  if (forms.includes('vector'))
    rows.push(
      insn(rowName(heading, forms, 'vector', false), {
        bits: fixed('0 Q x 01110 x sz 10000 xxxxx 10 Vn:5 Vd:5', U, a, opcode),
        spec,
        static: ['Q', 'sz'],
        allocated: isFloatShape,
        simd: true,
        text: ({ Q, sz, Vn, Vd }) => vectorText(2 + sz, Q, Vd, Vn),
        exec(s, { Q, sz, Vn, Vd }) {
          twoRegister(s, instruction, formatOf(sz), Q, { Vn, Vd });
        },
      }),
      insn(rowName(heading, forms, 'vector', true), {
        bits: fixed('0 Q x 01110 x 1111 00 xxxxx 10 Vn:5 Vd:5', U, a, opcode),
        spec,
        static: ['Q'],
        simd: true,
        ...HALF,
        text: ({ Q, Vn, Vd }) => vectorText(1, Q, Vd, Vn),
        exec(s, { Q, Vn, Vd }) {
          twoRegister(s, instruction, 'half', Q, { Vn, Vd });
        },
      }),
    );
  if (forms.includes('scalar'))
    rows.push(
      insn(rowName(heading, forms, 'scalar', false), {
        bits: fixed('01 x 11110 x sz 10000 xxxxx 10 Vn:5 Vd:5', U, a, opcode),
        spec,
        static: ['sz'],
        simd: true,
        text: ({ sz, Vn, Vd }) => scalarText(2 + sz, Vd, Vn),
        exec(s, { sz, Vn, Vd }) {
          twoRegisterScalar(s, instruction, formatOf(sz), { Vn, Vd });
        },
      }),
      insn(rowName(heading, forms, 'scalar', true), {
        bits: fixed('01 x 11110 x 1111 00 xxxxx 10 Vn:5 Vd:5', U, a, opcode),
        spec,
        simd: true,
        ...HALF,
        text: ({ Vn, Vd }) => scalarText(1, Vd, Vn),
        exec(s, { Vn, Vd }) {
          twoRegisterScalar(s, instruction, 'half', { Vn, Vd });
        },
      }),
    );
  return rows;
}

// ---- conversions between formats, and estimates of integers

function second(Q: number): string {
  return Q === 1 ? '2' : '';
}

const SPECIAL = [
  insn('FCVTL', {
    bits: '0 Q 0 01110 0 sz 10000 10111 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 FCVTL, FCVTL2',
    static: ['Q', 'sz'],
    simd: true,
    text: ({ Q, sz, Vn, Vd }) => `fcvtl${second(Q)}\t${vec(Vd, 2 + sz, 1)}, ${vec(Vn, 1 + sz, Q)}`,
    exec(s, { Q, sz, Vn, Vd }) {
      const half = splat('i64x2.splat', Q === 1 ? s.lane(Vn, 3, i32(1)) : s.d(Vn));
      s.setV(Vd, calculate(s, fp.LENGTHEN, sz === 1 ? 'single' : 'half', [half]));
    },
  }),
  insn('FCVTN', {
    bits: '0 Q 0 01110 0 sz 10000 10110 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 FCVTN, FCVTN2',
    static: ['Q', 'sz'],
    simd: true,
    text: ({ Q, sz, Vn, Vd }) => `fcvtn${second(Q)}\t${vec(Vd, 1 + sz, Q)}, ${vec(Vn, 2 + sz, 1)}`,
    exec(s, { Q, sz, Vn, Vd }) {
      setHalf(s, Q, Vd, calculate(s, fp.NARROW, formatOf(sz), [s.v(Vn)]));
    },
  }),
  insn('FCVTXN, vector', {
    bits: '0 Q 1 01110 0 1 10000 10110 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 FCVTXN, FCVTXN2',
    static: ['Q'],
    simd: true,
    text: ({ Q, Vn, Vd }) => `fcvtxn${second(Q)}\t${vec(Vd, 2, Q)}, ${vec(Vn, 3, 1)}`,
    exec(s, { Q, Vn, Vd }) {
      setHalf(s, Q, Vd, calculate(s, fp.NARROW_TO_ODD, 'double', [s.v(Vn)]));
    },
  }),
  insn('FCVTXN, scalar', {
    bits: '01 1 11110 0 1 10000 10110 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 FCVTXN, FCVTXN2',
    simd: true,
    text: ({ Vn, Vd }) => `fcvtxn\t${scalar(Vd, 2)}, ${scalar(Vn, 3)}`,
    exec(s, { Vn, Vd }) {
      writeElement(s, 'single', Vd, calculateElement(s, fp.NARROW_TO_ODD, 'double', [Vn]));
    },
  }),
  ...(
    [
      ['URECPE', 0, fp.RECIP_ESTIMATE_UNSIGNED],
      ['URSQRTE', 1, fp.RSQRT_ESTIMATE_UNSIGNED],
    ] as const
  ).map(([name, U, operation]) =>
    insn(name, {
      bits: fixed('0 Q x 01110 1 0 10000 11100 10 Vn:5 Vd:5', U),
      spec: `DDI0487 C7.2 ${name}`,
      static: ['Q'],
      simd: true,
      text: ({ Q, Vn, Vd }) => `${mnemonic(name)}\t${vec(Vd, 2, Q)}, ${vec(Vn, 2, Q)}`,
      exec(s, { Q, Vn, Vd }) {
        setVector(s, Q, Vd, calculate(s, operation, 'single', [readVector(s, Q, Vn)]));
      },
    }),
  ),
];

// ---- across lanes, and scalar pairwise

/** Pairs of neighbours, then pairs of those: Reduce() of DDI0487 J1.2.3. */
function across(s: Stage, operation: VectorOperation, format: Format, Q: number, a: V128): V128 {
  let result = a;
  for (let count = (8 << Q) >> SIZE[format]; count > 1; count >>= 1)
    result = calculate(s, operation, format, pairs(format, 16, result, result));
  return result;
}

function acrossRows(name: string, sizeHigh: number, opcode: string, operation: VectorOperation): Row[] {
  const spec = `DDI0487 C7.2 ${name}`;
  return [
    insn(name, {
      bits: fixed('0 1 1 01110 x 0 11000 xxxxx 10 Vn:5 Vd:5', sizeHigh, opcode),
      spec,
      simd: true,
      text: ({ Vn, Vd }) => `${mnemonic(name)}\t${scalar(Vd, 2)}, ${vec(Vn, 2, 1)}`,
      exec(s, { Vn, Vd }) {
        setLow(s, 4, Vd, across(s, operation, 'single', 1, readVector(s, 1, Vn)));
      },
    }),
    insn(`${name}${HALF_NAME}`, {
      bits: fixed('0 Q 0 01110 x 0 11000 xxxxx 10 Vn:5 Vd:5', sizeHigh, opcode),
      spec,
      static: ['Q'],
      simd: true,
      ...HALF,
      text: ({ Q, Vn, Vd }) => `${mnemonic(name)}\t${scalar(Vd, 1)}, ${vec(Vn, 1, Q)}`,
      exec(s, { Q, Vn, Vd }) {
        setLow(s, 2, Vd, across(s, operation, 'half', Q, readVector(s, Q, Vn)));
      },
    }),
  ];
}

function pairwiseRows(heading: string, sizeHigh: number, opcode: string, operation: VectorOperation): Row[] {
  const spec = `DDI0487 C7.2 ${heading}`;
  const text = (size: number, Vd: number, Vn: number): string =>
    `${mnemonic(heading)}\t${scalar(Vd, size)}, v${Vn}.2${ELEMENT[size]}`;
  const pairwise = (s: Stage, format: Format, { Vn, Vd }: TwoRegisters): void => {
    const elements = [readElement(s, format, Vn), readElement(s, format, Vn, i32(1))];
    writeElement(s, format, Vd, operation.element(s, format, elements));
  };
  return [
    insn(heading, {
      bits: fixed('01 1 11110 x sz 11000 xxxxx 10 Vn:5 Vd:5', sizeHigh, opcode),
      spec,
      static: ['sz'],
      simd: true,
      text: ({ sz, Vn, Vd }) => text(2 + sz, Vd, Vn),
      exec(s, { sz, Vn, Vd }) {
        pairwise(s, formatOf(sz), { Vn, Vd });
      },
    }),
    insn(`${heading}${HALF_NAME}`, {
      bits: fixed('01 0 11110 x 0 11000 xxxxx 10 Vn:5 Vd:5', sizeHigh, opcode),
      spec,
      simd: true,
      ...HALF,
      text: ({ Vn, Vd }) => text(1, Vd, Vn),
      exec(s, { Vn, Vd }) {
        pairwise(s, 'half', { Vn, Vd });
      },
    }),
  ];
}

const REDUCING = [
  ...(
    [
      ['FMAXNM', 0, '01100', fp.MAX_NUMBER],
      ['FMAX', 0, '01111', fp.MAX],
      ['FMINNM', 1, '01100', fp.MIN_NUMBER],
      ['FMIN', 1, '01111', fp.MIN],
    ] as const
  ).flatMap(([name, sizeHigh, opcode, operation]) => [
    ...acrossRows(`${name}V`, sizeHigh, opcode, operation),
    ...pairwiseRows(`${name}P (scalar)`, sizeHigh, opcode, operation),
  ]),
  ...pairwiseRows('FADDP (scalar)', 0, '01101', fp.ADD),
];

// ---- by element

/** The number of the element is H:L:M for half precision, which is in V0 to V15 only, H:L for single, H for double. */
interface ElementFields extends ThreeRegisters {
  readonly H: ImmField;
  readonly L?: ImmField;
  readonly M?: ImmField;
}

function elementIndex(s: Stage, { H, L, M }: ElementFields): I32 {
  return [L, M].reduce((index, bit) => (bit ? or(shl(index, i32(1)), s.imm(bit)) : index), s.imm(H));
}

function byElement(
  s: Stage,
  operation: VectorOperation,
  format: Format,
  Q: number,
  fields: ElementFields,
): void {
  const { Vm, Vn, Vd } = fields;
  const size = SIZE[format];
  const m = s.let(laneSplat(size, s.lane(Vm, size, elementIndex(s, fields))));
  const sources = [readVector(s, Q, Vn), m];
  const operands = operation.operands === 3 ? [readVector(s, Q, Vd), ...sources] : sources;
  setVector(s, Q, Vd, calculate(s, operation, format, operands));
}

function byElementScalar(s: Stage, operation: VectorOperation, format: Format, fields: ElementFields): void {
  const { Vm, Vn, Vd } = fields;
  const sources = [readElement(s, format, Vn), readElement(s, format, Vm, elementIndex(s, fields))];
  const elements = operation.operands === 3 ? [readElement(s, format, Vd), ...sources] : sources;
  writeElement(s, format, Vd, operation.element(s, format, elements));
}

function byElementRows(heading: string, U: 0 | 1, opcode: string, operation: VectorOperation): Row[] {
  const spec = `DDI0487 C7.2 ${heading}`;
  const name = mnemonic(heading);
  const vectorText = (size: number, Q: number, Vd: number, Vn: number): string =>
    `${name}\t${vec(Vd, size, Q)}, ${vec(Vn, size, Q)}, `;
  const scalarText = (size: number, Vd: number, Vn: number): string =>
    `${name}\t${scalar(Vd, size)}, ${scalar(Vn, size)}, `;
  return [
    insn(`${heading}, vector, half-precision`, {
      bits: fixed('0 Q x 01111 00 L M Vm:4 xxxx H 0 Vn:5 Vd:5', U, opcode),
      spec,
      static: ['Q'],
      simd: true,
      ...HALF,
      text: ({ Q, L, M, Vm, H, Vn, Vd }) =>
        vectorText(1, Q, Vd, Vn) + element(Vm, 1, (H << 2) | (L << 1) | M),
      exec(s, { Q, ...fields }) {
        byElement(s, operation, 'half', Q, fields);
      },
    }),
    insn(`${heading}, vector, single-precision`, {
      bits: fixed('0 Q x 01111 10 L Vm:5 xxxx H 0 Vn:5 Vd:5', U, opcode),
      spec,
      static: ['Q'],
      simd: true,
      text: ({ Q, L, Vm, H, Vn, Vd }) => vectorText(2, Q, Vd, Vn) + element(Vm, 2, (H << 1) | L),
      exec(s, { Q, ...fields }) {
        byElement(s, operation, 'single', Q, fields);
      },
    }),
    insn(`${heading}, vector, double-precision`, {
      bits: fixed('0 1 x 01111 11 0 Vm:5 xxxx H 0 Vn:5 Vd:5', U, opcode),
      spec,
      simd: true,
      text: ({ Vm, H, Vn, Vd }) => vectorText(3, 1, Vd, Vn) + element(Vm, 3, H),
      exec(s, fields) {
        byElement(s, operation, 'double', 1, fields);
      },
    }),
    insn(`${heading}, scalar, half-precision`, {
      bits: fixed('01 x 11111 00 L M Vm:4 xxxx H 0 Vn:5 Vd:5', U, opcode),
      spec,
      simd: true,
      ...HALF,
      text: ({ L, M, Vm, H, Vn, Vd }) => scalarText(1, Vd, Vn) + element(Vm, 1, (H << 2) | (L << 1) | M),
      exec(s, fields) {
        byElementScalar(s, operation, 'half', fields);
      },
    }),
    insn(`${heading}, scalar, single-precision`, {
      bits: fixed('01 x 11111 10 L Vm:5 xxxx H 0 Vn:5 Vd:5', U, opcode),
      spec,
      simd: true,
      text: ({ L, Vm, H, Vn, Vd }) => scalarText(2, Vd, Vn) + element(Vm, 2, (H << 1) | L),
      exec(s, fields) {
        byElementScalar(s, operation, 'single', fields);
      },
    }),
    insn(`${heading}, scalar, double-precision`, {
      bits: fixed('01 x 11111 11 0 Vm:5 xxxx H 0 Vn:5 Vd:5', U, opcode),
      spec,
      simd: true,
      text: ({ Vm, H, Vn, Vd }) => scalarText(3, Vd, Vn) + element(Vm, 3, H),
      exec(s, fields) {
        byElementScalar(s, operation, 'double', fields);
      },
    }),
  ];
}

// ---- fixed-point

/** The highest one of immh is the element size; fraction bits are its width less the bits below. */
const FIXED_POINT = [
  { format: 'half', place: '001 shift:4', ending: HALF_NAME, feature: HALF },
  { format: 'single', place: '01 shift:5', ending: ', single-precision', feature: {} },
  { format: 'double', place: '1 shift:6', ending: ', double-precision', feature: {} },
] as const;

function fixedPointRows(name: string, U: 0 | 1, opcode: string, operation: VectorOperation): Row[] {
  const heading = `${name} (vector, fixed-point)`;
  const spec = `DDI0487 C7.2 ${heading}`;
  return FIXED_POINT.flatMap(({ format, place, ending, feature }) => {
    const size = SIZE[format];
    const { width } = LAYOUT[format];
    const vectorBits = '0 Q x 011110 001 shift:4 xxxxx 1 Vn:5 Vd:5';
    const scalarBits = '01 x 111110 001 shift:4 xxxxx 1 Vn:5 Vd:5';
    return [
      insn(`${heading}, vector${ending}`, {
        bits: fixed(vectorBits.replace('001 shift:4', place) as typeof vectorBits, U, opcode),
        spec,
        static: ['Q'],
        allocated: ({ Q }) => Q === 1 || format !== 'double',
        simd: true,
        ...feature,
        text: ({ Q, shift, Vn, Vd }) =>
          `${mnemonic(name)}\t${vec(Vd, size, Q)}, ${vec(Vn, size, Q)}, #${width - shift}`,
        exec(s, { Q, shift, Vn, Vd }) {
          const fractionBits = sub(i32(width), s.imm(shift));
          setVector(s, Q, Vd, calculate(s, operation, format, [readVector(s, Q, Vn)], fractionBits));
        },
      }),
      insn(`${heading}, scalar${ending}`, {
        bits: fixed(scalarBits.replace('001 shift:4', place) as typeof scalarBits, U, opcode),
        spec,
        simd: true,
        ...feature,
        text: ({ shift, Vn, Vd }) =>
          `${mnemonic(name)}\t${scalar(Vd, size)}, ${scalar(Vn, size)}, #${width - shift}`,
        exec(s, { shift, Vn, Vd }) {
          const fractionBits = s.let(sub(i32(width), s.imm(shift)));
          writeElement(
            s,
            format,
            Vd,
            operation.element(s, format, [readElement(s, format, Vn)], fractionBits),
          );
        },
      }),
    ];
  });
}

export const SIMD_FLOAT: readonly Row[] = [
  ...THREE_SAME.flatMap(threeSameRows),
  ...TWO_REGISTER.flatMap(twoRegisterRows),
  ...SPECIAL,
  ...REDUCING,
  ...byElementRows('FMLA (by element)', 0, '0001', fp.MUL_ADD),
  ...byElementRows('FMLS (by element)', 0, '0101', fp.MUL_SUB),
  ...byElementRows('FMUL (by element)', 0, '1001', fp.MUL),
  ...byElementRows('FMULX (by element)', 1, '1001', fp.MULX),
  ...fixedPointRows('SCVTF', 0, '11100', fp.fromInteger(false, true)),
  ...fixedPointRows('UCVTF', 1, '11100', fp.fromInteger(true, true)),
  ...fixedPointRows('FCVTZS', 0, '11111', fp.toInteger('Z', false, true)),
  ...fixedPointRows('FCVTZU', 1, '11111', fp.toInteger('Z', true, true)),
];
