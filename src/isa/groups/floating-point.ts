/** Scalar floating point. DDI0487 C4.1.97. See fp-values.ts for what its arithmetic leaves out. */
import type { Float, I64, Int } from '../../wasm/expr.js';
import { add, floatBinary, i32, i64, intLike, select, shl, sub, wrap } from '../../wasm/expr.js';
import type { Rounding } from '../fp-values.js';
import {
  arithmetic, compare, fromInteger, magnitude, minMaxNumber, negate, readBits, roundToIntegral, squareRoot, toBits,
  toFloat, toInteger, toOtherPrecision, writeBits,
} from '../fp-values.js'; // prettier-ignore
import type { ImmField, Row } from '../row.js';
import { insn, unimplemented } from '../row.js';
import { scalar } from '../simd-text.js';
import type { Stage } from '../stage.js';
import { CONDITION_NAMES, immHex, reg } from '../text.js';
import { expandFloat, floatText } from './simd-copy.js';

/** `type`, the low bit of ftype, is 0 for single and 1 for double; half precision is not in Armv8.0. */
function fp(n: number, type: number): string {
  return scalar(n, 2 + type);
}

// ---- moves

const MOVES = [
  insn('FMOV (register)', {
    bits: '000 11110 0 type 1 000000 10000 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 FMOV (register)',
    static: ['type'],
    simd: true,
    text: ({ type, Vn, Vd }) => `fmov\t${fp(Vd, type)}, ${fp(Vn, type)}`,
    exec(s, { type, Vn, Vd }) {
      writeBits(s, Vd, readBits(s, type, Vn));
    },
  }),
  insn('FMOV (scalar, immediate)', {
    bits: '000 11110 0 type 1 imm8:8 100 00000 Vd:5',
    spec: 'DDI0487 C7.2 FMOV (scalar, immediate)',
    static: ['type'],
    simd: true,
    text: ({ type, imm8, Vd }) => `fmov\t${fp(Vd, type)}, ${floatText(imm8)}`,
    exec(s, { type, imm8, Vd }) {
      const value =
        type === 1
          ? s.lookup('VFPExpandImm double', [imm8], (index) => expandFloat(index, 11, 52))
          : s.lookup('VFPExpandImm single', [imm8], (index) => expandFloat(index, 8, 23));
      s.setD(Vd, value);
    },
  }),
  insn('FMOV (general), to general', {
    bits: 'sf 00 11110 0 type 1 00 110 000000 Vn:5 Rd:5',
    spec: 'DDI0487 C7.2 FMOV (general)',
    static: ['sf', 'type'],
    allocated: ({ sf, type }) => sf === type,
    simd: true,
    text: ({ sf, type, Vn, Rd }) => `fmov\t${reg(sf, Rd)}, ${fp(Vn, type)}`,
    exec(s, { type, Vn, Rd }) {
      s.setR(Rd, readBits(s, type, Vn));
    },
  }),
  insn('FMOV (general), from general', {
    bits: 'sf 00 11110 0 type 1 00 111 000000 Rn:5 Vd:5',
    spec: 'DDI0487 C7.2 FMOV (general)',
    static: ['sf', 'type'],
    allocated: ({ sf, type }) => sf === type,
    simd: true,
    text: ({ sf, type, Rn, Vd }) => `fmov\t${fp(Vd, type)}, ${reg(sf, Rn)}`,
    exec(s, { sf, Rn, Vd }) {
      writeBits(s, Vd, s.r(sf, Rn));
    },
  }),
  insn('FMOV (general), top half to general', {
    bits: '1 00 11110 10 1 01 110 000000 Vn:5 Rd:5',
    spec: 'DDI0487 C7.2 FMOV (general)',
    simd: true,
    text: ({ Vn, Rd }) => `fmov\t${reg(1, Rd)}, v${Vn}.d[1]`,
    exec(s, { Vn, Rd }) {
      s.setX(Rd, s.lane(Vn, 3, i32(1)));
    },
  }),
  insn('FMOV (general), general to top half', {
    bits: '1 00 11110 10 1 01 111 000000 Rn:5 Vd:5',
    spec: 'DDI0487 C7.2 FMOV (general)',
    simd: true,
    text: ({ Rn, Vd }) => `fmov\tv${Vd}.d[1], ${reg(1, Rn)}`,
    exec(s, { Rn, Vd }) {
      s.setLane(Vd, 3, i32(1), s.x(Rn));
    },
  }),
];

// ---- compare and select

