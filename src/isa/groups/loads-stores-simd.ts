/** Loads and stores of Advanced SIMD and floating-point registers. DDI0487 C4.1.95. */
import type { I32, I64, V128 } from '../../wasm/expr.js';
import { add, extS, extU, i32, i64, mul, or, select, shl, shrU } from '../../wasm/expr.js';
import { replaceLane, splat } from '../../wasm/simd.js';
import type { ImmField, RegField, Row, VecField } from '../row.js';
import { insn } from '../row.js';
import { gather, laneSplat, low64, lowHalf, sizeLog2 } from '../simd-lanes.js';
import { ELEMENT, arrangement, scalar, vecList } from '../simd-text.js';
import type { SizeLog2, Stage } from '../stage.js';
import { reg, regSp, signed, target } from '../text.js';

// ---- one register

/** log2 of the bytes: 0 … 4. `opc`<1> marks the 128-bit forms. */
function accessSize(size: number, opc: number): number {
  return (opc & 2) !== 0 ? 4 : size;
}

/** `size` and `opc` of LDR and STR: 128 bits are `size` 0 only. */
function isAccess({ size, opc }: { size: number; opc: number }): boolean {
  return (opc & 2) === 0 || size === 0;
}

/** The 128-bit forms are what memory copies are made of. */
function isQuad({ opc }: { opc: number }): boolean {
  return (opc & 2) !== 0;
}

function isLoad(opc: number): boolean {
  return (opc & 1) === 1;
}

/** The access of LDR and STR. `afterwards` runs between it and the register write. */
function access(
  s: Stage,
  size: number,
  opc: number,
  Vt: VecField,
  address: I64,
  afterwards = (): void => undefined,
): void {
  const bytes = accessSize(size, opc);
  if (!isLoad(opc)) {
    if (bytes === 4) s.storeV(address, s.v(Vt));
    else s.store(address, sizeLog2(bytes), s.d(Vt));
    afterwards();
  } else if (bytes === 4) {
    const value = s.let(s.loadV(address));
    afterwards();
    s.setV(Vt, value);
  } else {
    const value = s.let(s.load(address, sizeLog2(bytes)));
    afterwards();
    s.setD(Vt, value);
  }
}

function mnemonic(opc: number, load: string, store: string): string {
  return isLoad(opc) ? load : store;
}

function memory(Rn: number, offset: number): string {
  return offset === 0 ? `[${regSp(1, Rn)}]` : `[${regSp(1, Rn)}, #${offset}]`;
}

/** A load or store that writes its base register back, before or after the access. */
function writeBack(name: string, mode: '01' | '11'): Row {
  const isPost = mode === '01';
  const bits = 'size:2 111100 opc:2 0 imm9:9 01 Rn:5|sp Vt:5';
  return insn(name, {
    bits: bits.replace(' 01 ', ` ${mode} `) as typeof bits,
    spec: 'DDI0487 C7.2 LDR, STR (immediate, SIMD&FP)',
    static: ['size', 'opc'],
    allocated: isAccess,
    simd: true,
    text: ({ size, opc, imm9, Rn, Vt }) => {
      const base = regSp(1, Rn);
      const offset = `#${signed(imm9, 9)}`;
      const where = isPost ? `[${base}], ${offset}` : `[${base}, ${offset}]!`;
      return `${mnemonic(opc, 'ldr', 'str')}\t${scalar(Vt, accessSize(size, opc))}, ${where}`;
    },
    exec(s, { size, opc, imm9, Rn, Vt }) {
      s.checkStackAlignment(Rn);
      const base = s.let(s.x(Rn));
      const moved = s.let(add(base, s.simm64(imm9)));
      access(s, size, opc, Vt, isPost ? base : moved, () => {
        s.setX(Rn, moved);
      });
    },
  });
}

