/** Branches and exception generation. DDI0487 C4.1.93, and C4.1.1 (UDF). */
import { add, and, eqz, i32, i64, shl } from '../../wasm/expr.js';
import type { I32 } from '../../wasm/expr.js';
import { insn, notAdvertised, trapped } from '../row.js';
import { CONDITION_NAMES, immHex, reg, signed, target } from '../text.js';

const INSTRUCTION_BYTES = 4;

/** Zero or, with `op` 1, not zero: CBZ and CBNZ, TBZ and TBNZ. */
function zeroOrNot(op: number, isZero: I32): I32 {
  return op === 1 ? eqz(isZero) : isZero;
}

export const BRANCHES = [
  insn('UDF', {
    bits: '0000000000000000 imm16:16',
    spec: 'DDI0487 C6.2',
    text: ({ imm16 }) => `udf\t#${imm16}`,
    exec(s) {
      s.undefined();
    },
  }),
  insn('B.cond', {
    bits: '0101010 0 imm19:19|label 0 cond:4',
    spec: 'DDI0487 C6.2',
    static: ['cond'],
    text: ({ imm19, cond }, pc) => `b.${CONDITION_NAMES[cond]}\t${target(pc, signed(imm19, 19))}`,
    exec(s, { imm19, cond }) {
      s.branchIf(s.condition(cond), imm19);
    },
  }),
  notAdvertised('BC.cond (FEAT_HBC)', '0101010 0 imm19:19 1 cond:4', 'DDI0487 C6.2'),
  insn('B', {
    bits: '000101 imm26:26|label',
    spec: 'DDI0487 C6.2',
    text: ({ imm26 }, pc) => `b\t${target(pc, signed(imm26, 26))}`,
    exec(s, { imm26 }) {
      s.branch(imm26);
    },
  }),
  insn('BL', {
    bits: '100101 imm26:26|label',
    spec: 'DDI0487 C6.2',
    text: ({ imm26 }, pc) => `bl\t${target(pc, signed(imm26, 26))}`,
    exec(s, { imm26 }) {
      s.setLinkRegister(add(s.pc(), i64(INSTRUCTION_BYTES)));
      s.branch(imm26);
    },
  }),
  insn('CBZ, CBNZ', {
    bits: 'sf 011010 op imm19:19|label Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['sf', 'op'],
    text: ({ sf, op, imm19, Rt }, pc) =>
      `${op === 1 ? 'cbnz' : 'cbz'}\t${reg(sf, Rt)}, ${target(pc, signed(imm19, 19))}`,
    exec(s, { sf, op, imm19, Rt }) {
      s.branchIf(zeroOrNot(op, eqz(s.r(sf, Rt))), imm19);
    },
  }),
  insn('TBZ, TBNZ', {
    bits: 'b5 011011 op b40:5 imm14:14|label Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['b5', 'op'],
    text: ({ b5, op, b40, imm14, Rt }, pc) =>
      `${op === 1 ? 'tbnz' : 'tbz'}\t${reg(b5, Rt)}, #${32 * b5 + b40}, ${target(pc, signed(imm14, 14))}`,
    exec(s, { b5, op, b40, imm14, Rt }) {
      const isClear =
        b5 === 1
          ? eqz(and(s.x(Rt), shl(i64(1n << 32n), s.imm64(b40))))
          : eqz(and(s.w(Rt), shl(i32(1), s.imm(b40))));
      s.branchIf(zeroOrNot(op, isClear), imm14);
    },
  }),
  insn('BR', {
    bits: '1101011 0000 11111 000000 Rn:5 00000',
    spec: 'DDI0487 C6.2',
    text: ({ Rn }) => `br\t${reg(1, Rn)}`,
    exec(s, { Rn }) {
      s.branchTo(s.x(Rn), 'jump');
    },
  }),
  insn('BLR', {
    bits: '1101011 0001 11111 000000 Rn:5 00000',
    spec: 'DDI0487 C6.2',
    text: ({ Rn }) => `blr\t${reg(1, Rn)}`,
    exec(s, { Rn }) {
      const destination = s.let(s.x(Rn));
      s.setLinkRegister(add(s.pc(), i64(INSTRUCTION_BYTES)));
      s.branchTo(destination, 'call');
    },
  }),
  insn('RET', {
    bits: '1101011 0010 11111 000000 Rn:5 00000',
    spec: 'DDI0487 C6.2',
    text: ({ Rn }) => (Rn === 30 ? 'ret' : `ret\t${reg(1, Rn)}`),
    exec(s, { Rn }) {
      s.branchTo(s.x(Rn), 'return');
    },
  }),
  insn('ERET', {
    bits: '1101011 0100 11111 000000 11111 00000',
    spec: 'DDI0487 C6.2',
    text: () => 'eret',
    exec(s) {
      s.eret();
    },
  }),
  // DRPS and DCPS are undefined outside Debug state (DDI0487 H2), which nothing enters.
  trapped('DRPS', '1101011 0101 11111 000000 11111 00000', 'DDI0487 C6.2'),
  notAdvertised('BRAA, BRAB (FEAT_PAuth)', '1101011 1000 11111 00001 M Xn:5 Xm:5', 'DDI0487 C6.2'),
  notAdvertised('BLRAA, BLRAB (FEAT_PAuth)', '1101011 1001 11111 00001 M Xn:5 Xm:5', 'DDI0487 C6.2'),
  notAdvertised('BRAAZ, BRABZ (FEAT_PAuth)', '1101011 0000 11111 00001 M Xn:5 11111', 'DDI0487 C6.2'),
  notAdvertised('BLRAAZ, BLRABZ (FEAT_PAuth)', '1101011 0001 11111 00001 M Xn:5 11111', 'DDI0487 C6.2'),
  notAdvertised('RETAA, RETAB (FEAT_PAuth)', '1101011 0010 11111 00001 M 11111 11111', 'DDI0487 C6.2'),
  notAdvertised('ERETAA, ERETAB (FEAT_PAuth)', '1101011 0100 11111 00001 M 11111 11111', 'DDI0487 C6.2'),
  insn('SVC', {
    bits: '11010100 000 imm16:16 000 01',
    spec: 'DDI0487 C6.2',
    text: ({ imm16 }) => `svc\t${immHex(imm16)}`,
    exec(s, { imm16 }) {
      s.svc(s.imm(imm16));
    },
  }),
  insn('HVC', {
    bits: '11010100 000 imm16:16 000 10',
    spec: 'DDI0487 C6.2',
    text: ({ imm16 }) => `hvc\t${immHex(imm16)}`,
    exec(s, { imm16 }) {
      s.hvc(s.imm(imm16));
    },
  }),
  insn('SMC', {
    bits: '11010100 000 imm16:16 000 11',
    spec: 'DDI0487 C6.2',
    text: ({ imm16 }) => `smc\t${immHex(imm16)}`,
    exec(s, { imm16 }) {
      s.smc(s.imm(imm16));
    },
  }),
  insn('BRK', {
    bits: '11010100 001 imm16:16 000 00',
    spec: 'DDI0487 C6.2',
    text: ({ imm16 }) => `brk\t${immHex(imm16)}`,
    exec(s, { imm16 }) {
      s.brk(s.imm(imm16));
    },
  }),
  insn('HLT', {
    bits: '11010100 010 imm16:16 000 00',
    spec: 'DDI0487 C6.2',
    text: ({ imm16 }) => `hlt\t${immHex(imm16)}`,
    exec(s, { imm16 }) {
      s.hlt(s.imm(imm16));
    },
  }),
  trapped('DCPS1', '11010100 101 imm16:16 000 01', 'DDI0487 C6.2'),
  trapped('DCPS2', '11010100 101 imm16:16 000 10', 'DDI0487 C6.2'),
  trapped('DCPS3', '11010100 101 imm16:16 000 11', 'DDI0487 C6.2'),
  notAdvertised('TCANCEL (FEAT_TME)', '11010100 011 imm16:16 000 00', 'DDI0487 C6.2'),
];
