/** Advanced SIMD copy, modified immediate, extract, permute and table lookup. DDI0487 C4.1.97. */
import type { I32, I64, V128 } from '../../wasm/expr.js';
import { i32, i64, shl, shrS, shrU, v128, wrap } from '../../wasm/expr.js';
import { bitselect, shuffle, splat, vector } from '../../wasm/simd.js';
import type { ImmField, Row } from '../row.js';
import { insn } from '../row.js';
import { laneSplat, lowHalf, setVector, sizeLog2 } from '../simd-lanes.js';
import { element, scalar, vec, vecList } from '../simd-text.js';
import type { Stage } from '../stage.js';
import { immHex, reg } from '../text.js';

// ---- copy

/** `imm5` holds the element size as its lowest set bit, and above it the element's number. */
function sizeOf(imm5: number): number {
  return 31 - Math.clz32(imm5 & -imm5);
}

function indexOf(imm5: number): number {
  return imm5 >> (sizeOf(imm5) + 1);
}

function laneIndex(s: Stage, imm5: ImmField, size: number): I32 {
  return shrU(s.imm(imm5), i32(size + 1));
}

const ELEMENT_SIZE = { count: 4, of: ({ imm5 }: { imm5: number }) => sizeOf(imm5) };
const hasSize = ({ imm5 }: { imm5: number }): boolean => (imm5 & 15) !== 0;

const COPY = [
  insn('DUP (element, vector)', {
    bits: '0 Q 0 01110000 imm5:5 0 0000 1 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 DUP (element)',
    static: ['Q'],
    split: { size: ELEMENT_SIZE },
    constraint: ({ Q, imm5 }) => hasSize({ imm5 }) && (Q === 1 || sizeOf(imm5) < 3),
    simd: true,
    text: ({ Q, imm5, Vn, Vd }) =>
      `dup\t${vec(Vd, sizeOf(imm5), Q)}, ${element(Vn, sizeOf(imm5), indexOf(imm5))}`,
    exec(s, { Q, imm5, Vn, Vd }, { size }) {
      const value = s.lane(Vn, sizeLog2(size), laneIndex(s, imm5, size));
      setVector(s, Q, Vd, laneSplat(size, value));
    },
  }),
  insn('DUP (element, scalar)', {
    bits: '01 0 11110000 imm5:5 0 0000 1 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 DUP (element)',
    split: { size: ELEMENT_SIZE },
    constraint: hasSize,
    simd: true,
    text: ({ imm5, Vn, Vd }) =>
      `dup\t${scalar(Vd, sizeOf(imm5))}, ${element(Vn, sizeOf(imm5), indexOf(imm5))}`,
    exec(s, { imm5, Vn, Vd }, { size }) {
      s.setD(Vd, s.lane(Vn, sizeLog2(size), laneIndex(s, imm5, size)));
    },
  }),
  insn('DUP (general)', {
    bits: '0 Q 0 01110000 imm5:5 0 0001 1 Rn:5 Vd:5',
    spec: 'DDI0487 C7.2 DUP (general)',
    static: ['Q'],
    split: { size: ELEMENT_SIZE },
    constraint: ({ Q, imm5 }) => hasSize({ imm5 }) && (Q === 1 || sizeOf(imm5) < 3),
    simd: true,
    text: ({ Q, imm5, Rn, Vd }) => `dup\t${vec(Vd, sizeOf(imm5), Q)}, ${reg(sizeOf(imm5) === 3 ? 1 : 0, Rn)}`,
    exec(s, { Q, Rn, Vd }, { size }) {
      setVector(s, Q, Vd, laneSplat(size, s.x(Rn)));
    },
  }),
  insn('SMOV', {
    bits: '0 Q 0 01110000 imm5:5 0 0101 1 Vn:5 Rd:5',
    spec: 'DDI0487 C7.2 SMOV',
    static: ['Q'],
    split: { size: ELEMENT_SIZE },
    constraint: ({ Q, imm5 }) => hasSize({ imm5 }) && sizeOf(imm5) < 2 + Q,
    simd: true,
    text: ({ Q, imm5, Vn, Rd }) => `smov\t${reg(Q, Rd)}, ${element(Vn, sizeOf(imm5), indexOf(imm5))}`,
    exec(s, { Q, imm5, Vn, Rd }, { size }) {
      const unused = i64(64 - (8 << size));
      const value = shrS(shl(s.lane(Vn, sizeLog2(size), laneIndex(s, imm5, size)), unused), unused);
      s.setR(Rd, Q === 1 ? value : wrap(value));
    },
  }),
  insn('UMOV', {
    bits: '0 Q 0 01110000 imm5:5 0 0111 1 Vn:5 Rd:5',
    spec: 'DDI0487 C7.2 UMOV',
    split: { size: ELEMENT_SIZE },
    constraint: ({ Q, imm5 }) => hasSize({ imm5 }) && (sizeOf(imm5) === 3) === (Q === 1),
    simd: true,
    text: ({ Q, imm5, Vn, Rd }) => `umov\t${reg(Q, Rd)}, ${element(Vn, sizeOf(imm5), indexOf(imm5))}`,
    exec(s, { imm5, Vn, Rd }, { size }) {
      s.setX(Rd, s.lane(Vn, sizeLog2(size), laneIndex(s, imm5, size)));
    },
  }),
  insn('INS (general)', {
    bits: '0 1 0 01110000 imm5:5 0 0011 1 Rn:5 Vd:5',
    spec: 'DDI0487 C7.2 INS (general)',
    split: { size: ELEMENT_SIZE },
    constraint: hasSize,
    simd: true,
    text: ({ imm5, Rn, Vd }) =>
      `ins\t${element(Vd, sizeOf(imm5), indexOf(imm5))}, ${reg(sizeOf(imm5) === 3 ? 1 : 0, Rn)}`,
    exec(s, { imm5, Rn, Vd }, { size }) {
      s.setLane(Vd, sizeLog2(size), laneIndex(s, imm5, size), s.x(Rn));
    },
  }),
  insn('INS (element)', {
    bits: '0 1 1 01110000 imm5:5 0 imm4:4 1 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 INS (element)',
    split: { size: ELEMENT_SIZE },
    constraint: hasSize,
    simd: true,
    text: ({ imm5, imm4, Vn, Vd }) => {
      const size = sizeOf(imm5);
      return `ins\t${element(Vd, size, indexOf(imm5))}, ${element(Vn, size, imm4 >> size)}`;
    },
    exec(s, { imm5, imm4, Vn, Vd }, { size }) {
      const value = s.lane(Vn, sizeLog2(size), shrU(s.imm(imm4), i32(size)));
      s.setLane(Vd, sizeLog2(size), laneIndex(s, imm5, size), value);
    },
  }),
];

