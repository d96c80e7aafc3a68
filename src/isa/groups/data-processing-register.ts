/** Data processing, register. DDI0487 C4.1.95. */
import {
  add,
  and,
  clz,
  divS,
  divU,
  eq,
  eqz,
  extS,
  extU,
  i32,
  i64,
  intLike,
  mul,
  not,
  or,
  rotl,
  rotr,
  select,
  shl,
  shrS,
  shrU,
  sub,
  wrap,
  xor,
} from '../../wasm/expr.js';
import type { I32, I64, Int } from '../../wasm/expr.js';
import {
  EXTEND_NAMES,
  SHIFT_KINDS,
  SHIFT_SPLIT,
  atWidth,
  carryOut,
  extended,
  immAtWidth,
  isExtendedFromX,
  mulHighSigned,
  mulHighUnsigned,
  overflow,
  shifted,
  signBit,
} from '../operands.js';
import { insn, notAdvertised } from '../row.js';
import type { ImmField, RegField } from '../row.js';
import type { Condition, Stage } from '../stage.js';
import { CONDITION_NAMES, immHex, reg, regSp } from '../text.js';

// ---- text

function threeRegisters(name: string, sf: number, Rd: number, Rn: number, Rm: number): string {
  return `${name}\t${reg(sf, Rd)}, ${reg(sf, Rn)}, ${reg(sf, Rm)}`;
}

function shiftText(shift: number, imm6: number): string {
  return shift === 0 && imm6 === 0 ? '' : `, ${SHIFT_KINDS[1 + shift]} #${imm6}`;
}

function extendText(sf: number, option: number, imm3: number, Rm: number, usesSp: boolean): string {
  const source = reg(sf === 1 && isExtendedFromX(option) ? 1 : 0, Rm);
  // With the stack pointer the extension that changes nothing is written as a shift.
  const isPlain = usesSp && option === (sf === 1 ? 3 : 2);
  const amount = imm3 === 0 ? '' : ` #${imm3}`;
  if (isPlain) return imm3 === 0 ? source : `${source}, lsl${amount}`;
  return `${source}, ${EXTEND_NAMES[option]}${amount}`;
}

// ---- logical (shifted register)

const LOGICAL_NAMES = [
  ['and', 'bic'],
  ['orr', 'orn'],
  ['eor', 'eon'],
  ['ands', 'bics'],
] as const;
const LOGICAL = [and, or, xor, and] as const;

/** Both 32-bit operands have five bits of shift amount. */
function isShiftAmount({ sf, imm6 }: { readonly sf: number; readonly imm6: number }): boolean {
  return sf === 1 || imm6 < 32;
}

// ---- conditions

const SELECT_NAMES = ['csel', 'csinc', 'csinv', 'csneg'] as const;

function conditionalCompare(
  s: Stage,
  op: number,
  cond: Condition,
  a: () => Int,
  b: () => Int,
  nzcv: ImmField,
): void {
  s.if(
    s.condition(cond),
    () => {
      if (op === 1) s.setFlagsSub(s.let(a()), s.let(b()));
      else s.setFlagsAdd(s.let(a()), s.let(b()));
    },
    () => {
      s.setNZCV(s.imm(nzcv));
    },
  );
}

// ---- bits and bytes

/** Exchanges neighbouring groups of `bits` bits, where `mask` selects the lower group of each pair. */
function swapGroups<T extends Int>(s: Stage, value: T, bits: number, mask: T): T {
  const v = s.let(value) as T;
  const by = intLike(v, bits);
  return or(and(shrU(v, by), mask), shl(and(v, mask), by));
}

/** A mask of repeated 32-bit `pattern`. */
function pattern(like: Int, bits: number): Int {
  return like.type === 'i32' ? i32(bits) : i64((BigInt(bits) << 32n) | BigInt(bits));
}

/** Byte order reversed within each halfword. */
function reverseHalfwords(s: Stage, value: Int): Int {
  return swapGroups(s, value, 8, pattern(value, 0x00ff_00ff));
}

/** Byte order reversed within each word. */
function reverseWords(s: Stage, value: Int): Int {
  if (value.type === 'i32') {
    const v = s.let(value);
    return or(and(rotl(v, i32(8)), i32(0x00ff_00ff)), and(rotr(v, i32(8)), i32(0xff00_ff00)));
  }
  return swapGroups(s, reverseHalfwords(s, value), 16, pattern(value, 0x0000_ffff));
}

