/**
 * Loads and stores of general registers. DDI0487 C4.1.94.
 *
 * Memory is sequentially consistent here, so acquire, release and limited ordering need nothing beyond their alignment
 * checks. Prefetches do nothing.
 *
 * Where the architecture is CONSTRAINED UNPREDICTABLE we do what QEMU 7.2 does, so that a guest relying on it (none
 * should) sees the same:
 *  - writeback to a loaded register: the address stays;
 *  - writeback from a stored register: its old value is stored;
 *  - LDP of one register twice: the first element stays; LDXP: the second;
 *  - STXR with its status in the data or address register: both are read first;
 *  - should-be-one fields of exclusives are ignored.
 */
import { add, and, extU, i64, or, shl, shrU, wrap } from '../../wasm/expr.js';
import type { I64 } from '../../wasm/expr.js';
import { extractLane } from '../../wasm/simd.js';
import { extended, EXTEND_NAMES, isExtendedFromX } from '../operands.js';
import { insn, notAdvertised } from '../row.js';
import type { ImmField, RegField } from '../row.js';
import type { AccessOptions, AtomicOperation, SizeLog2, Stage } from '../stage.js';
import { reg, regSp, signed, target } from '../text.js';

/** What `opc` of a single-register access means. */
const OPC = { store: 0, load: 1, loadSigned64: 2, loadSigned32: 3 } as const;

interface AccessKind {
  readonly size: number;
  readonly opc: number;
}

/** LDRSW is the only signed load of a word, and doublewords have none. */
function isAccess({ size, opc }: AccessKind): boolean {
  return size === 3 ? opc < 2 : size === 2 ? opc < 3 : true;
}

const UNSIGNED_SUFFIXES = ['b', 'h', '', ''] as const;
const SIGNED_SUFFIXES = ['sb', 'sh', 'sw'] as const;

/** `ldrsb`, `sturh`, `ldtr`: the mnemonic of an access, with `infix` `r`, `ur` or `tr`. */
function accessName({ size, opc }: AccessKind, infix: string): string {
  if (opc === OPC.store) return `st${infix}${UNSIGNED_SUFFIXES[size]}`;
  return `ld${infix}${opc === OPC.load ? UNSIGNED_SUFFIXES[size] : SIGNED_SUFFIXES[size]}`;
}

/** The register an access transfers. */
function transferred({ size, opc }: AccessKind, Rt: number): string {
  return reg(opc === OPC.loadSigned64 || (size === 3 && opc !== OPC.loadSigned32) ? 1 : 0, Rt);
}

function access(
  s: Stage,
  { size, opc }: AccessKind,
  Rt: RegField,
  address: I64,
  options?: AccessOptions,
): void {
  const sizeLog2 = size as SizeLog2;
  if (opc === OPC.store) s.store(address, sizeLog2, s.x(Rt), options);
  else {
    const value = s.load(address, sizeLog2, opc !== OPC.load, options);
    if (opc === OPC.loadSigned32) s.setW(Rt, wrap(value));
    else s.setX(Rt, value);
  }
}

const PREFETCH_TYPES = ['pld', 'pli', 'pst'] as const;

function prefetchOperation(Rt: number): string {
  const type = PREFETCH_TYPES[Rt >> 3];
  const level = (Rt >> 1) & 3;
  if (type === undefined || level === 3) return `#0x${Rt.toString(16).padStart(2, '0')}`;
  return `${type}l${level + 1}${(Rt & 1) === 1 ? 'strm' : 'keep'}`;
}

function offsetAddress(Rn: number, offset: number): string {
  return offset === 0 ? `[${regSp(1, Rn)}]` : `[${regSp(1, Rn)}, #${offset}]`;
}

/** How the base register of an access changes, by the field that says so in pairs; single registers use 1 and 3. */
const INDEX = { none: 0, post: 1, offset: 2, pre: 3 } as const;

