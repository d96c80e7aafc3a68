/** Scalar floating point. DDI0487 C4.1.97. */
import type { Feature } from '../features.js';
import { invariant } from '../../base/index.js';
import type { I32, Int } from '../../wasm/expr.js';
import { and, i32, select, sub } from '../../wasm/expr.js';
import type { Format, Rounding } from '../fp/format.js';
import { LAYOUT, constant, magnitude, negate } from '../fp/format.js';
import * as fp from '../fp/fast-path.js';
import type { ImmField, Row, VecField } from '../row.js';
import { insn } from '../row.js';
import { scalar } from '../simd-text.js';
import type { Stage } from '../stage.js';
import { CONDITION_NAMES, immHex, reg } from '../text.js';
import { expandFloat, floatText } from './simd-copy.js';

const FTYPE_FORMATS: Readonly<Record<number, Format>> = { 0: 'single', 1: 'double', 3: 'half' };

function formatOf(ftype: number): Format {
  const format = FTYPE_FORMATS[ftype];
  invariant(format !== undefined, `no format has ftype ${ftype}`);
  return format;
}

/** `h1`, `s1`, `d1`. */
function text(n: number, ftype: number): string {
  return scalar(n, Math.log2(LAYOUT[formatOf(ftype)].width / 8));
}

function read(s: Stage, ftype: number, register: VecField): Int {
  const format = formatOf(ftype);
  if (format === 'double') return s.d(register);
  return format === 'single' ? s.s(register) : and(s.s(register), i32(0xffff));
}

/** Writes the register's low element and zeroes the rest. */
function write(s: Stage, register: VecField, value: Int): void {
  if (value.type === 'i64') s.setD(register, value);
  else s.setS(register, value);
}

/** Rows for the formats of Armv8.0 and for that of FEAT_FP16. */
interface Variant {
  /** Ends the row's name. */
  readonly ending: string;
  readonly hasFormat: (fields: { readonly ftype: number }) => boolean;
  readonly feature: { readonly feature?: Feature };
}

const VARIANTS: readonly Variant[] = [
  { ending: '', hasFormat: ({ ftype }) => ftype < 2, feature: {} },
  { ending: ', half-precision', hasFormat: ({ ftype }) => ftype === 3, feature: { feature: 'FP16' } },
];

function inAllFormats(row: (variant: Variant) => Row): Row[] {
  return VARIANTS.map(row);
}

// ---- moves

