/** Data processing, immediate. DDI0487 C4.1.92. */
import {
  add,
  and,
  i32,
  i64,
  intLike,
  not,
  or,
  rotr,
  shl,
  shrS,
  shrU,
  sub,
  wrap,
  xor,
  extU,
} from '../../wasm/expr.js';
import type { Int } from '../../wasm/expr.js';
import { bitMask, isBitMask } from '../bit-masks.js';
import { atWidth, immAtWidth } from '../operands.js';
import { insn, notAdvertised } from '../row.js';
import { immHex, reg, regSp, signed, target } from '../text.js';

const LOGICAL_NAMES = ['and', 'orr', 'eor', 'ands'] as const;
const LOGICAL = [and, or, xor, and] as const;

function logicalText(fields: {
  readonly sf: number;
  readonly opc: number;
  readonly N: number;
  readonly immr: number;
  readonly imms: number;
  readonly Rn: number;
  readonly Rd: number;
}): string {
  const { sf, opc, N, immr, imms, Rn, Rd } = fields;
  const mask = bitMask((N << 12) | (immr << 6) | imms);
  const destination = opc === 3 ? reg(sf, Rd) : regSp(sf, Rd);
  return `${LOGICAL_NAMES[opc]}\t${destination}, ${reg(sf, Rn)}, ${immHex(BigInt.asUintN(sf === 1 ? 64 : 32, mask))}`;
}

const MOVE_NAMES = ['movn', '?', 'movz', 'movk'] as const;

const BITFIELD_NAMES = ['sbfm', 'bfm', 'ubfm'] as const;

/**
 * The bitfield `value<imms:immr>` in its place, as SBFM and UBFM have it: up until its top bit is the sign, then down.
 * Shift counts are modulo the width, so that one formula serves extracting and inserting.
 */
function bitfield(value: Int, immr: Int, imms: Int, down: typeof shrU): Int {
  return down(shl(value, not(imms)), add(immr, not(imms)));
}

/** SBFM and UBFM are plain shifts most of the time. */
const BITFIELD_ALIAS = { none: 0, shiftLeft: 1, shiftRight: 2 } as const;

/** EXTR of one register with itself is ROR (immediate). */
const ROTATION_SPLIT = { count: 2, of: ({ Rm, Rn }: { Rm: number; Rn: number }) => (Rm === Rn ? 1 : 0) };

const BITFIELD_SPLIT = {
  count: 3,
  of: ({ sf, opc, immr, imms }: Readonly<Record<'sf' | 'opc' | 'immr' | 'imms', number>>): number => {
    if (imms === (sf === 1 ? 63 : 31)) return BITFIELD_ALIAS.shiftRight;
    return opc === 2 && imms + 1 === immr ? BITFIELD_ALIAS.shiftLeft : BITFIELD_ALIAS.none;
  },
};