const COMPARES = [
  insn('FCMP, FCMPE (register)', {
    bits: '000 11110 0 type 1 Vm:5 00 1000 Vn:5 e 0 000',
    spec: 'DDI0487 C7.2 FCMP, FCMPE',
    static: ['type'],
    simd: true,
    text: ({ type, Vm, Vn, e }) => `${e === 1 ? 'fcmpe' : 'fcmp'}\t${fp(Vn, type)}, ${fp(Vm, type)}`,
    exec(s, { type, Vm, Vn, e }) {
      const a = s.let(readBits(s, type, Vn));
      const b = s.let(readBits(s, type, Vm));
      s.setNZCV(compare(s, a, b, s.imm(e)));
    },
  }),
  insn('FCMP, FCMPE (zero)', {
    bits: '000 11110 0 type 1 xxxxx 00 1000 Vn:5 e 1 000',
    spec: 'DDI0487 C7.2 FCMP, FCMPE',
    static: ['type'],
    simd: true,
    text: ({ type, Vn, e }) => `${e === 1 ? 'fcmpe' : 'fcmp'}\t${fp(Vn, type)}, #0.0`,
    exec(s, { type, Vn, e }) {
      const a = s.let(readBits(s, type, Vn));
      s.setNZCV(compare(s, a, intLike(a, 0), s.imm(e)));
    },
  }),
  insn('FCCMP, FCCMPE', {
    bits: '000 11110 0 type 1 Vm:5 cond:4 01 Vn:5 e nzcv:4',
    spec: 'DDI0487 C7.2 FCCMP, FCCMPE',
    static: ['type', 'cond'],
    simd: true,
    text: ({ type, Vm, cond, Vn, e, nzcv }) =>
      `${e === 1 ? 'fccmpe' : 'fccmp'}\t${fp(Vn, type)}, ${fp(Vm, type)}, ${immHex(nzcv)}, ${CONDITION_NAMES[cond]}`,
    exec(s, { type, Vm, cond, Vn, e, nzcv }) {
      s.if(
        s.condition(cond),
        () => {
          const a = s.let(readBits(s, type, Vn));
          const b = s.let(readBits(s, type, Vm));
          s.setNZCV(compare(s, a, b, s.imm(e)));
        },
        () => {
          s.setNZCV(s.imm(nzcv));
        },
      );
    },
  }),
  insn('FCSEL', {
    bits: '000 11110 0 type 1 Vm:5 cond:4 11 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 FCSEL',
    static: ['type', 'cond'],
    simd: true,
    text: ({ type, Vm, cond, Vn, Vd }) =>
      `fcsel\t${fp(Vd, type)}, ${fp(Vn, type)}, ${fp(Vm, type)}, ${CONDITION_NAMES[cond]}`,
    exec(s, { type, Vm, cond, Vn, Vd }) {
      const isFirst = s.condition(cond);
      writeBits(s, Vd, select(isFirst, readBits(s, type, Vn), readBits(s, type, Vm)));
    },
  }),
];

// ---- conversions