const SINGLE = [
  insn('LDR, STR (immediate, SIMD&FP)', {
    bits: 'size:2 111101 opc:2 imm12:12 Rn:5|sp Vt:5',
    spec: 'DDI0487 C7.2 LDR, STR (immediate, SIMD&FP)',
    static: ['size', 'opc'],
    allocated: isAccess,
    hot: isQuad,
    simd: true,
    text: ({ size, opc, imm12, Rn, Vt }) => {
      const bytes = accessSize(size, opc);
      return `${mnemonic(opc, 'ldr', 'str')}\t${scalar(Vt, bytes)}, ${memory(Rn, imm12 << bytes)}`;
    },
    exec(s, { size, opc, imm12, Rn, Vt }) {
      s.checkStackAlignment(Rn);
      const offset = shl(s.imm64(imm12), i64(accessSize(size, opc)));
      access(s, size, opc, Vt, s.let(add(s.x(Rn), offset)));
    },
  }),
  writeBack('LDR, STR (immediate, SIMD&FP), post-indexed', '01'),
  writeBack('LDR, STR (immediate, SIMD&FP), pre-indexed', '11'),
  insn('LDUR, STUR (SIMD&FP)', {
    bits: 'size:2 111100 opc:2 0 imm9:9 00 Rn:5|sp Vt:5',
    spec: 'DDI0487 C7.2 LDUR, STUR (SIMD&FP)',
    static: ['size', 'opc'],
    allocated: isAccess,
    hot: isQuad,
    simd: true,
    text: ({ size, opc, imm9, Rn, Vt }) =>
      `${mnemonic(opc, 'ldur', 'stur')}\t${scalar(Vt, accessSize(size, opc))}, ${memory(Rn, signed(imm9, 9))}`,
    exec(s, { size, opc, imm9, Rn, Vt }) {
      s.checkStackAlignment(Rn);
      access(s, size, opc, Vt, s.let(add(s.x(Rn), s.simm64(imm9))));
    },
  }),
  insn('LDR, STR (register, SIMD&FP)', {
    bits: 'size:2 111100 opc:2 1 Rm:5 option:3 S 10 Rn:5|sp Vt:5',
    spec: 'DDI0487 C7.2 LDR, STR (register, SIMD&FP)',
    static: ['size', 'opc'],
    // UXTW, SXTW, and LSL or SXTX, which are the same for a 64-bit offset.
    split: {
      extend: { count: 3, of: ({ option }: { option: number }) => ((option & 1) === 1 ? 2 : option >> 2) },
    },
    allocated: isAccess,
    constraint: ({ option }) => (option & 2) !== 0,
    simd: true,
    text: ({ size, opc, Rm, option, S, Rn, Vt }) => {
      const bytes = accessSize(size, opc);
      const extend = { 2: 'uxtw', 3: 'lsl', 6: 'sxtw', 7: 'sxtx' }[option] ?? '';
      const amount = S === 1 ? ` #${bytes}` : '';
      const suffix = extend === 'lsl' && S === 0 ? '' : `, ${extend}${amount}`;
      const where = `[${regSp(1, Rn)}, ${reg(option & 1, Rm)}${suffix}]`;
      return `${mnemonic(opc, 'ldr', 'str')}\t${scalar(Vt, bytes)}, ${where}`;
    },
    exec(s, { size, opc, Rm, S, Rn, Vt }, { extend }) {
      s.checkStackAlignment(Rn);
      const offset = extend === 2 ? s.x(Rm) : (extend === 1 ? extS : extU)(s.w(Rm));
      const amount = mul(s.imm64(S), i64(accessSize(size, opc)));
      access(s, size, opc, Vt, s.let(add(s.x(Rn), shl(offset, amount))));
    },
  }),
  insn('LDR (literal, SIMD&FP)', {
    bits: 'opc:2 011100 imm19:19 Vt:5',
    spec: 'DDI0487 C7.2 LDR (literal, SIMD&FP)',
    static: ['opc'],
    allocated: ({ opc }) => opc !== 3,
    simd: true,
    text: ({ opc, imm19, Vt }, pc) => `ldr\t${scalar(Vt, opc + 2)}, ${target(pc, signed(imm19, 19))}`,
    exec(s, { opc, imm19, Vt }) {
      const address = s.let(add(s.pc(), s.simm64(imm19, 2)));
      if (opc === 2) s.setV(Vt, s.loadV(address));
      else s.setD(Vt, s.load(address, opc === 1 ? 3 : 2));
    },
  }),
];

// ---- pairs

function accessPair(
  s: Stage,
  opc: number,
  L: number,
  Vt: VecField,
  Vt2: VecField,
  address: I64,
  afterwards = (): void => undefined,
): void {
  const size: SizeLog2 = opc === 0 ? 2 : 3;
  if (L === 0) {
    if (opc === 2) s.storePairV(address, s.v(Vt), s.v(Vt2));
    else s.storePair(address, size, s.d(Vt), s.d(Vt2));
    afterwards();
  } else if (opc === 2) {
    const [first, second] = s.loadPairV(address).map((value) => s.let(value)) as [V128, V128];
    afterwards();
    s.setV(Vt, first);
    s.setV(Vt2, second);
  } else {
    const [first, second] = s.loadPair(address, size).map((value) => s.let(value)) as [I64, I64];
    afterwards();
    s.setD(Vt, first);
    s.setD(Vt2, second);
  }
}