function reverseBytes(s: Stage, value: Int): Int {
  const words = reverseWords(s, value);
  return words.type === 'i32' ? words : rotl(words, i64(32));
}

function reverseBits(s: Stage, value: Int): Int {
  let v = value;
  v = swapGroups(s, v, 1, pattern(v, 0x5555_5555));
  v = swapGroups(s, v, 2, pattern(v, 0x3333_3333));
  v = swapGroups(s, v, 4, pattern(v, 0x0f0f_0f0f));
  return reverseBytes(s, v);
}

/** Bits below the top one that equal it. */
function countLeadingSigns(s: Stage, value: Int): Int {
  const v = s.let(value);
  // Where a bit differs from the one above it is 1; the 1 shifted in ends the count at the width less one.
  const one = intLike(v, 1);
  return clz(or(shl(xor(v, shrS(v, one)), one), one));
}

const ONE_SOURCE = [
  { opc: 0, name: 'rbit', of: reverseBits },
  { opc: 1, name: 'rev16', of: reverseHalfwords },
  { opc: 4, name: 'clz', of: (_: Stage, value: Int): Int => clz(value) },
  { opc: 5, name: 'cls', of: countLeadingSigns },
] as const;

// ---- division

function divide(s: Stage, isSigned: boolean, dividend: Int, divisor: Int): Int {
  const a = s.let(dividend);
  const b = s.let(divisor);
  return s.ifValue(
    eqz(b),
    () => intLike(a, 0),
    () => {
      if (!isSigned) return divU(a, b);
      // INT_MIN / −1 traps in WebAssembly; in the architecture it is what negation gives.
      return s.ifValue(
        eq(b, intLike(b, -1)),
        () => sub(intLike(a, 0), a),
        () => divS(a, b),
        a.type,
      );
    },
    a.type,
  );
}

// ---- CRC32

/** Bit-reversed polynomials of CRC32 and CRC32C. */
const CRC_POLYNOMIALS = [0xedb8_8320, 0x82f6_3b78] as const;

/**
 * What each bit of the data adds to a checksum. A CRC is linear: the checksum of the data is the exclusive OR of those
 * of its bits, which, unlike the shift register of the definition, wait for nothing.
 */
function crcOfBits(polynomial: number, bits: number): bigint[] {
  return Array.from({ length: bits }, (_, bit) => {
    let rest = 1n << BigInt(bit);
    for (let i = 0; i < bits; i++) rest = (rest >> 1n) ^ ((rest & 1n) === 1n ? BigInt(polynomial) : 0n);
    return rest;
  });
}

function crc(s: Stage, polynomial: number, sizeLog2: number, accumulator: I64, data: I64): I32 {
  const bits = 8 << sizeLog2;
  const register = s.let(accumulator);
  const dividend = s.let(xor(register, data));
  // Bits of the old checksum that the data does not reach move down.
  let sum: I64 = bits < 32 ? shrU(register, i64(bits)) : i64(0);
  crcOfBits(polynomial, bits).forEach((contribution, bit) => {
    const isSet = shrS(shl(dividend, i64(63 - bit)), i64(63));
    sum = xor(sum, and(isSet, i64(contribution)));
  });
  return wrap(sum);
}

const CRC_SUFFIXES = ['b', 'h', 'w', 'x'] as const;

const VARIABLE_SHIFTS = [
  { name: 'lslv', of: shl },
  { name: 'lsrv', of: shrU },
  { name: 'asrv', of: shrS },
  { name: 'rorv', of: rotr },
] as const;

function multiplyAdd(o0: number, addend: Int, product: Int): Int {
  return (o0 === 1 ? sub : add)(addend, product);
}

function addWithCarry(s: Stage, sf: number, op: number, Rn: RegField, Rm: RegField): [Int, Int, Int] {
  const a = s.let(s.r(sf, Rn));
  const b = s.let(op === 1 ? not(s.r(sf, Rm)) : s.r(sf, Rm));
  const carry = sf === 1 ? extU(s.carry()) : s.carry();
  return [a, b, s.let(add(add(a, b), carry))];
}