const MOVES = [
  ...inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`FMOV (register)${ending}`, {
      bits: '000 11110 ftype:2 1 000000 10000 Vn:5 Vd:5',
      spec: 'DDI0487 C7.2 FMOV (register)',
      static: ['ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, Vn, Vd }) => `fmov\t${text(Vd, ftype)}, ${text(Vn, ftype)}`,
      exec(s, { ftype, Vn, Vd }) {
        write(s, Vd, read(s, ftype, Vn));
      },
    }),
  ),
  ...inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`FMOV (scalar, immediate)${ending}`, {
      bits: '000 11110 ftype:2 1 imm8:8 100 00000 Vd:5',
      spec: 'DDI0487 C7.2 FMOV (scalar, immediate)',
      static: ['ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, imm8, Vd }) => `fmov\t${text(Vd, ftype)}, ${floatText(imm8)}`,
      exec(s, { ftype, imm8, Vd }) {
        const format = formatOf(ftype);
        const { width, fractionBits } = LAYOUT[format];
        const value = s.lookup(`VFPExpandImm ${format}`, [imm8], (index) =>
          expandFloat(index, width - 1 - fractionBits, fractionBits),
        );
        s.setD(Vd, value);
      },
    }),
  ),
  ...inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`FMOV (general), to general${ending}`, {
      bits: 'sf 00 11110 ftype:2 1 00 110 000000 Vn:5 Rd:5',
      spec: 'DDI0487 C7.2 FMOV (general)',
      static: ['sf', 'ftype'],
      allocated: ({ sf, ftype }) => hasFormat({ ftype }) && (ftype === 3 || sf === ftype),
      simd: true,
      ...feature,
      text: ({ sf, ftype, Vn, Rd }) => `fmov\t${reg(sf, Rd)}, ${text(Vn, ftype)}`,
      exec(s, { ftype, Vn, Rd }) {
        s.setR(Rd, read(s, ftype, Vn));
      },
    }),
  ),
  ...inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`FMOV (general), from general${ending}`, {
      bits: 'sf 00 11110 ftype:2 1 00 111 000000 Rn:5 Vd:5',
      spec: 'DDI0487 C7.2 FMOV (general)',
      static: ['sf', 'ftype'],
      allocated: ({ sf, ftype }) => hasFormat({ ftype }) && (ftype === 3 || sf === ftype),
      simd: true,
      ...feature,
      text: ({ sf, ftype, Rn, Vd }) => `fmov\t${text(Vd, ftype)}, ${reg(sf, Rn)}`,
      exec(s, { sf, ftype, Rn, Vd }) {
        write(s, Vd, ftype === 3 ? and(s.w(Rn), i32(0xffff)) : s.r(sf, Rn));
      },
    }),
  ),
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
  ...inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`FCMP, FCMPE (register)${ending}`, {
      bits: '000 11110 ftype:2 1 Vm:5 00 1000 Vn:5 e 0 000',
      spec: 'DDI0487 C7.2 FCMP, FCMPE',
      static: ['ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, Vm, Vn, e }) => `${e === 1 ? 'fcmpe' : 'fcmp'}\t${text(Vn, ftype)}, ${text(Vm, ftype)}`,
      exec(s, { ftype, Vm, Vn, e }) {
        const a = s.let(read(s, ftype, Vn));
        const b = s.let(read(s, ftype, Vm));
        s.setNZCV(fp.compareNzcv(s, formatOf(ftype), a, b, s.imm(e)));
      },
    }),
  ),
  ...inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`FCMP, FCMPE (zero)${ending}`, {
      bits: '000 11110 ftype:2 1 xxxxx 00 1000 Vn:5 e 1 000',
      spec: 'DDI0487 C7.2 FCMP, FCMPE',
      static: ['ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, Vn, e }) => `${e === 1 ? 'fcmpe' : 'fcmp'}\t${text(Vn, ftype)}, #0.0`,
      exec(s, { ftype, Vn, e }) {
        const format = formatOf(ftype);
        const a = s.let(read(s, ftype, Vn));
        s.setNZCV(fp.compareNzcv(s, format, a, constant(format, 0n), s.imm(e)));
      },
    }),
  ),
  ...inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`FCCMP, FCCMPE${ending}`, {
      bits: '000 11110 ftype:2 1 Vm:5 cond:4 01 Vn:5 e nzcv:4',
      spec: 'DDI0487 C7.2 FCCMP, FCCMPE',
      static: ['ftype', 'cond'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, Vm, cond, Vn, e, nzcv }) =>
        `${e === 1 ? 'fccmpe' : 'fccmp'}\t${text(Vn, ftype)}, ${text(Vm, ftype)}, ${immHex(nzcv)}, ` +
        `${CONDITION_NAMES[cond]}`,
      exec(s, { ftype, Vm, cond, Vn, e, nzcv }) {
        s.if(
          s.condition(cond),
          () => {
            const a = s.let(read(s, ftype, Vn));
            const b = s.let(read(s, ftype, Vm));
            s.setNZCV(fp.compareNzcv(s, formatOf(ftype), a, b, s.imm(e)));
          },
          () => {
            s.setNZCV(s.imm(nzcv));
          },
        );
      },
    }),
  ),
  ...inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`FCSEL${ending}`, {
      bits: '000 11110 ftype:2 1 Vm:5 cond:4 11 Vn:5 Vd:5',
      spec: 'DDI0487 C7.2 FCSEL',
      static: ['ftype', 'cond'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, Vm, cond, Vn, Vd }) =>
        `fcsel\t${text(Vd, ftype)}, ${text(Vn, ftype)}, ${text(Vm, ftype)}, ${CONDITION_NAMES[cond]}`,
      exec(s, { ftype, Vm, cond, Vn, Vd }) {
        const isFirst = s.condition(cond);
        write(s, Vd, select(isFirst, read(s, ftype, Vn), read(s, ftype, Vm)));
      },
    }),
  ),
];