function indexedAddress(index: number, Rn: number, offset: number): string {
  if (index === INDEX.post) return `[${regSp(1, Rn)}], #${offset}`;
  if (index === INDEX.pre) return `[${regSp(1, Rn)}, #${offset}]!`;
  return offsetAddress(Rn, offset);
}

/** Runs `transfer` with the address of the access and writes the base register back, as `index` says. */
function withIndex(
  s: Stage,
  index: number,
  Rn: RegField,
  offset: I64,
  transfer: (address: I64) => void,
): void {
  s.checkStackAlignment(Rn);
  if (index === INDEX.post) {
    const base = s.let(s.x(Rn));
    const next = s.let(add(base, offset));
    transfer(base);
    s.setX(Rn, next);
  } else {
    const address = s.let(add(s.x(Rn), offset));
    transfer(address);
    if (index === INDEX.pre) s.setX(Rn, address);
  }
}

function registerOffsetText(Rn: number, Rm: number, option: number, S: number, scale: number): string {
  const index = reg(isExtendedFromX(option) ? 1 : 0, Rm);
  const amount = S === 1 ? ` #${scale}` : '';
  const name = option === 3 ? 'lsl' : EXTEND_NAMES[option];
  const extension = option === 3 && S === 0 ? '' : `, ${name}${amount}`;
  return `[${regSp(1, Rn)}, ${index}${extension}]`;
}

// ---- pairs

/** log2 of the size of a pair's elements; `opc` 01 is LDPSW. */
function pairScale(opc: number): 2 | 3 {
  return opc === 2 ? 3 : 2;
}

function pairText(
  name: string,
  opc: number,
  index: number,
  { imm7, Rt, Rt2, Rn }: Readonly<Record<'imm7' | 'Rt' | 'Rt2' | 'Rn', number>>,
): string {
  const sf = opc === 0 ? 0 : 1;
  const offset = signed(imm7, 7) * 2 ** pairScale(opc);
  return `${name}\t${reg(sf, Rt)}, ${reg(sf, Rt2)}, ${indexedAddress(index, Rn, offset)}`;
}

function pairAccess(
  s: Stage,
  { opc, L }: { readonly opc: number; readonly L: number },
  index: number,
  { imm7, Rt, Rt2, Rn }: { imm7: ImmField; Rt: RegField; Rt2: RegField; Rn: RegField },
): void {
  const scale = pairScale(opc);
  withIndex(s, index, Rn, s.simm64(imm7, scale), (address) => {
    if (L === 0) s.storePair(address, scale, s.x(Rt), s.x(Rt2));
    else {
      const [first, second] = s.loadPair(address, scale, opc === 1);
      s.setX(Rt2, second);
      s.setX(Rt, first);
    }
  });
}

// ---- exclusives

/** `w` registers but for doublewords. */
function wide(size: number): number {
  return size === 3 ? 1 : 0;
}

const ALIGNED: AccessOptions = { aligned: true };

// ---- atomic accesses

function orderSuffix({ acquire, release }: Readonly<Record<'acquire' | 'release', number>>): string {
  return `${acquire === 1 ? 'a' : ''}${release === 1 ? 'l' : ''}`;
}

/** Bits 15 to 12 by instruction. */
const ATOMICS: readonly {
  readonly name: string;
  readonly code: `${'0' | '1'}${string}`;
  readonly operation: AtomicOperation;
}[] = [
  { name: 'LDADD', code: '0000', operation: 'add' },
  { name: 'LDCLR', code: '0001', operation: 'clear' },
  { name: 'LDEOR', code: '0010', operation: 'xor' },
  { name: 'LDSET', code: '0011', operation: 'or' },
  { name: 'LDSMAX', code: '0100', operation: 'signed maximum' },
  { name: 'LDSMIN', code: '0101', operation: 'signed minimum' },
  { name: 'LDUMAX', code: '0110', operation: 'unsigned maximum' },
  { name: 'LDUMIN', code: '0111', operation: 'unsigned minimum' },
  { name: 'SWP', code: '1000', operation: 'swap' },
];