export const DATA_PROCESSING_IMMEDIATE = [
  insn('ADR, ADRP', {
    bits: 'op immlo:2 10000 immhi:19 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['op'],
    text: ({ op, immlo, immhi, Rd }, pc) => {
      const distance = signed((immhi << 2) | immlo, 21);
      const address = op === 1 ? (pc & ~0xfffn) + BigInt(distance) * 4096n : pc + BigInt(distance);
      return `${op === 1 ? 'adrp' : 'adr'}\t${reg(1, Rd)}, ${target(address, 0)}`;
    },
    exec(s, { op, immlo, immhi, Rd }) {
      if (op === 1) {
        const pages = add(s.simm64(immhi, 14), shl(s.imm64(immlo), i64(12)));
        s.setX(Rd, add(and(s.pc(), i64(~0xfffn)), pages));
      } else s.setX(Rd, add(s.pc(), add(s.simm64(immhi, 2), s.imm64(immlo))));
    },
  }),
  insn('ADD, SUB (immediate)', {
    bits: 'sf op 0 100010 sh imm12:12 Rn:5|sp Rd:5|sp',
    spec: 'DDI0487 C6.2.5, C6.2.410',
    static: ['sf', 'op', 'sh'],
    text: ({ sf, op, sh, imm12, Rn, Rd }) =>
      `${op === 1 ? 'sub' : 'add'}\t${regSp(sf, Rd)}, ${regSp(sf, Rn)}, ${immHex(imm12)}${sh === 1 ? ', lsl #12' : ''}`,
    exec(s, { sf, op, sh, imm12, Rn, Rd }) {
      const operand = atWidth(sf, shl(s.imm64(imm12), i64(sh === 1 ? 12 : 0)));
      s.setR(Rd, (op === 1 ? sub : add)(s.r(sf, Rn), operand));
    },
  }),
  insn('ADDS, SUBS (immediate)', {
    bits: 'sf op 1 100010 sh imm12:12 Rn:5|sp Rd:5',
    spec: 'DDI0487 C6.2.8, C6.2.416',
    static: ['sf', 'op', 'sh'],
    text: ({ sf, op, sh, imm12, Rn, Rd }) =>
      `${op === 1 ? 'subs' : 'adds'}\t${reg(sf, Rd)}, ${regSp(sf, Rn)}, ${immHex(imm12)}${sh === 1 ? ', lsl #12' : ''}`,
    exec(s, { sf, op, sh, imm12, Rn, Rd }) {
      const a = s.let(s.r(sf, Rn));
      const b = s.let(atWidth(sf, shl(s.imm64(imm12), i64(sh === 1 ? 12 : 0))));
      if (op === 1) s.setFlagsSub(a, b);
      else s.setFlagsAdd(a, b);
      s.setR(Rd, (op === 1 ? sub : add)(a, b));
    },
  }),
  notAdvertised('ADDG, SUBG (FEAT_MTE)', '1 op 0 100011 0 uimm6:6 00 uimm4:4 Xn:5 Xd:5', 'DDI0487 C6.2'),
  notAdvertised(
    'SMAX, UMAX, SMIN, UMIN (immediate) (FEAT_CSSC)',
    'sf 0 0 1000111 00 op:2 imm8:8 Rn:5 Rd:5',
    'DDI0487 C6.2',
  ),
  insn('AND, ORR, EOR (immediate)', {
    bits: 'sf opc:2 100100 N immr:6 imms:6 Rn:5 Rd:5|sp',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'opc'],
    allocated: ({ opc }) => opc !== 3,
    constraint: ({ sf, N, imms }) => isBitMask(sf, N, imms),
    text: logicalText,
    exec(s, { sf, opc, N, immr, imms, Rn, Rd }) {
      const mask = atWidth(sf, s.lookup('bit mask', [N, immr, imms], bitMask));
      s.setR(Rd, (LOGICAL[opc] ?? and)(s.r(sf, Rn), mask));
    },
  }),
  insn('ANDS (immediate)', {
    bits: 'sf 11 100100 N immr:6 imms:6 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf'],
    constraint: ({ sf, N, imms }) => isBitMask(sf, N, imms),
    text: (fields) => logicalText({ ...fields, opc: 3 }),
    exec(s, { sf, N, immr, imms, Rn, Rd }) {
      const mask = atWidth(sf, s.lookup('bit mask', [N, immr, imms], bitMask));
      const result = s.let(and(s.r(sf, Rn), mask));
      s.setFlagsLogical(result);
      s.setR(Rd, result);
    },
  }),
  insn('MOVN, MOVZ, MOVK', {
    bits: 'sf opc:2 100101 hw:2 imm16:16 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'opc', 'hw'],
    allocated: ({ sf, opc, hw }) => opc !== 1 && (sf === 1 || hw < 2),
    text: ({ sf, opc, hw, imm16, Rd }) =>
      `${MOVE_NAMES[opc]}\t${reg(sf, Rd)}, ${immHex(imm16)}${hw === 0 ? '' : `, lsl #${16 * hw}`}`,
    exec(s, { sf, opc, hw, imm16, Rd }) {
      const shift = 16 * hw;
      if (sf === 1) {
        const value = shl(s.imm64(imm16), i64(shift));
        const others = i64(~(0xffffn << BigInt(shift)));
        s.setX(Rd, opc === 0 ? not(value) : opc === 2 ? value : or(and(s.x(Rd), others), value));
      } else {
        const value = shl(s.imm(imm16), i32(shift));
        const others = i32(~(0xffff << shift));
        s.setW(Rd, opc === 0 ? not(value) : opc === 2 ? value : or(and(s.w(Rd), others), value));
      }
    },
  }),
  insn('SBFM, UBFM', {
    bits: 'sf opc:2 100110 N immr:6 imms:6 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'opc'],
    split: { alias: BITFIELD_SPLIT },
    allocated: ({ opc }) => opc === 0 || opc === 2,
    constraint: ({ sf, N, immr, imms }) => N === sf && (sf === 1 || (immr < 32 && imms < 32)),
    text: ({ sf, opc, immr, imms, Rn, Rd }) =>
      `${BITFIELD_NAMES[opc]}\t${reg(sf, Rd)}, ${reg(sf, Rn)}, #${immr}, #${imms}`,
    exec(s, { sf, opc, immr, imms, Rn, Rd }, { alias }) {
      const value = s.r(sf, Rn);
      const low = immAtWidth(s, sf, immr);
      const high = immAtWidth(s, sf, imms);
      const down = opc === 0 ? shrS : shrU;
      if (alias === BITFIELD_ALIAS.shiftRight) s.setR(Rd, down(value, low));
      else if (alias === BITFIELD_ALIAS.shiftLeft) s.setR(Rd, shl(value, not(high)));
      else s.setR(Rd, bitfield(value, low, high, down));
    },
  }),
  insn('BFM', {
    bits: 'sf 01 100110 N immr:6 imms:6 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf'],
    constraint: ({ sf, N, immr, imms }) => N === sf && (sf === 1 || (immr < 32 && imms < 32)),
    text: ({ sf, immr, imms, Rn, Rd }) => `bfm\t${reg(sf, Rd)}, ${reg(sf, Rn)}, #${immr}, #${imms}`,
    exec(s, { sf, immr, imms, Rn, Rd }) {
      const low = immAtWidth(s, sf, immr);
      const high = immAtWidth(s, sf, imms);
      const old = s.r(sf, Rd);
      const mask = bitfield(intLike(old, -1), low, high, shrU);
      s.setR(Rd, or(and(old, not(mask)), bitfield(s.r(sf, Rn), low, high, shrU)));
    },
  }),
  insn('EXTR', {
    bits: 'sf 00 100111 N 0 Rm:5 imms:6 Rn:5 Rd:5',
    spec: 'DDI0487 C6.2',
    static: ['sf'],
    split: { isRotation: ROTATION_SPLIT },
    constraint: ({ sf, N, imms }) => N === sf && (sf === 1 || imms < 32),
    text: ({ sf, Rm, imms, Rn, Rd }) => `extr\t${reg(sf, Rd)}, ${reg(sf, Rn)}, ${reg(sf, Rm)}, #${imms}`,
    exec(s, { sf, Rm, imms, Rn, Rd }, { isRotation }) {
      if (isRotation === 1) {
        s.setR(Rd, rotr(s.r(sf, Rn), immAtWidth(s, sf, imms)));
      } else if (sf === 1) {
        // Up by 1 and by 63 − lsb: a single shift by 64 would be one by 0.
        const up = shl(shl(s.x(Rn), i64(1)), not(s.imm64(imms)));
        s.setX(Rd, or(up, shrU(s.x(Rm), s.imm64(imms))));
      } else {
        const both = or(shl(extU(s.w(Rn)), i64(32)), extU(s.w(Rm)));
        s.setW(Rd, wrap(shrU(both, s.imm64(imms))));
      }
    },
  }),
];