// ---- conversions

const WIDTHS = [32, 64] as const;

function widthOf(sf: number): 32 | 64 {
  return WIDTHS[sf] ?? 64;
}

const INTEGER = { isInteger: true, fractionBits: i32(0) } as const;

function toIntegerRow(name: string, rounding: Rounding, rmode: string, opcode: string): Row[] {
  const bits = 'sf 00 11110 ftype:2 1 00 000 000000 Vn:5 Rd:5';
  const isUnsigned = name.endsWith('U');
  return inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`${name} (scalar)${ending}`, {
      bits: bits.replace(' 00 000 ', ` ${rmode} ${opcode} `) as typeof bits,
      spec: `DDI0487 C7.2 ${name} (scalar)`,
      static: ['sf', 'ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ sf, ftype, Vn, Rd }) => `${name.toLowerCase()}\t${reg(sf, Rd)}, ${text(Vn, ftype)}`,
      exec(s, { sf, ftype, Vn, Rd }) {
        const options = { ...INTEGER, isUnsigned, rounding, width: widthOf(sf) };
        s.setR(Rd, fp.toFixed(s, formatOf(ftype), s.let(read(s, ftype, Vn)), options));
      },
    }),
  );
}

/** Fixed-point forms exist for as many fraction bits as the integer has bits. */
function isFixed({ sf, scale }: { sf: number; scale: number }): boolean {
  return sf === 1 || scale >= 32;
}

/** As `INTEGER`, with a binary point where `scale` says. */
function fixedPoint(s: Stage, scale: ImmField): { readonly isInteger: false; readonly fractionBits: I32 } {
  return { isInteger: false, fractionBits: sub(i32(64), s.imm(scale)) };
}

function toFixedRow(name: 'FCVTZS' | 'FCVTZU', opcode: string): Row[] {
  const bits = 'sf 00 11110 ftype:2 0 11 000 scale:6 Vn:5 Rd:5';
  return inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`${name} (scalar, fixed-point)${ending}`, {
      bits: bits.replace(' 000 ', ` ${opcode} `) as typeof bits,
      spec: `DDI0487 C7.2 ${name} (scalar, fixed-point)`,
      static: ['sf', 'ftype'],
      allocated: hasFormat,
      constraint: isFixed,
      simd: true,
      ...feature,
      text: ({ sf, ftype, scale, Vn, Rd }) =>
        `${name.toLowerCase()}\t${reg(sf, Rd)}, ${text(Vn, ftype)}, #${64 - scale}`,
      exec(s, { sf, ftype, scale, Vn, Rd }) {
        const options = {
          ...fixedPoint(s, scale),
          isUnsigned: name === 'FCVTZU',
          rounding: 'Z',
          width: widthOf(sf),
        } as const;
        s.setR(Rd, fp.toFixed(s, formatOf(ftype), s.let(read(s, ftype, Vn)), options));
      },
    }),
  );
}

function fromIntegerRow(name: 'SCVTF' | 'UCVTF', opcode: string): Row[] {
  const bits = 'sf 00 11110 ftype:2 1 00 000 000000 Rn:5 Vd:5';
  return inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`${name} (scalar, integer)${ending}`, {
      bits: bits.replace(' 000 ', ` ${opcode} `) as typeof bits,
      spec: `DDI0487 C7.2 ${name} (scalar, integer)`,
      static: ['sf', 'ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ sf, ftype, Rn, Vd }) => `${name.toLowerCase()}\t${text(Vd, ftype)}, ${reg(sf, Rn)}`,
      exec(s, { sf, ftype, Rn, Vd }) {
        const options = { ...INTEGER, isUnsigned: name === 'UCVTF', width: widthOf(sf) };
        write(s, Vd, fp.fromFixed(s, formatOf(ftype), s.let(s.r(sf, Rn)), options));
      },
    }),
  );
}