// ---- modified immediate

/** The low `bits` bits of `value` repeated through 64 bits. */
function repeat(value: bigint, bits: number): bigint {
  let result = 0n;
  for (let at = 0; at < 64; at += bits) result |= value << BigInt(at);
  return result;
}

/** VFPExpandImm of DDI0487: the encoding of ±n / 16 × 2^r, n 16 … 31, r −3 … 4. */
export function expandFloat(imm8: number, exponentBits: number, fractionBits: number): bigint {
  const sign = BigInt(imm8 >> 7);
  const high = BigInt((imm8 >> 6) & 1);
  const repeated = high === 1n ? (1n << BigInt(exponentBits - 3)) - 1n : 0n;
  const exponent = ((1n - high) << BigInt(exponentBits - 1)) | (repeated << 2n) | BigInt((imm8 >> 4) & 3);
  const fraction = BigInt(imm8 & 15) << BigInt(fractionBits - 4);
  return (((sign << BigInt(exponentBits)) | exponent) << BigInt(fractionBits)) | fraction;
}

/** AdvSIMDExpandImm of DDI0487; the index is op:cmode:abc:defgh. */
function expandImmediate(index: number): bigint {
  const imm8 = index & 0xff;
  const cmode = (index >> 8) & 15;
  const op = index >> 12;
  const byte = BigInt(imm8);
  if (cmode < 8) return repeat(byte << BigInt(8 * (cmode >> 1)), 32);
  if (cmode < 12) return repeat(byte << BigInt(8 * ((cmode >> 1) & 1)), 16);
  if (cmode === 12) return repeat((byte << 8n) | 0xffn, 32);
  if (cmode === 13) return repeat((byte << 16n) | 0xffffn, 32);
  if (cmode === 14) {
    if (op === 0) return repeat(byte, 8);
    let mask = 0n;
    for (let bit = 0; bit < 8; bit++) if ((imm8 & (1 << bit)) !== 0) mask |= 0xffn << BigInt(8 * bit);
    return mask;
  }
  return op === 0 ? repeat(expandFloat(imm8, 8, 23), 32) : expandFloat(imm8, 11, 52);
}

/** `op` picks the complementing instruction; its name and what it does by cmode. */
interface Immediate {
  readonly op: ImmField;
  readonly cmode: ImmField;
  readonly abc: ImmField;
  readonly defgh: ImmField;
}

function immediate(s: Stage, { op, cmode, abc, defgh }: Immediate): I64 {
  return s.lookup('AdvSIMDExpandImm', [op, cmode, abc, defgh], expandImmediate);
}