export const DATA_PROCESSING_REGISTER = [
  insn('AND, ORR, EOR, ANDS, BIC, ORN, EON, BICS (shifted register)', {
    bits: 'sf opc:2 01010 shift:2 N Rm:5 imm6:6 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'opc', 'N'],
    split: { kind: SHIFT_SPLIT },
    constraint: isShiftAmount,
    text: ({ sf, opc, N, shift, Rm, imm6, Rn, Rd }) =>
      threeRegisters(LOGICAL_NAMES[opc]?.[N] ?? '', sf, Rd, Rn, Rm) + shiftText(shift, imm6),
    exec(s, { sf, opc, N, Rm, imm6, Rn, Rd }, { kind }) {
      const operand = shifted(kind, s.r(sf, Rm), immAtWidth(s, sf, imm6));
      const result = (LOGICAL[opc] ?? and)(s.r(sf, Rn), N === 1 ? not(operand) : operand);
      if (opc === 3) {
        const value = s.let(result);
        s.setFlagsLogical(value);
        s.setR(Rd, value);
      } else s.setR(Rd, result);
    },
  }),
  insn('ADD, ADDS, SUB, SUBS (shifted register)', {
    bits: 'sf op S 01011 shift:2 0 Rm:5 imm6:6 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op', 'S'],
    split: { kind: SHIFT_SPLIT },
    constraint: (fields) => fields.shift !== 3 && isShiftAmount(fields),
    text: ({ sf, op, S, shift, Rm, imm6, Rn, Rd }) =>
      threeRegisters((op === 1 ? 'sub' : 'add') + (S === 1 ? 's' : ''), sf, Rd, Rn, Rm) +
      shiftText(shift, imm6),
    exec(s, { sf, op, S, Rm, imm6, Rn, Rd }, { kind }) {
      const operand = shifted(kind, s.r(sf, Rm), immAtWidth(s, sf, imm6));
      if (S === 0) {
        s.setR(Rd, (op === 1 ? sub : add)(s.r(sf, Rn), operand));
        return;
      }
      const a = s.let(s.r(sf, Rn));
      const b = s.let(operand);
      if (op === 1) s.setFlagsSub(a, b);
      else s.setFlagsAdd(a, b);
      s.setR(Rd, (op === 1 ? sub : add)(a, b));
    },
  }),
  insn('ADD, SUB (extended register)', {
    bits: 'sf op 0 01011 00 1 Rm:5 option:3 imm3:3 Rn:5|sp Rd:5|sp',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op', 'option'],
    constraint: ({ imm3 }) => imm3 <= 4,
    text: ({ sf, op, Rm, option, imm3, Rn, Rd }) =>
      `${op === 1 ? 'sub' : 'add'}\t${regSp(sf, Rd)}, ${regSp(sf, Rn)}, ${extendText(sf, option, imm3, Rm, Rn === 31 || Rd === 31)}`,
    exec(s, { sf, op, Rm, option, imm3, Rn, Rd }) {
      const operand = atWidth(sf, shl(extended(option, s.x(Rm)), s.imm64(imm3)));
      s.setR(Rd, (op === 1 ? sub : add)(s.r(sf, Rn), operand));
    },
  }),
  insn('ADDS, SUBS (extended register)', {
    bits: 'sf op 1 01011 00 1 Rm:5 option:3 imm3:3 Rn:5|sp Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op', 'option'],
    constraint: ({ imm3 }) => imm3 <= 4,
    text: ({ sf, op, Rm, option, imm3, Rn, Rd }) =>
      `${op === 1 ? 'subs' : 'adds'}\t${reg(sf, Rd)}, ${regSp(sf, Rn)}, ${extendText(sf, option, imm3, Rm, Rn === 31)}`,
    exec(s, { sf, op, Rm, option, imm3, Rn, Rd }) {
      const a = s.let(s.r(sf, Rn));
      const b = s.let(atWidth(sf, shl(extended(option, s.x(Rm)), s.imm64(imm3))));
      if (op === 1) s.setFlagsSub(a, b);
      else s.setFlagsAdd(a, b);
      s.setR(Rd, (op === 1 ? sub : add)(a, b));
    },
  }),
  insn('ADC, SBC', {
    bits: 'sf op 0 11010000 Rm:5 000000 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op'],
    text: ({ sf, op, Rm, Rn, Rd }) => threeRegisters(op === 1 ? 'sbc' : 'adc', sf, Rd, Rn, Rm),
    exec(s, { sf, op, Rm, Rn, Rd }) {
      const [, , result] = addWithCarry(s, sf, op, Rn, Rm);
      s.setR(Rd, result);
    },
  }),
  insn('ADCS, SBCS', {
    bits: 'sf op 1 11010000 Rm:5 000000 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op'],
    text: ({ sf, op, Rm, Rn, Rd }) => threeRegisters(op === 1 ? 'sbcs' : 'adcs', sf, Rd, Rn, Rm),
    exec(s, { sf, op, Rm, Rn, Rd }) {
      const [a, b, result] = addWithCarry(s, sf, op, Rn, Rm);
      const n = shl(signBit(result), i32(3));
      const z = shl(eqz(result), i32(2));
      const c = shl(carryOut(a, b, result), i32(1));
      s.setNZCV(or(or(n, z), or(c, overflow(a, b, result))));
      s.setR(Rd, result);
    },
  }),
  insn('RMIF', {
    bits: '1 0 1 11010000 imm6:6 00001 Rn:5 0 mask:4',
    spec: 'DDI0487 C6.2 RMIF',
    feature: 'FlagM',
    text: ({ imm6, Rn, mask }) => `rmif\t${reg(1, Rn)}, #${imm6}, #${mask}`,
    exec(s, { imm6, Rn, mask }) {
      const old = s.nzcv();
      const rotated = wrap(rotr(s.x(Rn), s.imm64(imm6)));
      const chosen = s.imm(mask);
      s.setNZCV(or(and(old, xor(chosen, i32(15))), and(rotated, chosen)));
    },
  }),
  insn('SETF8, SETF16', {
    bits: '0 0 1 11010000 000000 sz 0010 Rn:5 0 1101',
    spec: 'DDI0487 C6.2 SETF8, SETF16',
    feature: 'FlagM',
    static: ['sz'],
    text: ({ sz, Rn }) => `setf${8 << sz}\t${reg(0, Rn)}`,
    exec(s, { sz, Rn }) {
      const top = (8 << sz) - 1;
      const value = s.let(s.w(Rn));
      const bit = (at: number): I32 => and(shrU(value, i32(at)), i32(1));
      const isZero = eqz(shl(value, i32(31 - top)));
      const c = shl(s.carry(), i32(1));
      s.setNZCV(or(or(shl(bit(top), i32(3)), shl(isZero, i32(2))), or(c, xor(bit(top + 1), bit(top)))));
    },
  }),
  insn('CCMN, CCMP (register)', {
    bits: 'sf op 1 11010010 Rm:5 cond:4 0 0 Rn:5 0 nzcv:4',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op', 'cond'],
    text: ({ sf, op, Rm, cond, Rn, nzcv }) =>
      `${op === 1 ? 'ccmp' : 'ccmn'}\t${reg(sf, Rn)}, ${reg(sf, Rm)}, ${immHex(nzcv)}, ${CONDITION_NAMES[cond]}`,
    exec(s, { sf, op, Rm, cond, Rn, nzcv }) {
      conditionalCompare(
        s,
        op,
        cond,
        () => s.r(sf, Rn),
        () => s.r(sf, Rm),
        nzcv,
      );
    },
  }),
  insn('CCMN, CCMP (immediate)', {
    bits: 'sf op 1 11010010 imm5:5 cond:4 1 0 Rn:5 0 nzcv:4',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op', 'cond'],
    text: ({ sf, op, imm5, cond, Rn, nzcv }) =>
      `${op === 1 ? 'ccmp' : 'ccmn'}\t${reg(sf, Rn)}, ${immHex(imm5)}, ${immHex(nzcv)}, ${CONDITION_NAMES[cond]}`,
    exec(s, { sf, op, imm5, cond, Rn, nzcv }) {
      conditionalCompare(
        s,
        op,
        cond,
        () => s.r(sf, Rn),
        () => immAtWidth(s, sf, imm5),
        nzcv,
      );
    },
  }),
  insn('CSEL, CSINC, CSINV, CSNEG', {
    bits: 'sf op 0 11010100 Rm:5 cond:4 0 o2 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op', 'cond', 'o2'],
    text: ({ sf, op, o2, Rm, cond, Rn, Rd }) =>
      `${threeRegisters(SELECT_NAMES[2 * op + o2] ?? '', sf, Rd, Rn, Rm)}, ${CONDITION_NAMES[cond]}`,
    exec(s, { sf, op, o2, Rm, cond, Rn, Rd }) {
      const inverted = op === 1 ? not(s.r(sf, Rm)) : s.r(sf, Rm);
      const otherwise = o2 === 1 ? add(inverted, intLike(inverted, 1)) : inverted;
      s.setR(Rd, select(s.condition(cond), s.r(sf, Rn), otherwise));
    },
  }),
  insn('MADD, MSUB', {
    bits: 'sf 00 11011 000 Rm:5 o0 Ra:5 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'o0'],
    text: ({ sf, o0, Rm, Ra, Rn, Rd }) =>
      `${threeRegisters(o0 === 1 ? 'msub' : 'madd', sf, Rd, Rn, Rm)}, ${reg(sf, Ra)}`,
    exec(s, { sf, o0, Rm, Ra, Rn, Rd }) {
      s.setR(Rd, multiplyAdd(o0, s.r(sf, Ra), mul(s.r(sf, Rn), s.r(sf, Rm))));
    },
  }),
  insn('SMADDL, SMSUBL, UMADDL, UMSUBL', {
    bits: '1 00 11011 U 01 Rm:5 o0 Ra:5 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['U', 'o0'],
    text: ({ U, o0, Rm, Ra, Rn, Rd }) =>
      `${U === 1 ? 'u' : 's'}${o0 === 1 ? 'msub' : 'madd'}l\t${reg(1, Rd)}, ${reg(0, Rn)}, ${reg(0, Rm)}, ${reg(1, Ra)}`,
    exec(s, { U, o0, Rm, Ra, Rn, Rd }) {
      const extend = U === 1 ? extU : extS;
      s.setR(Rd, multiplyAdd(o0, s.x(Ra), mul(extend(s.w(Rn)), extend(s.w(Rm)))));
    },
  }),
  insn('SMULH, UMULH', {
    bits: '1 00 11011 U 10 Rm:5 0 xxxxx Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['U'],
    text: ({ U, Rm, Rn, Rd }) => threeRegisters(U === 1 ? 'umulh' : 'smulh', 1, Rd, Rn, Rm),
    exec(s, { U, Rm, Rn, Rd }) {
      const a = s.let(s.x(Rn));
      const b = s.let(s.x(Rm));
      s.setX(Rd, (U === 1 ? mulHighUnsigned : mulHighSigned)(s, a, b));
    },
  }),
  insn('UDIV, SDIV', {
    bits: 'sf 0 0 11010110 Rm:5 00001 o1 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'o1'],
    text: ({ sf, o1, Rm, Rn, Rd }) => threeRegisters(o1 === 1 ? 'sdiv' : 'udiv', sf, Rd, Rn, Rm),
    exec(s, { sf, o1, Rm, Rn, Rd }) {
      s.setR(Rd, divide(s, o1 === 1, s.r(sf, Rn), s.r(sf, Rm)));
    },
  }),
  insn('LSLV, LSRV, ASRV, RORV', {
    bits: 'sf 0 0 11010110 Rm:5 0010 op2:2 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op2'],
    text: ({ sf, op2, Rm, Rn, Rd }) => threeRegisters(VARIABLE_SHIFTS[op2]?.name ?? '', sf, Rd, Rn, Rm),
    exec(s, { sf, op2, Rm, Rn, Rd }) {
      s.setR(Rd, (VARIABLE_SHIFTS[op2]?.of ?? shl)(s.r(sf, Rn), s.r(sf, Rm)));
    },
  }),
  insn('CRC32B, CRC32H, CRC32W, CRC32X, CRC32CB, CRC32CH, CRC32CW, CRC32CX', {
    bits: 'sf 0 0 11010110 Rm:5 010 C sz:2 Rn:5 Rd:5',
    feature: 'CRC32',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'C', 'sz'],
    allocated: ({ sf, sz }) => (sf === 1) === (sz === 3),
    text: ({ sf, Rm, C, sz, Rn, Rd }) =>
      `crc32${C === 1 ? 'c' : ''}${CRC_SUFFIXES[sz]}\t${reg(0, Rd)}, ${reg(0, Rn)}, ${reg(sf, Rm)}`,
    exec(s, { C, sz, Rm, Rn, Rd }) {
      s.setW(Rd, crc(s, CRC_POLYNOMIALS[C] ?? 0, sz, extU(s.w(Rn)), s.x(Rm)));
    },
  }),
  notAdvertised('SUBP (FEAT_MTE)', '1 0 0 11010110 Xm:5 000000 Xn:5 Xd:5', 'DDI0487 C6.2'),
  notAdvertised('SUBPS (FEAT_MTE)', '1 0 1 11010110 Xm:5 000000 Xn:5 Xd:5', 'DDI0487 C6.2'),
  notAdvertised('IRG (FEAT_MTE)', '1 0 0 11010110 Xm:5 000100 Xn:5 Xd:5', 'DDI0487 C6.2'),
  notAdvertised('GMI (FEAT_MTE)', '1 0 0 11010110 Xm:5 000101 Xn:5 Xd:5', 'DDI0487 C6.2'),
  notAdvertised('PACGA (FEAT_PAuth)', '1 0 0 11010110 Xm:5 001100 Xn:5 Xd:5', 'DDI0487 C6.2'),
  notAdvertised(
    'SMAX, UMAX, SMIN, UMIN (register) (FEAT_CSSC)',
    'sf 0 0 11010110 Rm:5 0110 op:2 Rn:5 Rd:5',
    'DDI0487 C6.2',
  ),
  notAdvertised('ABS (FEAT_CSSC)', 'sf 1 0 11010110 00000 001000 Rn:5 Rd:5', 'DDI0487 C6.2'),
  notAdvertised('CTZ, CNT (FEAT_CSSC)', 'sf 1 0 11010110 00000 00011 op Rn:5 Rd:5', 'DDI0487 C6.2'),
  insn('REV', {
    bits: 'sf 1 0 11010110 00000 00001 opc0 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'opc0'],
    allocated: ({ sf, opc0 }) => sf === opc0,
    text: ({ sf, Rn, Rd }) => `rev\t${reg(sf, Rd)}, ${reg(sf, Rn)}`,
    exec(s, { sf, Rn, Rd }) {
      s.setR(Rd, reverseBytes(s, s.r(sf, Rn)));
    },
  }),
  insn('REV32', {
    bits: '1 1 0 11010110 00000 000010 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    text: ({ Rn, Rd }) => `rev32\t${reg(1, Rd)}, ${reg(1, Rn)}`,
    exec(s, { Rn, Rd }) {
      s.setR(Rd, reverseWords(s, s.x(Rn)));
    },
  }),
  insn('RBIT, REV16, CLZ, CLS', {
    bits: 'sf 1 0 11010110 00000 000 opc:3 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'opc'],
    allocated: ({ opc }) => ONE_SOURCE.some((operation) => operation.opc === opc),
    text: ({ sf, opc, Rn, Rd }) =>
      `${ONE_SOURCE.find((operation) => operation.opc === opc)?.name}\t${reg(sf, Rd)}, ${reg(sf, Rn)}`,
    exec(s, { sf, opc, Rn, Rd }) {
      const operation = ONE_SOURCE.find((o) => o.opc === opc);
      if (operation) s.setR(Rd, operation.of(s, s.r(sf, Rn)));
    },
  }),
  notAdvertised(
    'PACIA, PACIB, PACDA, PACDB, AUTIA, AUTIB, AUTDA, AUTDB (FEAT_PAuth)',
    '1 1 0 11010110 00001 000 op:3 Xn:5 Xd:5',
    'DDI0487 C6.2',
  ),
  notAdvertised(
    'PACIZA, PACIZB, PACDZA, PACDZB, AUTIZA, AUTIZB, AUTDZA, AUTDZB (FEAT_PAuth)',
    '1 1 0 11010110 00001 001 op:3 11111 Xd:5',
    'DDI0487 C6.2',
  ),
  notAdvertised('XPACI, XPACD (FEAT_PAuth)', '1 1 0 11010110 00001 01000 D 11111 Xd:5', 'DDI0487 C6.2'),
];