function fromFixedRow(name: 'SCVTF' | 'UCVTF', opcode: string): Row[] {
  const bits = 'sf 00 11110 ftype:2 0 00 000 scale:6 Rn:5 Vd:5';
  return inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`${name} (scalar, fixed-point)${ending}`, {
      bits: bits.replace(' 000 ', ` ${opcode} `) as typeof bits,
      spec: `DDI0487 C7.2 ${name} (scalar, fixed-point)`,
      static: ['sf', 'ftype'],
      allocated: hasFormat,
      constraint: isFixed,
      simd: true,
      ...feature,
      text: ({ sf, ftype, scale, Rn, Vd }) =>
        `${name.toLowerCase()}\t${text(Vd, ftype)}, ${reg(sf, Rn)}, #${64 - scale}`,
      exec(s, { sf, ftype, scale, Rn, Vd }) {
        const options = {
          ...fixedPoint(s, scale),
          isUnsigned: name === 'UCVTF',
          width: widthOf(sf),
        };
        write(s, Vd, fp.fromFixed(s, formatOf(ftype), s.let(s.r(sf, Rn)), options));
      },
    }),
  );
}

const CONVERSIONS = [
  ...toIntegerRow('FCVTNS', 'N', '00', '000'),
  ...toIntegerRow('FCVTNU', 'N', '00', '001'),
  ...toIntegerRow('FCVTAS', 'A', '00', '100'),
  ...toIntegerRow('FCVTAU', 'A', '00', '101'),
  ...toIntegerRow('FCVTPS', 'P', '01', '000'),
  ...toIntegerRow('FCVTPU', 'P', '01', '001'),
  ...toIntegerRow('FCVTMS', 'M', '10', '000'),
  ...toIntegerRow('FCVTMU', 'M', '10', '001'),
  ...toIntegerRow('FCVTZS', 'Z', '11', '000'),
  ...toIntegerRow('FCVTZU', 'Z', '11', '001'),
  ...toFixedRow('FCVTZS', '000'),
  ...toFixedRow('FCVTZU', '001'),
  ...fromIntegerRow('SCVTF', '010'),
  ...fromIntegerRow('UCVTF', '011'),
  ...fromFixedRow('SCVTF', '010'),
  ...fromFixedRow('UCVTF', '011'),
  insn('FCVT', {
    bits: '000 11110 ftype:2 1 0001 opc:2 10000 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 FCVT',
    static: ['ftype', 'opc'],
    allocated: ({ ftype, opc }) => ftype !== opc && ftype !== 2 && opc !== 2,
    simd: true,
    text: ({ ftype, opc, Vn, Vd }) => `fcvt\t${text(Vd, opc)}, ${text(Vn, ftype)}`,
    exec(s, { ftype, opc, Vn, Vd }) {
      const value = s.let(read(s, ftype, Vn));
      write(s, Vd, fp.convert(s, formatOf(ftype), formatOf(opc), value));
    },
  }),
];

// ---- arithmetic

function unaryRow(name: string, opcode: string, compute: (s: Stage, format: Format, a: Int) => Int): Row[] {
  const bits = '000 11110 ftype:2 1 000000 10000 Vn:5 Vd:5';
  return inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`${name} (scalar)${ending}`, {
      bits: bits.replace(' 000000 ', ` ${opcode} `) as typeof bits,
      spec: `DDI0487 C7.2 ${name} (scalar)`,
      static: ['ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, Vn, Vd }) => `${name.toLowerCase()}\t${text(Vd, ftype)}, ${text(Vn, ftype)}`,
      exec(s, { ftype, Vn, Vd }) {
        write(s, Vd, compute(s, formatOf(ftype), s.let(read(s, ftype, Vn))));
      },
    }),
  );
}

function binaryRow(
  name: string,
  opcode: string,
  compute: (s: Stage, format: Format, a: Int, b: Int) => Int,
): Row[] {
  const bits = '000 11110 ftype:2 1 Vm:5 0000 10 Vn:5 Vd:5';
  return inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`${name} (scalar)${ending}`, {
      bits: bits.replace(' 0000 ', ` ${opcode} `) as typeof bits,
      spec: `DDI0487 C7.2 ${name} (scalar)`,
      static: ['ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, Vm, Vn, Vd }) =>
        `${name.toLowerCase()}\t${text(Vd, ftype)}, ${text(Vn, ftype)}, ${text(Vm, ftype)}`,
      exec(s, { ftype, Vm, Vn, Vd }) {
        const a = s.let(read(s, ftype, Vn));
        const b = s.let(read(s, ftype, Vm));
        write(s, Vd, compute(s, formatOf(ftype), a, b));
      },
    }),
  );
}