/** ORR and BIC: the odd ones among the shifted forms. */
function isLogical(cmode: number): boolean {
  return cmode < 12 && (cmode & 1) === 1;
}

/** `8b` … and the shift, as the forms that work on 16 or 32 bits are written. */
function shiftedText(name: string, Vd: number, Q: number, cmode: number, imm8: number): string {
  const size = cmode >= 8 && cmode < 12 ? 1 : 2;
  if (cmode >= 12) return `${name}\t${vec(Vd, 2, Q)}, ${immHex(imm8)}, msl #${8 << (cmode & 1)}`;
  const shift = 8 * ((cmode >> 1) & (size === 1 ? 1 : 3));
  return `${name}\t${vec(Vd, size, Q)}, ${immHex(imm8)}${shift === 0 ? '' : `, lsl #${shift}`}`;
}

/** A floating-point immediate as binutils prints it. */
export function floatText(imm8: number): string {
  const exponent = ((imm8 >> 4) & 7) ^ 4;
  const value = ((16 + (imm8 & 15)) / 16) * 2 ** (exponent - 3) * ((imm8 & 0x80) === 0 ? 1 : -1);
  const [mantissa = '', power = '0'] = value.toExponential(18).split('e');
  const sign = power.startsWith('-') ? '-' : '+';
  return `#${mantissa}e${sign}${power.replace(/^[+-]/, '').padStart(2, '0')}`;
}

function immediateText(Q: number, op: number, cmode: number, abc: number, defgh: number, Vd: number): string {
  const imm8 = (abc << 5) | defgh;
  if (isLogical(cmode)) return shiftedText(op === 1 ? 'bic' : 'orr', Vd, Q, cmode, imm8);
  if (cmode < 14) return shiftedText(op === 1 ? 'mvni' : 'movi', Vd, Q, cmode, imm8);
  if (cmode === 15) return `fmov\t${vec(Vd, 2 + op, Q)}, ${floatText(imm8)}`;
  if (op === 0) return `movi\t${vec(Vd, 0, Q)}, ${immHex(imm8)}`;
  const register = Q === 1 ? vec(Vd, 3, 1) : scalar(Vd, 3);
  return `movi\t${register}, ${immHex(expandImmediate((op << 12) | (cmode << 8) | imm8))}`;
}

const MODIFIED_IMMEDIATE = [
  insn('MOVI, MVNI, ORR, BIC, FMOV (vector, immediate)', {
    bits: '0 Q op 0111100000 abc:3 cmode:4 0 1 defgh:5 Vd:5',
    spec: 'DDI0487 C7.2 MOVI, MVNI, ORR (vector, immediate), BIC (vector, immediate), FMOV (vector, immediate)',
    static: ['Q'],
    split: {
      // 0 writes the immediate, 1 its complement, 2 is ORR, 3 is BIC
      kind: {
        count: 4,
        of: ({ op, cmode }: { op: number; cmode: number }) =>
          isLogical(cmode) ? 2 + op : cmode < 14 ? op : 0,
      },
    },
    constraint: ({ Q, op, cmode }) => Q === 1 || op === 0 || cmode !== 15,
    simd: true,
    text: ({ Q, op, cmode, abc, defgh, Vd }) => immediateText(Q, op, cmode, abc, defgh, Vd),
    exec(s, { Q, op, cmode, abc, defgh, Vd }, { kind }) {
      const value = splat('i64x2.splat', immediate(s, { op, cmode, abc, defgh }));
      const result = [
        (): V128 => value,
        (): V128 => vector('v128.not', value),
        (): V128 => vector('v128.or', s.v(Vd), value),
        (): V128 => vector('v128.andnot', s.v(Vd), value),
      ][kind];
      if (result) setVector(s, Q, Vd, result());
    },
  }),
  insn('FMOV (vector, immediate), half-precision', {
    bits: '0 Q 0 0111100000 abc:3 1111 1 1 defgh:5 Vd:5',
    spec: 'DDI0487 C7.2 FMOV (vector, immediate)',
    static: ['Q'],
    simd: true,
    feature: 'FP16',
    text: ({ Q, abc, defgh, Vd }) => `fmov\t${vec(Vd, 1, Q)}, ${floatText((abc << 5) | defgh)}`,
    exec(s, { Q, abc, defgh, Vd }) {
      const value = s.lookup('AdvSIMDExpandImm half', [abc, defgh], (imm8) =>
        repeat(expandFloat(imm8, 5, 10), 16),
      );
      setVector(s, Q, Vd, splat('i64x2.splat', value));
    },
  }),
];

// ---- extract and permute

