/**
 * Mistakes as people make them, one definition each. `find` is text of the compiled file, where it stands exactly once;
 * white space doesn't matter.
 */
export interface Mutant {
  readonly name: string;
  /** Below `dist`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const IMMEDIATE = 'isa/groups/data-processing-immediate.js';
const REGISTER = 'isa/groups/data-processing-register.js';
const LOADS_STORES = 'isa/groups/loads-stores.js';
const SHIFTS = 'isa/groups/simd-shift-immediate.js';
const COPY = 'isa/groups/simd-copy.js';
const SIMD = 'isa/simd-arithmetic.js';
const FP = 'isa/fp/arithmetic.js';
const FP_VALUES = 'isa/fp/values.js';
const CONVERSIONS = 'isa/fp/conversions.js';
const STAGE = 'cpu/interpreter-stage.js';
const EXCEPTIONS = 'cpu/exceptions.js';
const MMU = 'cpu/mmu.js';
const TRANSLATOR = 'cpu/translator.js';

export const MUTANTS: readonly Mutant[] = [
  // Flags and conditions
  {
    name: 'wrong flag: carry of ADCS without the carry that propagates',
    file: 'isa/operands.js',
    find: 'return signBit(or(and(a, b), and(or(a, b), not(result))));',
    replace: 'return signBit(and(a, b));',
  },
  {
    name: 'wrong flag: overflow of a subtraction as that of an addition',
    file: 'cpu/flags.js',
    find: 'and(xor(a, b), xor(a, difference()))',
    replace: 'and(xor(b, difference()), xor(a, difference()))',
  },
  {
    name: 'wrong condition: HI includes equality',
    file: 'cpu/flags.js',
    find: 'return gtU(a, b);',
    replace: 'return geU(a, b);',
  },
  {
    name: 'CCMP leaves the flags where the condition fails',
    file: REGISTER,
    find: 's.setNZCV(s.imm(nzcv));',
    replace: '',
  },

  // Integers
  {
    name: 'wrong extension: SXTH is UXTH',
    file: 'isa/operands.js',
    find: 'return signExtend(value, 16);',
    replace: 'return and(value, i64(0xffff));',
  },
  {
    name: 'off by one: LSL is recognised a bit early',
    file: IMMEDIATE,
    find: 'imms + 1 === immr',
    replace: 'imms === immr',
  },
  {
    name: 'shift by the width: EXTR by 0',
    file: IMMEDIATE,
    find: 'shl(shl(s.x(Rn), i64(1)), not(s.imm64(imms)))',
    replace: 'shl(s.x(Rn), sub(i64(64), s.imm64(imms)))',
  },
  {
    name: 'swapped operands: MSUB',
    file: REGISTER,
    find: '(o0 === 1 ? sub : add)(addend, product)',
    replace: '(o0 === 1 ? sub : add)(product, addend)',
  },
  {
    name: 'missing SP case: ADD (immediate) to the zero register',
    file: IMMEDIATE,
    find: "bits: 'sf op 0 100010 sh imm12:12 Rn:5|sp Rd:5|sp'",
    replace: "bits: 'sf op 0 100010 sh imm12:12 Rn:5|sp Rd:5'",
  },
  {
    name: 'missing case: SDIV of the least number by −1',
    file: REGISTER,
    find: 'eq(b, intLike(b, -1))',
    replace: 'i32(0)',
  },
  {
    name: 'SMULH as UMULH with one sign forgotten',
    file: 'isa/operands.js',
    find: 'add(and(signMask(a), b), and(signMask(b), a))',
    replace: 'and(signMask(a), b)',
  },
  {
    name: 'wrong constant: polynomial of CRC32C',
    file: REGISTER,
    find: '0x82f6_3b78',
    replace: '0x82f6_3b79',
  },
  {
    name: 'constraint dropped: EXTR takes any N',
    file: IMMEDIATE,
    find: 'constraint: ({ sf, N, imms }) => N === sf && (sf === 1 || imms < 32)',
    replace: 'constraint: ({ sf, imms }) => sf === 1 || imms < 32',
  },
  {
    name: 'wrong address: ADRP does not clear the low bits',
    file: IMMEDIATE,
    find: 'i64(~0xfffn)',
    replace: 'i64(~0x7ffn)',
  },

  // Loads and stores
  {
    name: 'wrong writeback: none with pre-index',
    file: LOADS_STORES,
    find: 'if (index === INDEX.pre) s.setX(Rn, address);',
    replace: '',
  },
  {
    name: 'missing sign: LDPSW',
    file: LOADS_STORES,
    find: 's.loadPair(address, scale, opc === 1)',
    replace: 's.loadPair(address, scale, false)',
  },
  {
    name: 'missing fault: exclusives and LDAR of any address',
    file: LOADS_STORES,
    find: 'const ALIGNED = { aligned: true };',
    replace: 'const ALIGNED = { aligned: false };',
  },
  {
    name: 'missing check: STXR of another size',
    file: STAGE,
    find: "and(eq(field64('EXCLUSIVE_ADDRESS'), va), eq(field32('EXCLUSIVE_SIZE'), i32(size + 1)))",
    replace: "eq(field64('EXCLUSIVE_ADDRESS'), va)",
  },
  {
    name: 'wrong scale: register offsets',
    file: LOADS_STORES,
    find: 'shl(extended(option, s.x(Rm)), i64(S === 1 ? size : 0))',
    replace: 'shl(extended(option, s.x(Rm)), i64(S))',
  },

  // Advanced SIMD
  {
    name: 'missing saturation flag: SQSUB and UQSUB',
    file: SIMD,
    find: `const overflowed = s.let(signMask(size, borrows));
           noteSaturation(s, bytes, overflowed);`,
    replace: 'const overflowed = s.let(signMask(size, borrows));',
  },
  {
    name: 'missing saturation: SQDMULH of the least numbers',
    file: SIMD,
    find: 'return bitXor(high, overflowed);',
    replace: 'return high;',
  },
  {
    name: 'wrong half: XTN2 and its kind write the low half',
    file: SIMD,
    find: '[0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31]',
    replace: '[24, 25, 26, 27, 28, 29, 30, 31, 8, 9, 10, 11, 12, 13, 14, 15]',
  },
  {
    name: 'off by one: right shifts by immediate',
    file: SHIFTS,
    find: 'sub(i32(elementBits(size) - 1), shift)',
    replace: 'sub(i32(elementBits(size)), shift)',
  },
  {
    name: 'wrong element size: INS takes the element in bytes',
    file: COPY,
    find: 's.lane(Vn, sizeLog2(size), shrU(s.imm(imm4), i32(size)))',
    replace: 's.lane(Vn, sizeLog2(0), s.imm(imm4))',
  },
  {
    name: 'upper half left alone: 64-bit vectors',
    file: 'isa/simd-lanes.js',
    find: `if (bytes === 16)
        s.setV(register, value);`,
    replace: `if (bytes >= 8)
        s.setV(register, value);`,
  },

  // Floating point
  {
    name: 'wrong NaN: the addend of FMADD goes last',
    file: FP,
    find: 'returnIfNaN(body, format, finish, addend.value, a.value, b.value);',
    replace: 'returnIfNaN(body, format, finish, a.value, b.value, addend.value);',
  },
  {
    name: 'wrong NaN: quiet before signalling',
    file: FP_VALUES,
    find: 'const nan = select(signallingA, a, select(signallingB, b, select(signallingC, c, quietNaN)));',
    replace: 'const nan = quietNaN;',
  },
  {
    name: 'rounded twice: FMADD loses what is far below',
    file: FP,
    find: 'const lost = extU(ne(shl(low.value, up), i64(0)));',
    replace: 'const lost = i64(0);',
  },
  {
    name: 'missing flag: inexact conversions to integers',
    file: CONVERSIONS,
    find: `fb.if(isInexact, () => {
                body.orFpsr(i32(FPSR.IXC));
            });
            finish(whole.value);`,
    replace: 'finish(whole.value);',
  },
  {
    name: 'missing flag: division by zero',
    file: FP,
    find: `body.orFpsr(i32(FPSR.DZC));`,
    replace: '',
  },
  {
    name: 'wrong rounding: ties to even are ties away',
    file: FP_VALUES,
    find: 'gtU(add(rest, and(truncated, i64(1))), half)',
    replace: 'gtU(add(rest, i64(1)), half)',
  },
  {
    name: 'missing mode: comparisons do not flush to zero',
    file: FP,
    find: `flushOperands(body, format, a, b);
            fb.if(or(isNaN(format, a.value), isNaN(format, b.value)), () => {`,
    replace: 'fb.if(or(isNaN(format, a.value), isNaN(format, b.value)), () => {',
  },
  {
    name: 'wrong limit: FCVTZS of what is just too large',
    file: CONVERSIONS,
    find: 'select(negative, middle, sub(middle, i64(1)))',
    replace: 'middle',
  },

  // System level
  {
    name: 'wrong link: BL returns to itself',
    file: 'isa/groups/branches.js',
    find: 'const INSTRUCTION_BYTES = 4;',
    replace: 'const INSTRUCTION_BYTES = 0;',
  },
  {
    name: 'missing permission: read-only pages can be written',
    file: MMU,
    find: 'select(isEl0, el0Writable, eqz(readOnly))',
    replace: 'select(isEl0, el0Writable, i32(1))',
  },
  {
    name: 'missing permission: WXN',
    file: MMU,
    find: 'eqz(and(wrap(bit(sctlr, i64(19))), writableHere))',
    replace: 'i32(1)',
  },
  {
    name: 'stale code: stores leave what is decoded',
    file: MMU,
    find: "fb.store('i32_16', add(table, shl(fb.get(word), i32(1))), 0, i32(0));",
    replace: '',
  },
  {
    name: 'ERET keeps the exclusive monitor',
    file: EXCEPTIONS,
    find: "setField32(fb, 'EXCLUSIVE_SIZE', i32(0));",
    replace: '',
  },

  // Translated code
  {
    name: 'a region calls a handler with its flags still in locals',
    file: TRANSLATOR,
    find: 'locals.flagsToMemory(functions);',
    replace: '',
  },
  {
    name: 'a region goes on with registers in locals where a branch leads',
    file: TRANSLATOR,
    find: 'this.#targets.has(index) || !this.#followsOn(index)',
    replace: '!this.#followsOn(index)',
  },
  {
    name: 'a region is left with the flags of before',
    file: TRANSLATOR,
    find: 'putFlags(fb, ...locals.flags);',
    replace: '',
  },
  {
    name: 'a region goes on behind a word that it leaves out',
    file: TRANSLATOR,
    find: 'if (block.fallsThrough && this.#blocks[index + 1]?.first !== end)',
    replace: 'if (block.fallsThrough && index === this.#blocks.length - 1)',
  },
];
