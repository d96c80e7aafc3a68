/**
 * Hints, barriers and MSR (immediate). DDI0487 C4.1.93. System registers and operations (MRS, MSR (register), SYS and
 * SYSL) are in `system-instructions.ts`.
 *
 * Hints of later extensions (PACIASP, BTI, CSDB, ESB …) do nothing where the extension is absent, so they need no rows.
 */
import type { I32 } from '../../wasm/expr.js';
import { and, i32, or, shl, shrU, xor } from '../../wasm/expr.js';
import type { Feature } from '../features.js';
import type { Row } from '../row.js';
import { insn, notAdvertised } from '../row.js';
import type { Hint } from '../stage.js';
import { immHex } from '../text.js';

/** Hints the engine wants to see, by `CRm:op2`. */
const HINTS: readonly (Hint | undefined)[] = [undefined, 'yield', 'wfe', 'wfi', 'sev', 'sevl'];

const BARRIER_OPTIONS = [
  '#0x00', 'oshld', 'oshst', 'osh', '#0x04', 'nshld', 'nshst', 'nsh',
  '#0x08', 'ishld', 'ishst', 'ish', '#0x0c', 'ld', 'st', 'sy',
] as const; // prettier-ignore

/** PSTATE fields of MSR (immediate), by `op1:op2`. Those of features that no CPU model has are rows of their own. */
const PSTATE_FIELDS: Readonly<Record<number, string>> = {
  0b000_011: 'uao',
  0b000_100: 'pan',
  0b000_101: 'spsel',
  0b011_001: 'ssbs',
  0b011_010: 'dit',
  0b011_110: 'daifset',
  0b011_111: 'daifclr',
};

interface Flags {
  readonly n: I32;
  readonly z: I32;
  readonly c: I32;
  readonly v: I32;
}

/** CFINV and its kind: flags from flags, each 0 or 1. */
function flagRow(name: string, feature: Feature, opcode: string, compute: (flags: Flags) => Flags): Row {
  const bits = '1101010100 0 00 000 0100 0000 000 11111';
  return insn(name, {
    bits: bits.replace(' 000 11111', ` ${opcode} 11111`) as typeof bits,
    spec: `DDI0487 C6.2 ${name}`,
    feature,
    text: () => name.toLowerCase(),
    exec(s) {
      const old = s.nzcv();
      const bit = (at: number): I32 => and(shrU(old, i32(at)), i32(1));
      const { n, z, c, v } = compute({ n: bit(3), z: bit(2), c: bit(1), v: bit(0) });
      s.setNZCV(or(or(shl(n, i32(3)), shl(z, i32(2))), or(shl(c, i32(1)), v)));
    },
  });
}

export const SYSTEM = [
  insn('HINT', {
    bits: '1101010100 0 00 011 0010 CRm:4 op2:3 11111',
    spec: 'DDI0487 C6.2',
    text: ({ CRm, op2 }) => `hint\t${immHex((CRm << 3) | op2)}`,
    exec() {
      // Nothing to do.
    },
  }),
  insn('YIELD, WFE, WFI, SEV, SEVL', {
    bits: '1101010100 0 00 011 0010 0000 op2:3 11111',
    spec: 'DDI0487 C6.2',
    static: ['op2'],
    allocated: ({ op2 }) => HINTS[op2] !== undefined,
    text: ({ op2 }) => `hint\t${immHex(op2)}`,
    exec(s, { op2 }) {
      const hint = HINTS[op2];
      if (hint !== undefined) s.hint(hint);
    },
  }),
  notAdvertised('WFET, WFIT (FEAT_WFxT)', '1101010100 0 00 011 0001 0000 00 op2 Xd:5', 'DDI0487 C6.2'),
  insn('CLREX', {
    bits: '1101010100 0 00 011 0011 CRm:4 010 11111',
    spec: 'DDI0487 C6.2',
    text: ({ CRm }) => (CRm === 15 ? 'clrex' : `clrex\t${immHex(CRm)}`),
    exec(s) {
      s.clearExclusive();
    },
  }),
  insn('DSB', {
    bits: '1101010100 0 00 011 0011 CRm:4 100 11111',
    spec: 'DDI0487 C6.2',
    text: ({ CRm }) => `dsb\t${BARRIER_OPTIONS[CRm]}`,
    exec(s) {
      s.barrier();
    },
  }),
  insn('DMB', {
    bits: '1101010100 0 00 011 0011 CRm:4 101 11111',
    spec: 'DDI0487 C6.2',
    text: ({ CRm }) => `dmb\t${BARRIER_OPTIONS[CRm]}`,
    exec(s) {
      s.barrier();
    },
  }),
  insn('ISB', {
    bits: '1101010100 0 00 011 0011 CRm:4 110 11111',
    spec: 'DDI0487 C6.2',
    text: ({ CRm }) => (CRm === 15 ? 'isb' : `isb\t${immHex(CRm)}`),
    exec(s) {
      s.isb();
    },
  }),
  notAdvertised('DSB (memory nXS) (FEAT_XS)', '1101010100 0 00 011 0011 imm2:2 10 001 11111', 'DDI0487 C6.2'),
  notAdvertised('TCOMMIT (FEAT_TME)', '1101010100 0 00 011 0011 0000 011 11111', 'DDI0487 C6.2'),
  insn('SB', {
    bits: '1101010100 0 00 011 0011 0000 111 11111',
    spec: 'DDI0487 C6.2 SB',
    feature: 'SB',
    text: () => 'sb',
    exec(s) {
      s.barrier();
    },
  }),
  insn('MSR (immediate)', {
    bits: '1101010100 0 00 op1:3 0100 CRm:4 op2:3 11111',
    spec: 'DDI0487 C6.2',
    static: ['op1', 'CRm', 'op2'],
    allocated: ({ op1, op2 }) => PSTATE_FIELDS[(op1 << 3) | op2] !== undefined,
    text: ({ op1, op2, CRm }) => `msr\t${PSTATE_FIELDS[(op1 << 3) | op2]}, ${immHex(CRm)}`,
    exec(s, { op1, op2, CRm }) {
      s.writePstate(op1, op2, CRm);
    },
  }),
  flagRow('CFINV', 'FlagM', '000', ({ n, z, c, v }) => ({ n, z, c: xor(c, i32(1)), v })),
  flagRow('XAFLAG', 'FlagM2', '001', ({ z, c }) => ({
    n: and(xor(c, i32(1)), xor(z, i32(1))),
    z: and(z, c),
    c: or(c, z),
    v: and(xor(c, i32(1)), z),
  })),
  flagRow('AXFLAG', 'FlagM2', '010', ({ z, c, v }) => ({
    n: i32(0),
    z: or(z, v),
    c: and(c, xor(v, i32(1))),
    v: i32(0),
  })),
  notAdvertised('MSR ALLINT (FEAT_NMI)', '1101010100 0 00 001 0100 000 imm1 000 11111', 'DDI0487 C6.2'),
  notAdvertised('MSR SVCR (FEAT_SME)', '1101010100 0 00 011 0100 0 mask:2 imm1 011 11111', 'DDI0487 C6.2'),
  notAdvertised('MSR TCO (FEAT_MTE)', '1101010100 0 00 011 0100 imm4:4 100 11111', 'DDI0487 C6.2'),
];