/** `0 1 2 … 15` */
const BYTE_NUMBERS = Uint8Array.from({ length: 16 }, (_, i) => i);

const PERMUTE_NAMES = { 1: 'uzp1', 2: 'trn1', 3: 'zip1', 5: 'uzp2', 6: 'trn2', 7: 'zip2' } as const;

/** Where element `i` of the result comes from: its number among the elements of Vn, then Vm. */
function permuted(opcode: number, i: number, elements: number): number {
  const part = opcode >> 2;
  switch (opcode & 3) {
    case 1:
      return 2 * i + part;
    case 2:
      return (i & ~1) + part + ((i & 1) === 1 ? elements : 0);
    default:
      return (i >> 1) + (part * elements) / 2 + ((i & 1) === 1 ? elements : 0);
  }
}

const PERMUTE = [
  insn('UZP1, UZP2, TRN1, TRN2, ZIP1, ZIP2', {
    bits: '0 Q 0 01110 size:2 0 Vm:5 0 opcode:3 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 UZP1, UZP2, TRN1, TRN2, ZIP1, ZIP2',
    static: ['Q', 'size', 'opcode'],
    allocated: ({ Q, size, opcode }) => (opcode & 3) !== 0 && (Q === 1 || size !== 3),
    simd: true,
    text: ({ Q, size, Vm, opcode, Vn, Vd }) =>
      `${PERMUTE_NAMES[opcode as keyof typeof PERMUTE_NAMES]}\t${[Vd, Vn, Vm].map((n) => vec(n, size, Q)).join(', ')}`,
    exec(s, { Q, size, Vm, opcode, Vn, Vd }) {
      const elements = (8 << Q) >> size;
      const bytes = Array.from({ length: 16 }, (_, i) => {
        const from = permuted(opcode, (i >> size) % elements, elements);
        const register = from >= elements ? 16 : 0;
        return register + ((from % elements) << size) + (i & ((1 << size) - 1));
      });
      setVector(s, Q, Vd, shuffle(s.v(Vn), s.v(Vm), bytes));
    },
  }),
  insn('EXT', {
    bits: '0 Q 101110 00 0 Vm:5 0 imm4:4 0 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 EXT',
    static: ['Q'],
    constraint: ({ Q, imm4 }) => Q === 1 || imm4 < 8,
    simd: true,
    text: ({ Q, Vm, imm4, Vn, Vd }) => `ext\t${[Vd, Vn, Vm].map((n) => vec(n, 0, Q)).join(', ')}, #${imm4}`,
    exec(s, { Q, Vm, imm4, Vn, Vd }) {
      const index = s.let(vector('i8x16.add', v128(BYTE_NUMBERS), splat('i8x16.splat', s.imm(imm4))));
      if (Q === 1) {
        // An index out of range gives zero, so each register contributes the bytes it has.
        const high = vector('i8x16.sub', index, splat('i8x16.splat', i32(16)));
        s.setV(
          Vd,
          vector('v128.or', vector('i8x16.swizzle', s.v(Vn), index), vector('i8x16.swizzle', s.v(Vm), high)),
        );
      } else {
        const both = shuffle(s.v(Vn), s.v(Vm), [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
        s.setV(Vd, lowHalf(vector('i8x16.swizzle', both, index)));
      }
    },
  }),
];

// ---- table lookup

const TABLE = [
  insn('TBL, TBX', {
    bits: '0 Q 001110 00 0 Vm:5 0 len:2 op 00 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 TBL, TBX',
    static: ['Q', 'len', 'op'],
    simd: true,
    text: ({ Q, Vm, len, op, Vn, Vd }) =>
      `${op === 1 ? 'tbx' : 'tbl'}\t${vec(Vd, 0, Q)}, ${vecList(Vn, len + 1, '16b')}, ${vec(Vm, 0, Q)}`,
    exec(s, { Q, Vm, len, op, Vn, Vd }) {
      const index = s.let(s.v(Vm));
      const bytes = (count: number): V128 => splat('i8x16.splat', i32(count));
      let result = vector('i8x16.swizzle', s.vAt(Vn, 0), index);
      for (let i = 1; i <= len; i++) {
        const part = vector('i8x16.swizzle', s.vAt(Vn, i), vector('i8x16.sub', index, bytes(16 * i)));
        result = vector('v128.or', result, part);
      }
      if (op === 1) {
        const isInside = vector('i8x16.lt_u', index, bytes(16 * (len + 1)));
        result = bitselect(result, s.v(Vd), isInside);
      }
      setVector(s, Q, Vd, result);
    },
  }),
];

export const SIMD_COPY: readonly Row[] = [...COPY, ...MODIFIED_IMMEDIATE, ...PERMUTE, ...TABLE];
