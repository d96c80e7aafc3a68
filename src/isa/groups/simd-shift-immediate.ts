/** Advanced SIMD shift by immediate, vector and scalar. DDI0487 C4.1.97. */
import type { I32, V128 } from '../../wasm/expr.js';
import { i32, i64, sub } from '../../wasm/expr.js';
import { bitselect } from '../../wasm/simd.js';
import type { Row } from '../row.js';
import { insn } from '../row.js';
import type { Narrowing, Shape } from '../simd-arithmetic.js';
import {
  bitAndNot, bitNot, bitOr, elementBits, narrow, roundingShiftRight, setHalf, shiftRight, signMask, signedLimit,
} from '../simd-arithmetic.js'; // prettier-ignore
import { laneBinary, laneShift, laneSplat, noteSaturation, setLow, widen } from '../simd-lanes.js';
import { scalar, vec } from '../simd-text.js';
import type { Stage } from '../stage.js';

/**
 * The highest one of immh is the element size, so each size is a row of its own; `shift` is what is left of immh:immb.
 * Left shifts are by `shift`, right shifts by the element's width less `shift`.
 */
const PLACES = ['0001 shift:3', '001 shift:4', '01 shift:5', '1 shift:6'] as const;
type Place = (typeof PLACES)[0];

function place(size: number): Place {
  return PLACES[size] as Place;
}

const BITS_NAME = ['8-bit', '16-bit', '32-bit', '64-bit'];

/** `n` − 1 of a right shift by `n`: the shift itself may be too wide for WebAssembly. */
function lessOne(size: number, shift: I32): I32 {
  return sub(i32(elementBits(size) - 1), shift);
}

function shiftedRight(U: number, size: number, a: V128, shift: I32): V128 {
  return laneShift(shiftRight(U), size, laneShift(shiftRight(U), size, a, lessOne(size, shift)), i32(1));
}

// ---- elements stay as wide as they are

/** `shift` is the field's value; `a` and `d` (the destination before) are used any number of times. */
type Compute = (s: Stage, shape: Shape, a: V128, shift: I32, d: V128) => V128;

const allOnes = (): V128 => laneSplat(3, i64(-1));

/** Left with saturation; `from` and `to` say which numbers are signed. */
const saturatingLeft =
  (from: 'as U' | 'signed', to: 'as U' | 'unsigned'): Compute =>
  (s, { U, size, bytes }, a, shift) => {
    const isSignedSource = from === 'signed' || U === 0;
    const isSignedResult = to === 'as U' && U === 0;
    const shifted = s.let(laneShift('shl', size, a, shift));
    const back = laneShift(isSignedResult ? 'shr_s' : 'shr_u', size, shifted, shift);
    const changed = bitNot(laneBinary('eq', size, back, a));
    if (isSignedResult) {
      const lost = s.let(changed);
      noteSaturation(s, bytes, lost);
      return bitselect(signedLimit(size, a), shifted, lost);
    }
    const negative = s.let(isSignedSource ? signMask(size, a) : laneSplat(3, i64(0)));
    const lost = s.let(bitOr(changed, negative));
    noteSaturation(s, bytes, lost);
    return bitAndNot(bitOr(shifted, lost), negative);
  };

interface SameWidth {
  readonly opcode: string;
  /** For U = 0 and U = 1; an empty name is unallocated. */
  readonly names: readonly [string, string];
  readonly direction: 'left' | 'right';
  readonly scalarSizes: readonly number[];
  readonly compute: Compute;
}

const DOUBLEWORD = [3];
const ALL = [0, 1, 2, 3];

const rounding: Compute = (s, { U, size }, a, shift) =>
  roundingShiftRight(s, U, size, a, s.let(lessOne(size, shift)));