export const LOADS_STORES = [
  // ---- unsigned offset, unscaled, post, unprivileged, pre

  insn('LDR, STR and their kind (immediate, unsigned offset)', {
    bits: 'size:2 111 0 01 opc:2 imm12:12 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['size', 'opc'],
    allocated: isAccess,
    text: (fields) =>
      `${accessName(fields, 'r')}\t${transferred(fields, fields.Rt)}, ${offsetAddress(fields.Rn, fields.imm12 * 2 ** fields.size)}`,
    exec(s, { size, opc, imm12, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      access(s, { size, opc }, Rt, add(s.x(Rn), shl(s.imm64(imm12), i64(size))));
    },
  }),
  insn('LDUR, STUR and their kind', {
    bits: 'size:2 111 0 00 opc:2 0 imm9:9 00 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['size', 'opc'],
    allocated: isAccess,
    text: (fields) =>
      `${accessName(fields, 'ur')}\t${transferred(fields, fields.Rt)}, ${offsetAddress(fields.Rn, signed(fields.imm9, 9))}`,
    exec(s, { size, opc, imm9, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      access(s, { size, opc }, Rt, add(s.x(Rn), s.simm64(imm9)));
    },
  }),
  insn('LDR, STR and their kind (immediate, post-index and pre-index)', {
    bits: 'size:2 111 0 00 opc:2 0 imm9:9 isPre 1 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['size', 'opc', 'isPre'],
    allocated: isAccess,
    text: (fields) =>
      `${accessName(fields, 'r')}\t${transferred(fields, fields.Rt)}, ${indexedAddress(fields.isPre === 1 ? INDEX.pre : INDEX.post, fields.Rn, signed(fields.imm9, 9))}`,
    exec(s, { size, opc, isPre, imm9, Rn, Rt }) {
      withIndex(s, isPre === 1 ? INDEX.pre : INDEX.post, Rn, s.simm64(imm9), (address) => {
        access(s, { size, opc }, Rt, address);
      });
    },
  }),
  insn('LDTR, STTR and their kind', {
    bits: 'size:2 111 0 00 opc:2 0 imm9:9 10 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['size', 'opc'],
    allocated: isAccess,
    text: (fields) =>
      `${accessName(fields, 'tr')}\t${transferred(fields, fields.Rt)}, ${offsetAddress(fields.Rn, signed(fields.imm9, 9))}`,
    exec(s, { size, opc, imm9, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      access(s, { size, opc }, Rt, add(s.x(Rn), s.simm64(imm9)), { unprivileged: true });
    },
  }),

  // ---- register offset and literal

  insn('LDR, STR and their kind (register)', {
    bits: 'size:2 111 0 00 opc:2 1 Rm:5 option:3 S 10 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['size', 'opc', 'option', 'S'],
    allocated: (fields) => isAccess(fields) && (fields.option & 2) !== 0,
    text: (fields) =>
      `${accessName(fields, 'r')}\t${transferred(fields, fields.Rt)}, ${registerOffsetText(fields.Rn, fields.Rm, fields.option, fields.S, fields.size)}`,
    exec(s, { size, opc, option, S, Rm, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      const offset = shl(extended(option, s.x(Rm)), i64(S === 1 ? size : 0));
      access(s, { size, opc }, Rt, add(s.x(Rn), offset));
    },
  }),
  insn('LDR, LDRSW (literal)', {
    bits: 'opc:2 011 0 00 imm19:19 Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['opc'],
    allocated: ({ opc }) => opc !== 3,
    text: ({ opc, imm19, Rt }, pc) =>
      `${opc === 2 ? 'ldrsw' : 'ldr'}\t${reg(opc === 0 ? 0 : 1, Rt)}, ${target(pc, signed(imm19, 19))}`,
    exec(s, { opc, imm19, Rt }) {
      s.setX(Rt, s.load(add(s.pc(), s.simm64(imm19, 2)), opc === 1 ? 3 : 2, opc === 2));
    },
  }),

  // ---- prefetch

  insn('PRFM (immediate)', {
    bits: '11 111 0 01 10 imm12:12 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    text: ({ imm12, Rn, Rt }) => `prfm\t${prefetchOperation(Rt)}, ${offsetAddress(Rn, imm12 * 8)}`,
    exec() {
      // Nothing to do.
    },
  }),
  insn('PRFUM', {
    bits: '11 111 0 00 10 0 imm9:9 00 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    text: ({ imm9, Rn, Rt }) => `prfum\t${prefetchOperation(Rt)}, ${offsetAddress(Rn, signed(imm9, 9))}`,
    exec() {
      // Nothing to do.
    },
  }),
  insn('PRFM (register)', {
    bits: '11 111 0 00 10 1 Rm:5 option:3 S 10 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    constraint: ({ option }) => (option & 2) !== 0,
    text: ({ Rm, option, S, Rn, Rt }) =>
      `prfm\t${prefetchOperation(Rt)}, ${registerOffsetText(Rn, Rm, option, S, 3)}`,
    exec() {
      // Nothing to do.
    },
  }),
  insn('PRFM (literal)', {
    bits: '11 011 0 00 imm19:19 Rt:5',
    spec: 'DDI0487 C6.2',
    text: ({ imm19, Rt }, pc) => `prfm\t${prefetchOperation(Rt)}, ${target(pc, signed(imm19, 19))}`,
    exec() {
      // Nothing to do.
    },
  }),

  // ---- pairs

  insn('LDP, STP', {
    bits: 'opc:2 101 0 0 index:2 L imm7:7 Rt2:5 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['opc', 'index', 'L'],
    allocated: ({ opc, index }) => index !== INDEX.none && (opc === 0 || opc === 2),
    text: (fields) => pairText(fields.L === 1 ? 'ldp' : 'stp', fields.opc, fields.index, fields),
    exec(s, { opc, index, L, ...fields }) {
      pairAccess(s, { opc, L }, index, fields);
    },
  }),
  insn('LDPSW', {
    bits: '01 101 0 0 index:2 1 imm7:7 Rt2:5 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['index'],
    allocated: ({ index }) => index !== INDEX.none,
    text: (fields) => pairText('ldpsw', 1, fields.index, fields),
    exec(s, { index, ...fields }) {
      pairAccess(s, { opc: 1, L: 1 }, index, fields);
    },
  }),
  insn('LDNP, STNP', {
    bits: 'opc:2 101 0 0 00 L imm7:7 Rt2:5 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['opc', 'L'],
    allocated: ({ opc }) => opc === 0 || opc === 2,
    text: (fields) => pairText(fields.L === 1 ? 'ldnp' : 'stnp', fields.opc, INDEX.offset, fields),
    exec(s, { opc, L, ...fields }) {
      pairAccess(s, { opc, L }, INDEX.offset, fields);
    },
  }),

  // ---- exclusive and ordered

  insn('LDXR, LDAXR and their kind', {
    bits: 'size:2 001000 0 1 0 xxxxx o0 xxxxx Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['size'],
    text: ({ size, o0, Rn, Rt }) =>
      `ld${o0 === 1 ? 'a' : ''}xr${UNSIGNED_SUFFIXES[size]}\t${reg(wide(size), Rt)}, [${regSp(1, Rn)}]`,
    exec(s, { size, Rn, Rt }) {
      const sizeLog2 = size as SizeLog2;
      s.checkStackAlignment(Rn);
      const address = s.let(s.x(Rn));
      const value = s.let(s.load(address, sizeLog2, false, ALIGNED));
      s.markExclusive(address, sizeLog2, value);
      s.setX(Rt, value);
    },
  }),
  insn('STXR, STLXR and their kind', {
    bits: 'size:2 001000 0 0 0 Rs:5 o0 xxxxx Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['size'],
    text: ({ size, Rs, o0, Rn, Rt }) =>
      `st${o0 === 1 ? 'l' : ''}xr${UNSIGNED_SUFFIXES[size]}\t${reg(0, Rs)}, ${reg(wide(size), Rt)}, [${regSp(1, Rn)}]`,
    exec(s, { size, Rs, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      s.setW(Rs, s.let(s.storeExclusive(s.x(Rn), size as SizeLog2, s.x(Rt))));
    },
  }),
  insn('LDXP, LDAXP', {
    bits: '1 sz 001000 0 1 1 xxxxx o0 Rt2:5 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['sz'],
    text: ({ sz, o0, Rt2, Rn, Rt }) =>
      `ld${o0 === 1 ? 'a' : ''}xp\t${reg(sz, Rt)}, ${reg(sz, Rt2)}, [${regSp(1, Rn)}]`,
    exec(s, { sz, Rt2, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      const address = s.let(s.x(Rn));
      if (sz === 1) {
        // One access, aligned to all of its 16 bytes.
        const both = s.let(s.loadV(address, ALIGNED));
        const first = extractLane('i64x2.extract_lane', both, 0);
        const second = extractLane('i64x2.extract_lane', both, 1);
        s.markExclusive(address, 4, first, second);
        s.setX(Rt, first);
        s.setX(Rt2, second);
      } else {
        // Two words are one access of eight bytes.
        const both = s.let(s.load(address, 3, false, ALIGNED));
        s.markExclusive(address, 3, both);
        s.setX(Rt, and(both, i64(0xffff_ffffn)));
        s.setX(Rt2, shrU(both, i64(32)));
      }
    },
  }),
  insn('STXP, STLXP', {
    bits: '1 sz 001000 0 0 1 Rs:5 o0 Rt2:5 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    static: ['sz'],
    text: ({ sz, Rs, o0, Rt2, Rn, Rt }) =>
      `st${o0 === 1 ? 'l' : ''}xp\t${reg(0, Rs)}, ${reg(sz, Rt)}, ${reg(sz, Rt2)}, [${regSp(1, Rn)}]`,
    exec(s, { sz, Rs, Rt2, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      const status =
        sz === 1
          ? s.storeExclusive(s.x(Rn), 4, s.x(Rt), s.x(Rt2))
          : s.storeExclusive(s.x(Rn), 3, or(extU(s.w(Rt)), shl(s.x(Rt2), i64(32))));
      s.setW(Rs, s.let(status));
    },
  }),
  ...[
    { name: 'LDAR and its kind', mnemonic: 'ldar', o0: 1 },
    { name: 'LDLAR and its kind (FEAT_LOR)', mnemonic: 'ldlar', o0: 0 },
  ].map(({ name, mnemonic, o0 }) =>
    insn(name, {
      bits: `size:2 001000 1 1 0 xxxxx ${o0 === 1 ? '1' : '0'} xxxxx Rn:5|sp Rt:5`,
      spec: 'DDI0487 C6.2',
      ...(o0 === 0 ? { feature: 'LOR' } : {}),
      static: ['size'],
      text: ({ size, Rn, Rt }) =>
        `${mnemonic}${UNSIGNED_SUFFIXES[size]}\t${reg(wide(size), Rt)}, [${regSp(1, Rn)}]`,
      exec(s, { size, Rn, Rt }) {
        s.checkStackAlignment(Rn);
        s.setX(Rt, s.load(s.x(Rn), size as SizeLog2, false, ALIGNED));
      },
    }),
  ),
  ...[
    { name: 'STLR and its kind', mnemonic: 'stlr', o0: 1 },
    { name: 'STLLR and its kind (FEAT_LOR)', mnemonic: 'stllr', o0: 0 },
  ].map(({ name, mnemonic, o0 }) =>
    insn(name, {
      bits: `size:2 001000 1 0 0 xxxxx ${o0 === 1 ? '1' : '0'} xxxxx Rn:5|sp Rt:5`,
      spec: 'DDI0487 C6.2',
      ...(o0 === 0 ? { feature: 'LOR' } : {}),
      static: ['size'],
      text: ({ size, Rn, Rt }) =>
        `${mnemonic}${UNSIGNED_SUFFIXES[size]}\t${reg(wide(size), Rt)}, [${regSp(1, Rn)}]`,
      exec(s, { size, Rn, Rt }) {
        s.checkStackAlignment(Rn);
        s.store(s.x(Rn), size as SizeLog2, s.x(Rt), ALIGNED);
      },
    }),
  ),

  // ---- atomic

  insn('CAS, CASA, CASL, CASAL and their kind', {
    bits: 'size:2 001000 1 acquire 1 Rs:5 release 11111 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    feature: 'LSE',
    static: ['size'],
    text: ({ size, Rs, Rn, Rt, ...order }) =>
      `cas${orderSuffix(order)}${UNSIGNED_SUFFIXES[size]}\t${reg(wide(size), Rs)}, ${reg(wide(size), Rt)}, [${regSp(1, Rn)}]`,
    exec(s, { size, Rs, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      s.setX(Rs, s.compareAndSwap(s.x(Rn), size as SizeLog2, s.x(Rs), s.x(Rt)));
    },
  }),
  insn('CASP, CASPA, CASPL, CASPAL', {
    bits: '0 sz 001000 0 acquire 1 Rs:5 release 11111 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    feature: 'LSE',
    static: ['sz'],
    constraint: ({ Rs, Rt }) => Rs % 2 === 0 && Rt % 2 === 0,
    text: ({ sz, Rs, Rn, Rt, ...order }) =>
      `casp${orderSuffix(order)}\t${[Rs, Rs + 1, Rt, Rt + 1].map((n) => reg(sz, n)).join(', ')}, [${regSp(1, Rn)}]`,
    exec(s, { sz, Rs, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      if (sz === 1) {
        const [low, high] = s.compareAndSwapPair(s.x(Rn), [s.x(Rs), s.xAt(Rs, 1)], [s.x(Rt), s.xAt(Rt, 1)]);
        s.setX(Rs, low);
        s.setXAt(Rs, 1, high);
      } else {
        const pair = (register: RegField): I64 => or(extU(s.w(register)), shl(s.xAt(register, 1), i64(32)));
        const both = s.compareAndSwap(s.x(Rn), 3, pair(Rs), pair(Rt));
        s.setX(Rs, and(both, i64(0xffff_ffffn)));
        s.setXAt(Rs, 1, shrU(both, i64(32)));
      }
    },
  }),
  ...ATOMICS.map(({ name, code, operation }) =>
    insn(`${name} and its kind`, {
      bits: `size:2 111 0 00 acquire release 1 Rs:5 ${code} 00 Rn:5|sp Rt:5`,
      spec: 'DDI0487 C6.2',
      feature: 'LSE',
      static: ['size'],
      text: ({ size, Rs, Rn, Rt, ...order }) =>
        `${name.toLowerCase()}${orderSuffix(order)}${UNSIGNED_SUFFIXES[size]}\t${reg(wide(size), Rs)}, ${reg(wide(size), Rt)}, [${regSp(1, Rn)}]`,
      exec(s, { size, Rs, Rn, Rt }) {
        s.checkStackAlignment(Rn);
        s.setX(Rt, s.atomic(operation, s.x(Rn), size as SizeLog2, s.x(Rs)));
      },
    }),
  ),

  // ---- load-acquire RCpc

  insn('LDAPR, LDAPRB, LDAPRH', {
    bits: 'size:2 111 0 00 1 0 1 11111 1 100 00 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    feature: 'LRCPC',
    static: ['size'],
    text: ({ size, Rn, Rt }) => `ldapr${UNSIGNED_SUFFIXES[size]}\t${reg(wide(size), Rt)}, [${regSp(1, Rn)}]`,
    exec(s, { size, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      s.setX(Rt, s.load(s.x(Rn), size as SizeLog2, false, ALIGNED));
    },
  }),
  insn('LDAPUR, STLUR and their kind', {
    bits: 'size:2 011001 opc:2 0 imm9:9 00 Rn:5|sp Rt:5',
    spec: 'DDI0487 C6.2',
    feature: 'LRCPC2',
    static: ['size', 'opc'],
    allocated: isAccess,
    text: (fields) => {
      const name = accessName(fields, 'ur').replace(/^ld/, 'ldap').replace(/^st/, 'stl');
      return `${name}\t${transferred(fields, fields.Rt)}, ${offsetAddress(fields.Rn, signed(fields.imm9, 9))}`;
    },
    exec(s, { size, opc, imm9, Rn, Rt }) {
      s.checkStackAlignment(Rn);
      access(s, { size, opc }, Rt, add(s.x(Rn), s.simm64(imm9)), ALIGNED);
    },
  }),

  // ---- later extensions

  notAdvertised('ST64B (FEAT_LS64)', '11 111 0 00 0 0 1 11111 1 001 00 Rn:5|sp Rt:5', 'DDI0487 C6.2'),
  notAdvertised('ST64BV (FEAT_LS64_V)', '11 111 0 00 0 0 1 Rs:5 1 011 00 Rn:5|sp Rt:5', 'DDI0487 C6.2'),
  notAdvertised(
    'ST64BV0 (FEAT_LS64_ACCDATA)',
    '11 111 0 00 0 0 1 Rs:5 1 010 00 Rn:5|sp Rt:5',
    'DDI0487 C6.2',
  ),
  notAdvertised('LD64B (FEAT_LS64)', '11 111 0 00 0 0 1 11111 1 101 00 Rn:5|sp Rt:5', 'DDI0487 C6.2'),
  notAdvertised('LDRAA, LDRAB (FEAT_PAuth)', '11 111 0 00 M S 1 imm9:9 W 1 Rn:5|sp Rt:5', 'DDI0487 C6.2'),
  notAdvertised('STGP (post-index) (FEAT_MTE)', '01 101 0 0 01 0 imm7:7 Xt2:5 Xn:5 Xt:5', 'DDI0487 C6.2'),
  notAdvertised(
    'STGP (offset and pre-index) (FEAT_MTE)',
    '01 101 0 0 1 isPre 0 imm7:7 Xt2:5 Xn:5 Xt:5',
    'DDI0487 C6.2',
  ),
  ...['STG', 'STZG', 'ST2G', 'STZ2G'].flatMap((name, opc) => [
    notAdvertised(
      `${name} (post-index) (FEAT_MTE)`,
      `11011001 ${opc.toString(2).padStart(2, '0')} 1 imm9:9 01 Xn:5 Xt:5`,
      'DDI0487 C6.2',
    ),
    notAdvertised(
      `${name} (offset and pre-index) (FEAT_MTE)`,
      `11011001 ${opc.toString(2).padStart(2, '0')} 1 imm9:9 1 isPre Xn:5 Xt:5`,
      'DDI0487 C6.2',
    ),
  ]),
  notAdvertised('STZGM (FEAT_MTE)', '11011001 00 1 000000000 00 Xn:5 Xt:5', 'DDI0487 C6.2'),
  notAdvertised('LDG (FEAT_MTE)', '11011001 01 1 imm9:9 00 Xn:5 Xt:5', 'DDI0487 C6.2'),
  notAdvertised('STGM (FEAT_MTE)', '11011001 10 1 000000000 00 Xn:5 Xt:5', 'DDI0487 C6.2'),
  notAdvertised('LDGM (FEAT_MTE)', '11011001 11 1 000000000 00 Xn:5 Xt:5', 'DDI0487 C6.2'),
  ...['P', 'M', 'E'].flatMap((stage, op1) => [
    notAdvertised(
      `CPYF${stage}, CPY${stage} and their kind (FEAT_MOPS)`,
      `00 011 o0 01 ${op1.toString(2).padStart(2, '0')} 0 Xs:5 op2:4 01 Xn:5 Xd:5`,
      'DDI0487 C6.2',
    ),
    notAdvertised(
      `SET${stage}, SETG${stage} and their kind (FEAT_MOPS)`,
      `00 011 o0 01 11 0 Xs:5 ${op1.toString(2).padStart(2, '0')} op2:2 01 Xn:5 Xd:5`,
      'DDI0487 C6.2',
    ),
  ]),
];