function toIntegerRow(name: string, rounding: Rounding, rmode: string, opcode: string): Row {
  const bits = 'sf 00 11110 0 type 1 00 000 000000 Vn:5 Rd:5';
  const isSigned = name.endsWith('S');
  return insn(`${name} (scalar)`, {
    bits: bits.replace(' 00 000 ', ` ${rmode} ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${name} (scalar)`,
    static: ['sf', 'type'],
    simd: true,
    text: ({ sf, type, Vn, Rd }) => `${name.toLowerCase()}\t${reg(sf, Rd)}, ${fp(Vn, type)}`,
    exec(s, { sf, type, Vn, Rd }) {
      s.setR(Rd, toInteger(s, sf, toFloat(readBits(s, type, Vn)), rounding, isSigned));
    },
  });
}

/** 2^±fbits, where fbits = 64 − scale. */
function powerOfTwo(s: Stage, type: number, scale: ImmField, sign: 1 | -1): Float {
  const fbits = sub(i64(64), s.imm64(scale));
  const [bias, fraction] = type === 1 ? [1023, 52] : [127, 23];
  const exponent: I64 = (sign === 1 ? add : sub)(i64(bias), fbits);
  const bits = shl(exponent, i64(fraction));
  return toFloat(type === 1 ? bits : wrap(bits));
}

/** Fixed-point forms exist for as many fraction bits as the integer has bits. */
function isFixed({ sf, scale }: { sf: number; scale: number }): boolean {
  return sf === 1 || scale >= 32;
}

function toFixedRow(name: 'FCVTZS' | 'FCVTZU', opcode: string): Row {
  const bits = 'sf 00 11110 0 type 0 11 000 scale:6 Vn:5 Rd:5';
  return insn(`${name} (scalar, fixed-point)`, {
    bits: bits.replace(' 000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${name} (scalar, fixed-point)`,
    static: ['sf', 'type'],
    constraint: isFixed,
    simd: true,
    text: ({ sf, type, scale, Vn, Rd }) =>
      `${name.toLowerCase()}\t${reg(sf, Rd)}, ${fp(Vn, type)}, #${64 - scale}`,
    exec(s, { sf, type, scale, Vn, Rd }) {
      const scaled = floatBinary('mul', toFloat(readBits(s, type, Vn)), powerOfTwo(s, type, scale, 1));
      s.setR(Rd, toInteger(s, sf, scaled, 'Z', name === 'FCVTZS'));
    },
  });
}

function fromIntegerRow(name: 'SCVTF' | 'UCVTF', opcode: string): Row {
  const bits = 'sf 00 11110 0 type 1 00 000 000000 Rn:5 Vd:5';
  return insn(`${name} (scalar, integer)`, {
    bits: bits.replace(' 000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${name} (scalar, integer)`,
    static: ['sf', 'type'],
    simd: true,
    text: ({ sf, type, Rn, Vd }) => `${name.toLowerCase()}\t${fp(Vd, type)}, ${reg(sf, Rn)}`,
    exec(s, { sf, type, Rn, Vd }) {
      writeBits(s, Vd, toBits(fromInteger(s, type, s.let(s.r(sf, Rn)), name === 'SCVTF')));
    },
  });
}

function fromFixedRow(name: 'SCVTF' | 'UCVTF', opcode: string): Row {
  const bits = 'sf 00 11110 0 type 0 00 000 scale:6 Rn:5 Vd:5';
  return insn(`${name} (scalar, fixed-point)`, {
    bits: bits.replace(' 000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${name} (scalar, fixed-point)`,
    static: ['sf', 'type'],
    constraint: isFixed,
    simd: true,
    text: ({ sf, type, scale, Rn, Vd }) =>
      `${name.toLowerCase()}\t${fp(Vd, type)}, ${reg(sf, Rn)}, #${64 - scale}`,
    exec(s, { sf, type, scale, Rn, Vd }) {
      // Scaling by a power of two is exact: an integer's quotient is a normal number.
      const value = fromInteger(s, type, s.let(s.r(sf, Rn)), name === 'SCVTF');
      writeBits(s, Vd, toBits(floatBinary('mul', value, powerOfTwo(s, type, scale, -1))));
    },
  });
}

const CONVERSIONS = [
  toIntegerRow('FCVTNS', 'N', '00', '000'),
  toIntegerRow('FCVTNU', 'N', '00', '001'),
  toIntegerRow('FCVTAS', 'A', '00', '100'),
  toIntegerRow('FCVTAU', 'A', '00', '101'),
  toIntegerRow('FCVTPS', 'P', '01', '000'),
  toIntegerRow('FCVTPU', 'P', '01', '001'),
  toIntegerRow('FCVTMS', 'M', '10', '000'),
  toIntegerRow('FCVTMU', 'M', '10', '001'),
  toIntegerRow('FCVTZS', 'Z', '11', '000'),
  toIntegerRow('FCVTZU', 'Z', '11', '001'),
  toFixedRow('FCVTZS', '000'),
  toFixedRow('FCVTZU', '001'),
  fromIntegerRow('SCVTF', '010'),
  fromIntegerRow('UCVTF', '011'),
  fromFixedRow('SCVTF', '010'),
  fromFixedRow('UCVTF', '011'),
  insn('FCVT', {
    bits: '000 11110 0 type 1 0001 0 to 10000 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 FCVT',
    static: ['type', 'to'],
    allocated: ({ type, to }) => type !== to,
    simd: true,
    text: ({ type, to, Vn, Vd }) => `fcvt\t${fp(Vd, to)}, ${fp(Vn, type)}`,
    exec(s, { type, Vn, Vd }) {
      writeBits(s, Vd, toOtherPrecision(s, s.let(readBits(s, type, Vn))));
    },
  }),
  unimplemented('FCVT (to half)', '000 11110 0 type 1 0001 11 10000 Vn:5 Vd:5', 'DDI0487 C7.2 FCVT'),
  unimplemented('FCVT (from half)', '000 11110 11 1 0001 0 opc 10000 Vn:5 Vd:5', 'DDI0487 C7.2 FCVT'),
];

// ---- arithmetic

function unaryRow(name: string, opcode: string, compute: (s: Stage, a: Int) => Int): Row {
  const bits = '000 11110 0 type 1 000000 10000 Vn:5 Vd:5';
  return insn(`${name} (scalar)`, {
    bits: bits.replace(' 000000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${name} (scalar)`,
    static: ['type'],
    simd: true,
    text: ({ type, Vn, Vd }) => `${name.toLowerCase()}\t${fp(Vd, type)}, ${fp(Vn, type)}`,
    exec(s, { type, Vn, Vd }) {
      writeBits(s, Vd, compute(s, s.let(readBits(s, type, Vn))));
    },
  });
}

function binaryRow(name: string, opcode: string, compute: (s: Stage, a: Int, b: Int) => Int): Row {
  const bits = '000 11110 0 type 1 Vm:5 0000 10 Vn:5 Vd:5';
  return insn(`${name} (scalar)`, {
    bits: bits.replace(' 0000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${name} (scalar)`,
    static: ['type'],
    simd: true,
    text: ({ type, Vm, Vn, Vd }) =>
      `${name.toLowerCase()}\t${fp(Vd, type)}, ${fp(Vn, type)}, ${fp(Vm, type)}`,
    exec(s, { type, Vm, Vn, Vd }) {
      const a = s.let(readBits(s, type, Vn));
      const b = s.let(readBits(s, type, Vm));
      writeBits(s, Vd, compute(s, a, b));
    },
  });
}

const ARITHMETIC = [
  unaryRow('FABS', '000001', (_, a) => magnitude(a)),
  unaryRow('FNEG', '000010', (_, a) => negate(a)),
  unaryRow('FSQRT', '000011', squareRoot),
  unaryRow('FRINTN', '001000', (s, a) => roundToIntegral(s, a, 'N', false)),
  unaryRow('FRINTP', '001001', (s, a) => roundToIntegral(s, a, 'P', false)),
  unaryRow('FRINTM', '001010', (s, a) => roundToIntegral(s, a, 'M', false)),
  unaryRow('FRINTZ', '001011', (s, a) => roundToIntegral(s, a, 'Z', false)),
  unaryRow('FRINTA', '001100', (s, a) => roundToIntegral(s, a, 'A', false)),
  // These two round as FPCR.RMode says; see fp-values.ts.
  unaryRow('FRINTX', '001110', (s, a) => roundToIntegral(s, a, 'N', true)),
  unaryRow('FRINTI', '001111', (s, a) => roundToIntegral(s, a, 'N', false)),
  binaryRow('FMUL', '0000', (s, a, b) => arithmetic(s, 'mul', a, b)),
  binaryRow('FDIV', '0001', (s, a, b) => arithmetic(s, 'div', a, b)),
  binaryRow('FADD', '0010', (s, a, b) => arithmetic(s, 'add', a, b)),
  binaryRow('FSUB', '0011', (s, a, b) => arithmetic(s, 'sub', a, b)),
  binaryRow('FMAX', '0100', (s, a, b) => arithmetic(s, 'max', a, b)),
  binaryRow('FMIN', '0101', (s, a, b) => arithmetic(s, 'min', a, b)),
  binaryRow('FMAXNM', '0110', (s, a, b) => minMaxNumber(s, 'max', a, b)),
  binaryRow('FMINNM', '0111', (s, a, b) => minMaxNumber(s, 'min', a, b)),
  binaryRow('FNMUL', '1000', (s, a, b) => negate(arithmetic(s, 'mul', a, b))),
  unimplemented('FMADD', '000 11111 0 type 0 Vm:5 0 Va:5 Vn:5 Vd:5', 'DDI0487 C7.2 FMADD'),
  unimplemented('FMSUB', '000 11111 0 type 0 Vm:5 1 Va:5 Vn:5 Vd:5', 'DDI0487 C7.2 FMSUB'),
  unimplemented('FNMADD', '000 11111 0 type 1 Vm:5 0 Va:5 Vn:5 Vd:5', 'DDI0487 C7.2 FNMADD'),
  unimplemented('FNMSUB', '000 11111 0 type 1 Vm:5 1 Va:5 Vn:5 Vd:5', 'DDI0487 C7.2 FNMSUB'),
];

export const FLOATING_POINT: readonly Row[] = [...MOVES, ...COMPARES, ...CONVERSIONS, ...ARITHMETIC];