const SAME_WIDTH: readonly SameWidth[] = [
  {
    opcode: '00000',
    names: ['sshr', 'ushr'],
    direction: 'right',
    scalarSizes: DOUBLEWORD,
    compute: (_, { U, size }, a, shift) => shiftedRight(U, size, a, shift),
  },
  {
    opcode: '00010',
    names: ['ssra', 'usra'],
    direction: 'right',
    scalarSizes: DOUBLEWORD,
    compute: (_, { U, size }, a, shift, d) => laneBinary('add', size, d, shiftedRight(U, size, a, shift)),
  },
  {
    opcode: '00100',
    names: ['srshr', 'urshr'],
    direction: 'right',
    scalarSizes: DOUBLEWORD,
    compute: rounding,
  },
  {
    opcode: '00110',
    names: ['srsra', 'ursra'],
    direction: 'right',
    scalarSizes: DOUBLEWORD,
    compute: (s, shape, a, shift, d) => laneBinary('add', shape.size, d, rounding(s, shape, a, shift, d)),
  },
  {
    opcode: '01000',
    names: ['', 'sri'],
    direction: 'right',
    scalarSizes: DOUBLEWORD,
    compute: (_, { size }, a, shift, d) =>
      bitselect(shiftedRight(1, size, a, shift), d, shiftedRight(1, size, allOnes(), shift)),
  },
  {
    opcode: '01010',
    names: ['shl', ''],
    direction: 'left',
    scalarSizes: DOUBLEWORD,
    compute: (_, { size }, a, shift) => laneShift('shl', size, a, shift),
  },
  {
    opcode: '01010',
    names: ['', 'sli'],
    direction: 'left',
    scalarSizes: DOUBLEWORD,
    compute: (_, { size }, a, shift, d) =>
      bitselect(laneShift('shl', size, a, shift), d, laneShift('shl', size, allOnes(), shift)),
  },
  {
    opcode: '01100',
    names: ['', 'sqshlu'],
    direction: 'left',
    scalarSizes: ALL,
    compute: saturatingLeft('signed', 'unsigned'),
  },
  {
    opcode: '01110',
    names: ['sqshl', 'uqshl'],
    direction: 'left',
    scalarSizes: ALL,
    compute: saturatingLeft('as U', 'as U'),
  },
];

function nameOf(names: readonly [string, string]): string {
  return names
    .filter((name) => name !== '')
    .join(', ')
    .toUpperCase();
}

function amount(direction: 'left' | 'right', size: number, shift: number): string {
  return `#${direction === 'left' ? shift : elementBits(size) - shift}`;
}

function vectorRow({ opcode, names, direction, compute }: SameWidth, size: number): Row {
  const bits = '0 Q U 011110 0001 shift:3 00000 1 Vn:5 Vd:5';
  return insn(`${nameOf(names)} (vector, immediate), ${BITS_NAME[size]}`, {
    bits: bits.replace('0001 shift:3 00000', `${place(size)} ${opcode}`) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)} (immediate)`,
    static: ['Q', 'U'],
    allocated: ({ Q, U }) => names[U] !== '' && (Q === 1 || size < 3),
    simd: true,
    text: ({ Q, U, shift, Vn, Vd }) =>
      `${names[U]}\t${vec(Vd, size, Q)}, ${vec(Vn, size, Q)}, ${amount(direction, size, shift)}`,
    exec(s, { Q, U, shift, Vn, Vd }) {
      const bytes = 8 << Q;
      setLow(s, bytes, Vd, compute(s, { U, size, bytes }, s.let(s.v(Vn)), s.imm(shift), s.v(Vd)));
    },
  });
}

function scalarRow({ opcode, names, direction, compute }: SameWidth, size: number): Row {
  const bits = '01 U 111110 0001 shift:3 00000 1 Vn:5 Vd:5';
  return insn(`${nameOf(names)} (scalar, immediate), ${BITS_NAME[size]}`, {
    bits: bits.replace('0001 shift:3 00000', `${place(size)} ${opcode}`) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)} (immediate)`,
    static: ['U'],
    allocated: ({ U }) => names[U] !== '',
    simd: true,
    text: ({ U, shift, Vn, Vd }) =>
      `${names[U]}\t${scalar(Vd, size)}, ${scalar(Vn, size)}, ${amount(direction, size, shift)}`,
    exec(s, { U, shift, Vn, Vd }) {
      const bytes = 1 << size;
      setLow(s, bytes, Vd, compute(s, { U, size, bytes }, s.let(s.v(Vn)), s.imm(shift), s.v(Vd)));
    },
  });
}

// ---- narrowing and widening

interface NarrowingShift {
  readonly opcode: string;
  readonly names: readonly [string, string];
  readonly isRounding: boolean;
  /** For U = 0 and U = 1. */
  readonly narrowings: readonly [Narrowing, Narrowing];
}

const NARROWING: readonly NarrowingShift[] = [
  {
    opcode: '10000',
    names: ['shrn', 'sqshrun'],
    isRounding: false,
    narrowings: ['truncate', 'signed to unsigned'],
  },
  {
    opcode: '10001',
    names: ['rshrn', 'sqrshrun'],
    isRounding: true,
    narrowings: ['truncate', 'signed to unsigned'],
  },
  { opcode: '10010', names: ['sqshrn', 'uqshrn'], isRounding: false, narrowings: ['signed', 'unsigned'] },
  { opcode: '10011', names: ['sqrshrn', 'uqrshrn'], isRounding: true, narrowings: ['signed', 'unsigned'] },
];