function pairRow(name: string, mode: '00' | '01' | '10' | '11', mnemonics: readonly [string, string]): Row {
  const bits = 'opc:2 101 1 0 00 L imm7:7 Vt2:5 Rn:5|sp Vt:5';
  return insn(name, {
    bits: bits.replace(' 00 ', ` ${mode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${name.split(',', 2).join(',')} (SIMD&FP)`,
    static: ['opc', 'L'],
    allocated: ({ opc }) => opc !== 3,
    // LDP of one register twice is CONSTRAINED UNPREDICTABLE; here the second element stays.
    hot: ({ opc }) => opc === 2 && (mode === '10' || mode === '01'),
    simd: true,
    text: ({ opc, L, imm7, Vt2, Rn, Vt }) => {
      const offset = signed(imm7, 7) * (4 << opc);
      const where =
        mode === '01'
          ? `[${regSp(1, Rn)}], #${offset}`
          : mode === '11'
            ? `[${regSp(1, Rn)}, #${offset}]!`
            : memory(Rn, offset);
      return `${mnemonics[L]}\t${scalar(Vt, opc + 2)}, ${scalar(Vt2, opc + 2)}, ${where}`;
    },
    exec(s, { opc, L, imm7, Vt2, Rn, Vt }) {
      s.checkStackAlignment(Rn);
      const base = s.let(s.x(Rn));
      const moved = s.let(add(base, s.simm64(imm7, opc + 2)));
      const isWriteBack = mode === '01' || mode === '11';
      accessPair(s, opc, L, Vt, Vt2, mode === '01' ? base : moved, () => {
        if (isWriteBack) s.setX(Rn, moved);
      });
    },
  });
}

const PAIRS = [
  pairRow('LDNP, STNP (SIMD&FP)', '00', ['stnp', 'ldnp']),
  pairRow('LDP, STP (SIMD&FP), post-indexed', '01', ['stp', 'ldp']),
  pairRow('LDP, STP (SIMD&FP), signed offset', '10', ['stp', 'ldp']),
  pairRow('LDP, STP (SIMD&FP), pre-indexed', '11', ['stp', 'ldp']),
];

// ---- structures

/** The post-indexed forms add a register, or the bytes transferred where the register is 31. */
const BY_REGISTER = { count: 2, of: ({ Rm }: { Rm: number }) => (Rm === 31 ? 0 : 1) };

function postIndexText(Rm: number, bytes: number): string {
  return Rm === 31 ? `, #${bytes}` : `, ${reg(1, Rm)}`;
}

function postIndex(
  s: Stage,
  Rn: RegField,
  base: I64,
  Rm: RegField,
  byRegister: number,
  bytes: number,
): () => void {
  const next = s.let(add(base, byRegister === 1 ? s.x(Rm) : i64(bytes)));
  return () => {
    s.setX(Rn, next);
  };
}

/** `count` times 8 or 16 bytes from `base` on, accessed as elements of 2^`element` bytes. */
function loadRun(s: Stage, Q: number, base: I64, count: number, element: I32): V128[] {
  return Array.from({ length: count }, (_, i) => {
    const address = s.let(add(base, i64((8 << Q) * i)));
    if (Q === 1) return s.let(s.loadV(address, { element }));
    return s.let(splat('i64x2.splat', s.load(address, 3, false, { element })));
  });
}

function storeRun(s: Stage, Q: number, base: I64, values: readonly V128[], element: I32): void {
  values.forEach((value, i) => {
    const address = s.let(add(base, i64((8 << Q) * i)));
    if (Q === 1) s.storeV(address, value, { element });
    else s.store(address, 3, low64(value), { element });
  });
}

const MULTIPLE_SPEC = 'DDI0487 C7.2 LD1 to LD4, ST1 to ST4 (multiple structures)';

function runText(L: number, structure: number, count: number, Q: number, size: number, Vt: number): string {
  return `${L === 1 ? 'ld' : 'st'}${structure}\t${vecList(Vt, count, arrangement(size, Q))}`;
}

/** LD1 and ST1: registers one after the other, so the element size matters for alignment only. */
function multipleLd1(count: number, opcode: string): readonly Row[] {
  const fixed = '0 Q 0011000 L 000000 0000 size:2 Rn:5|sp Vt:5';
  const post = '0 Q 0011001 L 0 Rm:5 0000 size:2 Rn:5|sp Vt:5';
  const transfer = (
    s: Stage,
    { Q, L, size, Vt }: { Q: number; L: number; size: ImmField; Vt: VecField },
    base: I64,
    afterwards: () => void,
  ): void => {
    const element = s.imm(size);
    if (L === 0) {
      const values = Array.from({ length: count }, (_, i) => s.vAt(Vt, i));
      storeRun(s, Q, base, values, element);
      afterwards();
    } else {
      const values = loadRun(s, Q, base, count, element);
      afterwards();
      values.forEach((value, i) => {
        s.setVAt(Vt, i, Q === 1 ? value : lowHalf(value));
      });
    }
  };
  return [
    insn(`LD1, ST1 (multiple structures), ${count}`, {
      bits: fixed.replace(' 0000 ', ` ${opcode} `) as typeof fixed,
      spec: MULTIPLE_SPEC,
      static: ['Q', 'L'],
      simd: true,
      text: ({ Q, L, size, Rn, Vt }) => `${runText(L, 1, count, Q, size, Vt)}, [${regSp(1, Rn)}]`,
      exec(s, { Q, L, size, Rn, Vt }) {
        s.checkStackAlignment(Rn);
        transfer(s, { Q, L, size, Vt }, s.let(s.x(Rn)), () => undefined);
      },
    }),
    insn(`LD1, ST1 (multiple structures), ${count}, post-indexed`, {
      bits: post.replace(' 0000 ', ` ${opcode} `) as typeof post,
      spec: MULTIPLE_SPEC,
      static: ['Q', 'L'],
      split: { byRegister: BY_REGISTER },
      simd: true,
      text: ({ Q, L, Rm, size, Rn, Vt }) =>
        `${runText(L, 1, count, Q, size, Vt)}, [${regSp(1, Rn)}]${postIndexText(Rm, (8 << Q) * count)}`,
      exec(s, { Q, L, Rm, size, Rn, Vt }, { byRegister }) {
        s.checkStackAlignment(Rn);
        const base = s.let(s.x(Rn));
        const afterwards = postIndex(s, Rn, base, Rm, byRegister, (8 << Q) * count);
        transfer(s, { Q, L, size, Vt }, base, afterwards);
      },
    }),
  ];
}

/** LD2 to LD4 and ST2 to ST4: element i of the structures goes to register i. */
function multipleStructures(count: number, opcode: string): readonly Row[] {
  const fixed = '0 Q 0011000 L 000000 0000 size:2 Rn:5|sp Vt:5';
  const post = '0 Q 0011001 L 0 Rm:5 0000 size:2 Rn:5|sp Vt:5';
  const isAllocated = ({ Q, size }: { Q: number; size: number }): boolean => Q === 1 || size !== 3;
  const transfer = (
    s: Stage,
    { Q, L, size, Vt }: { Q: number; L: number; size: number; Vt: VecField },
    base: I64,
    afterwards: () => void,
  ): void => {
    const runBytes = 8 << Q;
    const element = i32(size);
    const byteInElement = (1 << size) - 1;
    if (L === 0) {
      const registers = Array.from({ length: count }, (_, i) => s.vAt(Vt, i));
      const runs = registers.map((_, run) =>
        gather(
          registers,
          Array.from({ length: 16 }, (_, i) => {
            const byte = run * runBytes + (i % runBytes);
            const index = byte >> size;
            return 16 * (index % count) + (Math.floor(index / count) << size) + (byte & byteInElement);
          }),
        ),
      );
      storeRun(s, Q, base, runs, element);
      afterwards();
      return;
    }
    const runs = loadRun(s, Q, base, count, element);
    afterwards();
    runs.forEach((_, register) => {
      const from = Array.from({ length: 16 }, (_, i) => {
        const index = ((i % runBytes) >> size) * count + register;
        const byte = (index << size) + (i & byteInElement);
        return 16 * Math.floor(byte / runBytes) + (byte % runBytes);
      });
      const value = gather(runs, from);
      s.setVAt(Vt, register, Q === 1 ? value : lowHalf(value));
    });
  };
  return [
    insn(`LD${count}, ST${count} (multiple structures)`, {
      bits: fixed.replace(' 0000 ', ` ${opcode} `) as typeof fixed,
      spec: MULTIPLE_SPEC,
      static: ['Q', 'L', 'size'],
      allocated: isAllocated,
      simd: true,
      text: ({ Q, L, size, Rn, Vt }) => `${runText(L, count, count, Q, size, Vt)}, [${regSp(1, Rn)}]`,
      exec(s, { Q, L, size, Rn, Vt }) {
        s.checkStackAlignment(Rn);
        transfer(s, { Q, L, size, Vt }, s.let(s.x(Rn)), () => undefined);
      },
    }),
    insn(`LD${count}, ST${count} (multiple structures), post-indexed`, {
      bits: post.replace(' 0000 ', ` ${opcode} `) as typeof post,
      spec: MULTIPLE_SPEC,
      static: ['Q', 'L', 'size'],
      split: { byRegister: BY_REGISTER },
      allocated: isAllocated,
      simd: true,
      text: ({ Q, L, Rm, size, Rn, Vt }) =>
        `${runText(L, count, count, Q, size, Vt)}, [${regSp(1, Rn)}]${postIndexText(Rm, (8 << Q) * count)}`,
      exec(s, { Q, L, Rm, size, Rn, Vt }, { byRegister }) {
        s.checkStackAlignment(Rn);
        const base = s.let(s.x(Rn));
        const afterwards = postIndex(s, Rn, base, Rm, byRegister, (8 << Q) * count);
        transfer(s, { Q, L, size, Vt }, base, afterwards);
      },
    }),
  ];
}

const SINGLE_SPEC = 'DDI0487 C7.2 LD1 to LD4, ST1 to ST4 (single structure)';

/** `n1`:`n0` is the number of registers less one. */
function registers(n1: number, n0: number): number {
  return (n1 << 1) + n0 + 1;
}

interface LaneFields {
  readonly L: number;
  readonly Q: ImmField;
  readonly index: ImmField;
  readonly Vt: VecField;
}

/** One element of each of `count` registers. Q, S and size give its number, and the bits below that the size. */
function transferLanes(
  s: Stage,
  size: SizeLog2,
  count: number,
  { L, Q, index, Vt }: LaneFields,
  base: I64,
  afterwards: () => void,
): void {
  const lane = s.let(shrU(or(shl(s.imm(Q), i32(3)), s.imm(index)), i32(size)));
  const addresses = Array.from({ length: count }, (_, i) => s.let(add(base, i64(i << size))));
  if (L === 0) {
    addresses.forEach((address, i) => {
      s.store(address, size, s.lane(Vt, size, lane, i));
    });
    afterwards();
    return;
  }
  const values = addresses.map((address) => s.let(s.load(address, size)));
  afterwards();
  values.forEach((value, i) => {
    s.setLane(Vt, size, lane, value, i);
  });
}

function laneText(L: number, count: number, size: number, Q: number, index: number, Vt: number): string {
  const list = vecList(Vt, count, ELEMENT[size] ?? '');
  return `${L === 1 ? 'ld' : 'st'}${count}\t${list}[${((Q << 3) | index) >> size}]`;
}

function singleStructure(size: SizeLog2): readonly Row[] {
  const fixed = '0 Q 0011010 L n0 00000 00 n1 index:3 Rn:5|sp Vt:5';
  const post = '0 Q 0011011 L n0 Rm:5 00 n1 index:3 Rn:5|sp Vt:5';
  const opcode = ['00', '01', '10', '10'][size];
  const isSize = ({ index }: { index: number }): boolean =>
    size === 3 ? index === 1 : (index & ((1 << size) - 1)) === 0;
  const element = `${8 << size}-bit`;
  return [
    insn(`LD1 to LD4, ST1 to ST4 (single structure), ${element}`, {
      bits: fixed.replace(' 00 ', ` ${opcode} `) as typeof fixed,
      spec: SINGLE_SPEC,
      static: ['L', 'n0', 'n1'],
      constraint: isSize,
      simd: true,
      text: ({ Q, L, n0, n1, index, Rn, Vt }) =>
        `${laneText(L, registers(n1, n0), size, Q, index, Vt)}, [${regSp(1, Rn)}]`,
      exec(s, { Q, L, n0, n1, index, Rn, Vt }) {
        s.checkStackAlignment(Rn);
        const base = s.let(s.x(Rn));
        transferLanes(s, size, registers(n1, n0), { L, Q, index, Vt }, base, () => undefined);
      },
    }),
    insn(`LD1 to LD4, ST1 to ST4 (single structure), ${element}, post-indexed`, {
      bits: post.replace(' 00 ', ` ${opcode} `) as typeof post,
      spec: SINGLE_SPEC,
      static: ['L', 'n0', 'n1'],
      split: { byRegister: BY_REGISTER },
      constraint: isSize,
      simd: true,
      text: ({ Q, L, n0, Rm, n1, index, Rn, Vt }) => {
        const count = registers(n1, n0);
        return `${laneText(L, count, size, Q, index, Vt)}, [${regSp(1, Rn)}]${postIndexText(Rm, count << size)}`;
      },
      exec(s, { Q, L, n0, Rm, n1, index, Rn, Vt }, { byRegister }) {
        s.checkStackAlignment(Rn);
        const count = registers(n1, n0);
        const base = s.let(s.x(Rn));
        const afterwards = postIndex(s, Rn, base, Rm, byRegister, count << size);
        transferLanes(s, size, count, { L, Q, index, Vt }, base, afterwards);
      },
    }),
  ];
}

/** Loads one element for each of `count` registers and copies it to all elements; those of the high half if Q is 1. */
function replicate(
  s: Stage,
  { Q, size, Vt }: { Q: ImmField; size: number; Vt: VecField },
  count: number,
  base: I64,
  afterwards: () => void,
): void {
  const values = Array.from({ length: count }, (_, i) => {
    const address = s.let(add(base, i64(i << size)));
    return s.let(laneSplat(size, s.load(address, sizeLog2(size))));
  });
  afterwards();
  values.forEach((value, i) => {
    const high = select(s.imm(Q), low64(value), i64(0));
    s.setVAt(Vt, i, replaceLane('i64x2.replace_lane', value, 1, high));
  });
}

function replicateText(count: number, size: number, Q: number, Rn: number, Vt: number): string {
  return `ld${count}r\t${vecList(Vt, count, arrangement(size, Q))}, [${regSp(1, Rn)}]`;
}

const REPLICATE = [
  insn('LD1R to LD4R', {
    bits: '0 Q 0011010 1 n0 00000 11 n1 0 size:2 Rn:5|sp Vt:5',
    spec: 'DDI0487 C7.2 LD1R, LD2R, LD3R, LD4R',
    static: ['n0', 'n1', 'size'],
    simd: true,
    text: ({ Q, n0, n1, size, Rn, Vt }) => replicateText(registers(n1, n0), size, Q, Rn, Vt),
    exec(s, { Q, n0, n1, size, Rn, Vt }) {
      s.checkStackAlignment(Rn);
      replicate(s, { Q, size, Vt }, registers(n1, n0), s.let(s.x(Rn)), () => undefined);
    },
  }),
  insn('LD1R to LD4R, post-indexed', {
    bits: '0 Q 0011011 1 n0 Rm:5 11 n1 0 size:2 Rn:5|sp Vt:5',
    spec: 'DDI0487 C7.2 LD1R, LD2R, LD3R, LD4R',
    static: ['n0', 'n1', 'size'],
    split: { byRegister: BY_REGISTER },
    simd: true,
    text: ({ Q, n0, Rm, n1, size, Rn, Vt }) => {
      const count = registers(n1, n0);
      return replicateText(count, size, Q, Rn, Vt) + postIndexText(Rm, count << size);
    },
    exec(s, { Q, n0, Rm, n1, size, Rn, Vt }, { byRegister }) {
      s.checkStackAlignment(Rn);
      const count = registers(n1, n0);
      const base = s.let(s.x(Rn));
      replicate(s, { Q, size, Vt }, count, base, postIndex(s, Rn, base, Rm, byRegister, count << size));
    },
  }),
];

export const LOADS_STORES_SIMD: readonly Row[] = [
  ...SINGLE,
  ...PAIRS,
  ...multipleLd1(1, '0111'),
  ...multipleLd1(2, '1010'),
  ...multipleLd1(3, '0110'),
  ...multipleLd1(4, '0010'),
  ...multipleStructures(2, '1000'),
  ...multipleStructures(3, '0100'),
  ...multipleStructures(4, '0000'),
  ...singleStructure(0),
  ...singleStructure(1),
  ...singleStructure(2),
  ...singleStructure(3),
  ...REPLICATE,
];