/** Va ± Vn × Vm, where a minus is the sign of an operand: of NaNs too. */
function fusedRow(
  name: string,
  o1: string,
  o0: string,
  negates: { addend: boolean; factor: boolean },
): Row[] {
  const bits = '000 11111 ftype:2 0 Vm:5 0 Va:5 Vn:5 Vd:5';
  return inAllFormats(({ ending, hasFormat, feature }) =>
    insn(`${name}${ending}`, {
      bits: bits.replace(' 0 Vm:5 0 ', ` ${o1} Vm:5 ${o0} `) as typeof bits,
      spec: `DDI0487 C7.2 ${name}`,
      static: ['ftype'],
      allocated: hasFormat,
      simd: true,
      ...feature,
      text: ({ ftype, Vm, Va, Vn, Vd }) =>
        `${name.toLowerCase()}\t${[Vd, Vn, Vm, Va].map((n) => text(n, ftype)).join(', ')}`,
      exec(s, { ftype, Vm, Va, Vn, Vd }) {
        const format = formatOf(ftype);
        const operand = (register: VecField, isNegated: boolean): Int => {
          const value = read(s, ftype, register);
          return s.let(isNegated ? negate(format, value) : value);
        };
        const addend = operand(Va, negates.addend);
        const a = operand(Vn, negates.factor);
        write(s, Vd, fp.mulAdd(s, format, addend, a, operand(Vm, false)));
      },
    }),
  );
}

const ARITHMETIC = [
  ...unaryRow('FABS', '000001', (_, format, a) => magnitude(format, a)),
  ...unaryRow('FNEG', '000010', (_, format, a) => negate(format, a)),
  ...unaryRow('FSQRT', '000011', fp.sqrt),
  ...unaryRow('FRINTN', '001000', (s, format, a) => fp.roundToIntegral(s, format, a, 'N', false)),
  ...unaryRow('FRINTP', '001001', (s, format, a) => fp.roundToIntegral(s, format, a, 'P', false)),
  ...unaryRow('FRINTM', '001010', (s, format, a) => fp.roundToIntegral(s, format, a, 'M', false)),
  ...unaryRow('FRINTZ', '001011', (s, format, a) => fp.roundToIntegral(s, format, a, 'Z', false)),
  ...unaryRow('FRINTA', '001100', (s, format, a) => fp.roundToIntegral(s, format, a, 'A', false)),
  ...unaryRow('FRINTX', '001110', (s, format, a) => fp.roundToIntegral(s, format, a, 'FPCR', true)),
  ...unaryRow('FRINTI', '001111', (s, format, a) => fp.roundToIntegral(s, format, a, 'FPCR', false)),
  ...binaryRow('FMUL', '0000', fp.mul),
  ...binaryRow('FDIV', '0001', fp.div),
  ...binaryRow('FADD', '0010', fp.add),
  ...binaryRow('FSUB', '0011', fp.sub),
  ...binaryRow('FMAX', '0100', fp.max),
  ...binaryRow('FMIN', '0101', fp.min),
  ...binaryRow('FMAXNM', '0110', fp.maxNum),
  ...binaryRow('FMINNM', '0111', fp.minNum),
  ...binaryRow('FNMUL', '1000', (s, format, a, b) => negate(format, fp.mul(s, format, a, b))),
  ...fusedRow('FMADD', '0', '0', { addend: false, factor: false }),
  ...fusedRow('FMSUB', '0', '1', { addend: false, factor: true }),
  ...fusedRow('FNMADD', '1', '0', { addend: true, factor: true }),
  ...fusedRow('FNMSUB', '1', '1', { addend: true, factor: false }),
];

export const FLOATING_POINT: readonly Row[] = [...MOVES, ...COMPARES, ...CONVERSIONS, ...ARITHMETIC];