/** `size` is that of the result; `bytes` of the wide operand count. */
function narrowed(
  s: Stage,
  { isRounding, narrowings }: NarrowingShift,
  { U, size, bytes }: Shape,
  wide: V128,
  shift: I32,
): V128 {
  const narrowing = narrowings[U] ?? 'truncate';
  const sign = narrowing === 'unsigned' ? 1 : 0;
  const before = s.let(lessOne(size, shift));
  const shifted = isRounding
    ? roundingShiftRight(s, sign, size + 1, wide, before)
    : laneShift(shiftRight(sign), size + 1, laneShift(shiftRight(sign), size + 1, wide, before), i32(1));
  return narrow(s, size, bytes, narrowing, shifted);
}

function narrowingVectorRow(instruction: NarrowingShift, size: number): Row {
  const { opcode, names } = instruction;
  const bits = '0 Q U 011110 0001 shift:3 00000 1 Vn:5 Vd:5';
  return insn(`${nameOf(names)} (vector), ${BITS_NAME[size]}`, {
    bits: bits.replace('0001 shift:3 00000', `${place(size)} ${opcode}`) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)}`,
    static: ['Q', 'U'],
    simd: true,
    text: ({ Q, U, shift, Vn, Vd }) =>
      `${names[U]}${Q === 1 ? '2' : ''}\t${vec(Vd, size, Q)}, ${vec(Vn, size + 1, 1)}, ${amount('right', size, shift)}`,
    exec(s, { Q, U, shift, Vn, Vd }) {
      const result = narrowed(s, instruction, { U, size, bytes: 16 }, s.let(s.v(Vn)), s.imm(shift));
      setHalf(s, Q, Vd, result);
    },
  });
}

function narrowingScalarRow(instruction: NarrowingShift, size: number): Row {
  const { opcode, names, narrowings } = instruction;
  const bits = '01 U 111110 0001 shift:3 00000 1 Vn:5 Vd:5';
  return insn(`${nameOf(names)} (scalar), ${BITS_NAME[size]}`, {
    bits: bits.replace('0001 shift:3 00000', `${place(size)} ${opcode}`) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)}`,
    static: ['U'],
    allocated: ({ U }) => narrowings[U] !== 'truncate',
    simd: true,
    text: ({ U, shift, Vn, Vd }) =>
      `${names[U]}\t${scalar(Vd, size)}, ${scalar(Vn, size + 1)}, ${amount('right', size, shift)}`,
    exec(s, { U, shift, Vn, Vd }) {
      const shape = { U, size, bytes: 2 << size };
      setLow(s, 1 << size, Vd, narrowed(s, instruction, shape, s.let(s.v(Vn)), s.imm(shift)));
    },
  });
}

function wideningRow(size: number): Row {
  const bits = '0 Q U 011110 0001 shift:3 10100 1 Vn:5 Vd:5';
  return insn(`SSHLL, USHLL, ${BITS_NAME[size]}`, {
    bits: bits.replace('0001 shift:3', place(size)) as typeof bits,
    spec: 'DDI0487 C7.2 SSHLL, USHLL',
    static: ['Q', 'U'],
    simd: true,
    text: ({ Q, U, shift, Vn, Vd }) =>
      `${U === 1 ? 'ushll' : 'sshll'}${Q === 1 ? '2' : ''}\t${vec(Vd, size + 1, 1)}, ${vec(Vn, size, Q)}, #${shift}`,
    exec(s, { Q, U, shift, Vn, Vd }) {
      const wide = widen(size, Q === 1 ? 'high' : 'low', U === 0, s.v(Vn));
      s.setV(Vd, laneShift('shl', size + 1, wide, s.imm(shift)));
    },
  });
}

export const SIMD_SHIFT_IMMEDIATE: readonly Row[] = [
  ...SAME_WIDTH.flatMap((instruction) => ALL.map((size) => vectorRow(instruction, size))),
  ...SAME_WIDTH.flatMap((instruction) => instruction.scalarSizes.map((size) => scalarRow(instruction, size))),
  ...NARROWING.flatMap((instruction) => [0, 1, 2].map((size) => narrowingVectorRow(instruction, size))),
  ...NARROWING.flatMap((instruction) => [0, 1, 2].map((size) => narrowingScalarRow(instruction, size))),
  ...[0, 1, 2].map(wideningRow),
];
