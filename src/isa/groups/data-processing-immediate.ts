/** Data processing, immediate. DDI0487 C4.1.92. */
import { add, i64, shl, sub, wrap } from '../../wasm/expr.js';
import type { Int } from '../../wasm/expr.js';
import { insn } from '../row.js';
import { immHex, regSp, reg } from '../text.js';

/** A 64-bit expression as the operand width `sf` asks for. */
function atWidth(sf: number, value: ReturnType<typeof i64>): Int {
  return sf === 1 ? value : wrap(value);
}

export const DATA_PROCESSING_IMMEDIATE = [
  insn('ADD, SUB (immediate)', {
    bits: 'sf op 0 100010 sh imm12:12 Rn:5|sp Rd:5|sp',
    spec: 'DDI0487 C6.2.5, C6.2.410',
    static: ['sf', 'op', 'sh'],
    hot: true,
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
    hot: true,
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
];
