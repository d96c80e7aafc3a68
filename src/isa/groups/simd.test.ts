/**
 * Runs SIMD and FP instructions on random states, each compiled to WebAssembly with its fields as constants, and
 * compares with qemu-aarch64, which knows nothing of our definitions.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Expr, Freshness, I32, I64, Int, V128, ValType } from '../../wasm/expr.js';
import {
  add, and, eq, eqz, extU, i32, i64, load, or, shl, shrU, sub, wrap, xor,
} from '../../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder } from '../../wasm/function-builder.js';
import { ModuleBuilder } from '../../wasm/module-builder.js';
import { A64 } from '../a64.js';
import { FPSR } from '../fp-values.js';
import { randomSource, randomWord } from '../random-encoder.js';
import type { Row } from '../row.js';
import { fieldValue } from '../row.js';
import type { Condition, SizeLog2, Stage } from '../stage.js';

const SEED = 0x5eed_51d;
const WORDS_PER_ROW = 40;
const CC = 'aarch64-linux-gnu-gcc';
const QEMU = 'qemu-aarch64';
const hasTools = [CC, QEMU].every((tool) => spawnSync(tool, ['--version']).status === 0);

const LLVM_MC = 'llvm-mc';
const hasLlvm = spawnSync(LLVM_MC, ['--version']).status === 0;

// ---- the state of a test: vector registers, X0 … X15, NZCV (bits 31 … 28), FPSR

const V_BYTES = 32 * 16;
const X_COUNT = 16;
const NZCV_AT = V_BYTES + 8 * X_COUNT;
const FPSR_AT = NZCV_AT + 4;
const STATE_BYTES = FPSR_AT + 12;

/** Data that loads and stores reach: fixed in the guest, behind the state in WebAssembly memory. */
const DATA_ADDRESS = 0x1000_0000n;
const DATA_BYTES = 0x4_0000;
const DATA_AT = 4096;

/** A stage that knows the word: fields are constants, the state is in memory. */
class ConstantStage implements Stage {
  readonly #fb: FunctionBuilder;
  readonly #fresh = new Map<string, Freshness>();

  constructor(fb: FunctionBuilder) {
    this.#fb = fb;
  }

  #read(register: string): Freshness {
    const freshness = this.#fresh.get(register) ?? { isStale: false };
    this.#fresh.set(register, freshness);
    return freshness;
  }

  #written(register: string): void {
    this.#read(register).isStale = true;
    this.#fresh.delete(register);
  }

  #number(field: unknown): number {
    return (field as { value: number }).value;
  }

  imm(field: unknown): I32 {
    return i32(this.#number(field));
  }
  imm64(field: unknown): I64 {
    return i64(this.#number(field));
  }
  simm64(field: unknown, shift = 0): I64 {
    const { value, width } = field as { value: number; width: number };
    return i64(BigInt.asIntN(width, BigInt(value)) << BigInt(shift));
  }
  lookup(_name: string, fields: readonly unknown[], table: (index: number) => bigint): I64 {
    const parts = fields as { value: number; width: number }[];
    return i64(table(parts.reduce((index, { value, width }) => index * 2 ** width + value, 0)));
  }

  x(register: unknown): I64 {
    const n = this.#number(register);
    return n === 31 ? i64(0) : load('i64', i32(V_BYTES + 8 * n), 0, this.#read(`x${n}`));
  }
  w(register: unknown): I32 {
    return wrap(this.x(register));
  }
  r(sf: number, register: unknown): Int {
    return sf === 1 ? this.x(register) : this.w(register);
  }
  setX(register: unknown, value: I64): void {
    const n = this.#number(register);
    if (n === 31) this.#fb.drop(value);
    else this.#fb.store('i64', i32(V_BYTES + 8 * n), 0, value);
    this.#written(`x${n}`);
  }
  setW(register: unknown, value: I32): void {
    this.setX(register, extU(value));
  }
  setR(register: unknown, value: Int): void {
    if (value.type === 'i64') this.setX(register, value);
    else this.setW(register, value);
  }

  #vector<K extends 'v128' | 'i64' | 'i32'>(
    kind: K,
    register: unknown,
    offset = 0,
  ): ReturnType<typeof load<K>> {
    const n = (this.#number(register) + offset) % 32;
    return load(kind, i32(16 * n), 0, this.#read(`v${n}`));
  }
  v(register: unknown): V128 {
    return this.#vector('v128', register);
  }
  d(register: unknown): I64 {
    return this.#vector('i64', register);
  }
  s(register: unknown): I32 {
    return this.#vector('i32', register);
  }
  setV(register: unknown, value: V128): void {
    this.setVAt(register, 0, value);
  }
  setD(register: unknown, value: I64): void {
    const n = this.#number(register);
    this.#fb.store('i64', i32(16 * n), 0, value);
    this.#fb.store('i64', i32(16 * n), 8, i64(0));
    this.#written(`v${n}`);
  }
  setS(register: unknown, value: I32): void {
    this.setD(register, extU(value));
  }
  vAt(register: unknown, offset: number): V128 {
    return this.#vector('v128', register, offset);
  }
  setVAt(register: unknown, offset: number, value: V128): void {
    const n = (this.#number(register) + offset) % 32;
    this.#fb.store('v128', i32(16 * n), 0, value);
    this.#written(`v${n}`);
  }
  lane(register: unknown, size: SizeLog2, index: I32, offset = 0): I64 {
    const n = (this.#number(register) + offset) % 32;
    const kind = (['i64_8u', 'i64_16u', 'i64_32u', 'i64'] as const)[size];
    return load(kind, add(i32(16 * n), shl(index, i32(size))), 0, this.#read(`v${n}`));
  }
  setLane(register: unknown, size: SizeLog2, index: I32, value: I64, offset = 0): void {
    const n = (this.#number(register) + offset) % 32;
    const kind = (['i64_8', 'i64_16', 'i64_32', 'i64'] as const)[size];
    this.#fb.store(kind, add(i32(16 * n), shl(index, i32(size))), 0, value);
    this.#written(`v${n}`);
  }
  orFpsr(bits: I32): void {
    this.#fb.store('i32', i32(FPSR_AT), 0, or(load('i32', i32(FPSR_AT)), bits));
  }

  let<T extends ValType>(value: Expr<T>): Expr<T> {
    return this.#fb.let(value);
  }
  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.#fb.if(condition, then, otherwise);
  }
  ifValue<T extends ValType>(
    condition: I32,
    then: () => Expr<T>,
    otherwise: () => Expr<T>,
    type: T,
  ): Expr<T> {
    return this.#fb.ifValue(condition, then, otherwise, type);
  }

  setNZCV(nzcv: I32): void {
    this.#fb.store('i32', i32(NZCV_AT), 0, shl(nzcv, i32(28)));
  }
  nzcv(): I32 {
    return shrU(load('i32', i32(NZCV_AT)), i32(28));
  }
  condition(condition: Condition): I32 {
    const flag = (bit: number): I32 => and(shrU(this.nzcv(), i32(bit)), i32(1));
    const [n, z, c, v] = [flag(3), flag(2), flag(1), flag(0)];
    const base =
      [z, c, n, v, and(c, eqz(z)), eq(n, v), and(eq(n, v), eqz(z)), i32(1)][condition >> 1] ?? i32(1);
    return (condition & 1) === 1 && condition !== 15 ? xor(base, i32(1)) : base;
  }

  #data(address: I64): I32 {
    return wrap(add(sub(address, i64(DATA_ADDRESS)), i64(DATA_AT)));
  }
  load(address: I64, size: SizeLog2, signed = false): I64 {
    assert.equal(signed, false);
    return load((['i64_8u', 'i64_16u', 'i64_32u', 'i64'] as const)[size], this.#data(address));
  }
  store(address: I64, size: SizeLog2, value: I64): void {
    this.#fb.store((['i64_8', 'i64_16', 'i64_32', 'i64'] as const)[size], this.#data(address), 0, value);
  }
  loadPair(address: I64, size: SizeLog2): [I64, I64] {
    return [this.load(address, size), this.load(add(address, i64(1 << size)), size)];
  }
  storePair(address: I64, size: SizeLog2, first: I64, second: I64): void {
    this.store(address, size, first);
    this.store(add(address, i64(1 << size)), size, second);
  }
  loadV(address: I64): V128 {
    return load('v128', this.#data(address));
  }
  storeV(address: I64, value: V128): void {
    this.#fb.store('v128', this.#data(address), 0, value);
  }
  loadPairV(address: I64): [V128, V128] {
    return [this.loadV(address), this.loadV(add(address, i64(16)))];
  }
  storePairV(address: I64, first: V128, second: V128): void {
    this.storeV(address, first);
    this.storeV(add(address, i64(16)), second);
  }
  checkStackAlignment(): void {
    // Tests do not use SP.
  }

  #unused(): never {
    throw new Error('SIMD and FP instructions do not do this');
  }
  setLinkRegister = (): never => this.#unused();
  setFlagsAdd = (): never => this.#unused();
  setFlagsSub = (): never => this.#unused();
  setFlagsLogical = (): never => this.#unused();
  carry = (): never => this.#unused();
  pc = (): never => this.#unused();
  branch = (): never => this.#unused();
  branchIf = (): never => this.#unused();
  branchTo = (): never => this.#unused();
  markExclusive = (): never => this.#unused();
  storeExclusive = (): never => this.#unused();
  clearExclusive = (): never => this.#unused();
  undefined = (): never => this.#unused();
  svc = (): never => this.#unused();
  hvc = (): never => this.#unused();
  smc = (): never => this.#unused();
  brk = (): never => this.#unused();
  hlt = (): never => this.#unused();
  eret = (): never => this.#unused();
  hint = (): never => this.#unused();
  isb = (): never => this.#unused();
  barrier = (): never => this.#unused();
  readSystemRegister = (): never => this.#unused();
  writeSystemRegister = (): never => this.#unused();
  systemOperation = (): never => this.#unused();
  writePstate = (): never => this.#unused();
}

// ---- cases

interface Case {
  readonly row: Row;
  readonly word: number;
  readonly state: Uint8Array;
}

function registerFields(row: Row, word: number): Map<string, number> {
  return new Map(
    row.fields
      .filter(({ kind }) => kind === 'register' || kind === 'register-or-sp')
      .map((field) => [field.name, fieldValue(word, field)]),
  );
}

/** Tests have X0 … X15, the zero register, and no SP; a base register differs from the index. */
function isTestable(row: Row, word: number): boolean {
  const registers = registerFields(row, word);
  const isKnown = row.fields.every(
    (field) =>
      (field.kind !== 'register' && field.kind !== 'register-or-sp') ||
      fieldValue(word, field) < X_COUNT ||
      (field.kind === 'register' && fieldValue(word, field) === 31),
  );
  return isKnown && (!isMemory(row) || registers.get('Rm') !== registers.get('Rn'));
}

/** Bits 27 and 25 of the loads and stores are 1 and 0. */
function isMemory(row: Row): boolean {
  return ((row.match >>> 25) & 5) === 4;
}

const EDGE_LANES = [
  0n, 1n, 2n, 7n, 8n, 0x7fn, 0x80n, 0xf8n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn,
  // single precision: ±1.5, 2^31, infinities, quiet and signalling NaNs
  0x3fc0_0000n, 0xbfc0_0000n, 0x4f00_0000n, 0x7f80_0000n, 0xff80_0000n, 0x7fc1_2345n, 0xff81_2345n, 0x7f80_0001n,
  // and double precision with 2.5, −0.5, 2^63, 2^53 + 2
  0x4004_0000_0000_0000n, 0xbfe0_0000_0000_0000n, 0x43e0_0000_0000_0000n, 0x4340_0000_0000_0001n,
  0x7ff0_0000_0000_0000n, 0xfff0_0000_0000_0000n, 0x7ff8_1234_5678_9abcn, 0xfff4_1234_5678_9abcn,
  0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0x0020_0000_0000_0001n,
]; // prettier-ignore

function randomState(row: Row, word: number, random: () => number): Uint8Array {
  const state = new DataView(new ArrayBuffer(STATE_BYTES));
  const random64 = (): bigint => (BigInt(random()) << 32n) | BigInt(random());
  const lane = (): bigint => {
    const edge = EDGE_LANES[random() % EDGE_LANES.length] ?? 0n;
    switch (random() & 7) {
      case 0:
        return random64();
      case 1:
        // numbers between about ±2^17 in single and double precision
        return (
          ((random64() & 0x80ff_ffff_80ff_ffffn) | 0x4000_0000_4000_0000n) -
          (random64() & 0x0100_0000_0100_0000n)
        );
      case 2:
        return (edge << 32n) | BigInt(random());
      case 3:
        return (edge & 0xffffn) * 0x0001_0001_0001_0001n;
      case 4:
        return (edge & 0xffn) * 0x0101_0101_0101_0101n;
      case 5:
        return (edge & 0xffff_ffffn) * 0x1_0000_0001n;
      case 6:
        return BigInt.asUintN(64, BigInt((random() % 200) - 100));
      default:
        return edge;
    }
  };
  for (let at = 0; at < NZCV_AT; at += 8) state.setBigUint64(at, lane(), true);
  // Now and then both operands are one.
  if ((random() & 7) === 0)
    for (let at = 16; at < V_BYTES; at += 8) state.setBigUint64(at, state.getBigUint64(at & 8, true), true);
  state.setUint32(NZCV_AT, (random() & 0xf000_0000) >>> 0, true);
  if (isMemory(row)) {
    const registers = registerFields(row, word);
    const put = (name: string, value: bigint): void => {
      const n = registers.get(name);
      if (n !== undefined && n < X_COUNT)
        state.setBigUint64(V_BYTES + 8 * n, BigInt.asUintN(64, value), true);
    };
    put('Rn', DATA_ADDRESS + BigInt(DATA_BYTES / 2 + (random() % 64)));
    // An offset that UXTW reads as it is.
    const isUnsigned = row.fields.some((field) => field.name === 'option' && fieldValue(word, field) === 2);
    put('Rm', BigInt((random() % 1000) - (isUnsigned ? 0 : 500)));
  }
  return new Uint8Array(state.buffer);
}

function makeCases(): Case[] {
  const random = randomSource(SEED);
  const cases: Case[] = [];
  for (const row of A64.rows) {
    if (row.status !== 'done' || !row.simd || row.name.includes('literal')) continue;
    const seen = new Set<number>();
    for (let attempt = 0; attempt < 100 * WORDS_PER_ROW && seen.size < WORDS_PER_ROW; attempt++) {
      const word = randomWord(row, random);
      if (seen.has(word) || A64.decode(word) !== row || !isTestable(row, word)) continue;
      seen.add(word);
      for (let i = 0; i < 4; i++) cases.push({ row, word, state: randomState(row, word, random) });
    }
    assert.notEqual(seen.size, 0, `${row.name}: no word`);
  }
  return cases;
}

// ---- the two sides

function initialData(): Uint8Array {
  const random = randomSource(SEED + 1);
  return Uint8Array.from({ length: DATA_BYTES }, () => random() & 0xff);
}

interface Outcome {
  readonly states: Uint8Array[];
  readonly data: Uint8Array;
}

function runOurs(cases: readonly Case[]): Outcome {
  const memory = new WebAssembly.Memory({ initial: 8, maximum: 8 });
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(initialData(), DATA_AT);
  const states: Uint8Array[] = [];
  // In portions: a function for each word, not for each case.
  const words = new Map(cases.map(({ row, word }) => [word, row]));
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', 8);
  for (const [word, row] of words) {
    const f = module.function(row.name, [], 'none', (fb) => {
      const fields: Record<string, unknown> = {};
      const staticNames = new Set(row.staticFields.map(({ name }) => name));
      for (const field of row.fields) {
        const value = fieldValue(word, field);
        fields[field.name] = staticNames.has(field.name) ? value : { value, width: field.width };
      }
      const splits = row.splitValues(word);
      const split = Object.fromEntries(row.splits.map(({ name }, i) => [name, splits[i] ?? 0]));
      row.exec(new ConstantStage(fb), fields, split);
    });
    module.export(`w${word}`, f);
  }
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env: { memory } });
  for (const { word, state } of cases) {
    bytes.set(state, 0);
    (instance.exports[`w${word}`] as () => void)();
    states.push(bytes.slice(0, STATE_BYTES));
  }
  return { states, data: bytes.slice(DATA_AT, DATA_AT + DATA_BYTES) };
}

/** X28 and X29 walk over the states before and after; the guest writes the latter and the data to its standard output. */
function guestSource(cases: readonly Case[], input: string, data: string): string {
  const vectors = (op: string, base: string): string =>
    Array.from({ length: 16 }, (_, i) => `${op} q${2 * i}, q${2 * i + 1}, [${base}, #${32 * i}]`).join('\n');
  const general = (op: string, base: string): string =>
    Array.from(
      { length: X_COUNT / 2 },
      (_, i) => `${op} x${2 * i}, x${2 * i + 1}, [${base}, #${V_BYTES - 512 + 16 * i}]`,
    ).join('\n');
  return `
    .global _start
    .section .mem, "aw"
    .incbin "${data}"
    .data
    .balign 16
input: .incbin "${input}"
    .bss
    .balign 16
output: .skip ${STATE_BYTES * cases.length}
    .text
enter:
    ldr w16, [x28, #${NZCV_AT}]
    msr nzcv, x16
    msr fpsr, xzr
    ${vectors('ldp', 'x28')}
    add x16, x28, #${V_BYTES}
    ${general('ldp', 'x16')}
    add x28, x28, #${STATE_BYTES}
    ret
leave:
    ${vectors('stp', 'x29')}
    add x16, x29, #${V_BYTES}
    ${general('stp', 'x16')}
    mrs x16, nzcv
    str w16, [x29, #${NZCV_AT}]
    mrs x16, fpsr
    str w16, [x29, #${FPSR_AT}]
    add x29, x29, #${STATE_BYTES}
    ret
write: // X19 bytes at X20
    mov x0, #1
    mov x1, x20
    mov x2, x19
    mov x8, #64
    svc #0
    add x20, x20, x0
    subs x19, x19, x0
    b.ne write
    ret
_start:
    ldr x28, =input
    ldr x29, =output
    ${cases.map(({ word }) => `bl enter\n.inst ${word}\nbl leave`).join('\n')}
    ldr x20, =output
    ldr x19, =${STATE_BYTES * cases.length}
    bl write
    ldr x20, =${DATA_ADDRESS}
    ldr x19, =${DATA_BYTES}
    bl write
    mov x0, #0
    mov x8, #93
    svc #0
`;
}

function runTheirs(cases: readonly Case[]): Outcome {
  const folder = mkdtempSync(join(tmpdir(), 'v8a-qemu-'));
  try {
    const file = (name: string): string => join(folder, name);
    writeFileSync(file('input'), Buffer.concat(cases.map(({ state }) => state)));
    writeFileSync(file('data'), initialData());
    writeFileSync(file('guest.s'), guestSource(cases, file('input'), file('data')));
    const section = `-Wl,--section-start=.mem=0x${DATA_ADDRESS.toString(16)}`;
    const built = spawnSync(CC, ['-nostdlib', '-static', section, '-o', file('guest'), file('guest.s')]);
    assert.equal(built.status, 0, built.stderr.toString());
    const output = spawnSync(QEMU, [file('guest')], { maxBuffer: 2 ** 30 });
    assert.equal(output.status, 0, `${output.signal}: ${output.stderr.toString()}`);
    const states = cases.map((_, i) => output.stdout.subarray(i * STATE_BYTES, (i + 1) * STATE_BYTES));
    return { states, data: output.stdout.subarray(cases.length * STATE_BYTES) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Flags of FPSR that the row keeps as the architecture has them; see fp-values.ts. */
function fpsrMask(row: Row): number {
  const hasInexact = /^(FCVT.[SU]|[SU]CVTF|FRINTX)/.test(row.name);
  return FPSR.IOC | FPSR.DZC | FPSR.QC | (hasInexact ? FPSR.IXC : 0);
}

function differences({ row, word, state }: Case, ours: Uint8Array, theirs: Uint8Array): string[] {
  const view = (bytes: Uint8Array): DataView =>
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [before, a, b] = [view(state), view(ours), view(theirs)];
  const found: string[] = [];
  const report = (what: string, old: bigint, left: bigint, right: bigint): void => {
    if (left !== right)
      found.push(
        `${what}: before ${old.toString(16)}, ours ${left.toString(16)}, QEMU ${right.toString(16)}`,
      );
  };
  const quad = (bytes: DataView, at: number): bigint =>
    (bytes.getBigUint64(at + 8, true) << 64n) | bytes.getBigUint64(at, true);
  for (let n = 0; n < 32; n++) report(`V${n}`, quad(before, 16 * n), quad(a, 16 * n), quad(b, 16 * n));
  for (let n = 0; n < X_COUNT; n++) {
    const at = V_BYTES + 8 * n;
    report(`X${n}`, before.getBigUint64(at, true), a.getBigUint64(at, true), b.getBigUint64(at, true));
  }
  const word32 = (bytes: DataView, at: number): bigint => BigInt(bytes.getUint32(at, true));
  report('NZCV', word32(before, NZCV_AT), word32(a, NZCV_AT), word32(b, NZCV_AT));
  const mask = BigInt(fpsrMask(row));
  report('FPSR', 0n, word32(a, FPSR_AT) & mask, word32(b, FPSR_AT) & mask);
  if (found.length === 0) return [];
  const operands = row.fields
    .filter(({ kind }) => kind === 'vector')
    .map((field) => `${field.name} ${quad(before, 16 * (fieldValue(word, field) % 32)).toString(16)}`);
  return [`${row.text(word, 0n)} (${word.toString(16)}) [${operands.join(', ')}]: ${found.join('; ')}`];
}

/** Words that LLVM takes for instructions of Armv8.0 with the Cryptographic Extension. */
function llvmAccepts(words: readonly number[]): boolean[] {
  const text = words
    .map((word) => [0, 8, 16, 24].map((at) => `0x${((word >>> at) & 0xff).toString(16)}`).join(' '))
    .join('\n');
  const { stderr } = spawnSync(
    LLVM_MC,
    ['-disassemble', '-triple=aarch64', '-mattr=+neon,+fp-armv8,+crypto'],
    {
      input: text,
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
    },
  );
  const isRefused = new Set(
    [...stderr.matchAll(/:(\d+):\d+: warning: invalid/g)].map(([, line]) => Number(line)),
  );
  return words.map((_, i) => !isRefused.has(i + 1));
}

/** The groups of C4.1 that use the SIMD and FP registers. */
function isSimdGroup(word: number): boolean {
  const op0 = (word >>> 25) & 15;
  return (op0 & 7) === 7 || ((op0 & 5) === 4 && (word & 0x0400_0000) !== 0);
}

test(
  'a word is a SIMD or FP instruction where LLVM says so',
  { skip: hasLlvm ? false : `no ${LLVM_MC}` },
  () => {
    const random = randomSource(SEED);
    const words: number[] = [];
    while (words.length < 40_000) {
      const word = random();
      if (isSimdGroup(word)) words.push(word);
    }
    // Instructions, and words that differ from one in a bit: close to the borders of the encodings.
    for (const row of A64.rows)
      for (let i = 0; i < 40; i++) {
        const word = randomWord(row, random);
        const changed = (word ^ (1 << (random() & 31))) >>> 0;
        if (isSimdGroup(word)) words.push(word);
        if (isSimdGroup(changed)) words.push(changed);
      }
    const theirs = llvmAccepts(words);
    const wrong = words.flatMap((word, i) => {
      const row = A64.decode(word);
      if (row?.name.includes('FEAT_MOPS') === true) return [];
      return (row !== undefined) === theirs[i]
        ? []
        : [`${word.toString(16)}: ${row?.name}, LLVM ${theirs[i]}`];
    });
    assert.deepEqual(wrong.slice(0, 20), []);
  },
);

test('SIMD and FP instructions do what QEMU does', { skip: hasTools ? false : `no ${CC} or ${QEMU}` }, () => {
  const cases = makeCases();
  const ours = runOurs(cases);
  const theirs = runTheirs(cases);
  const wrong = cases.flatMap((c, i) =>
    differences(c, ours.states[i] ?? c.state, theirs.states[i] ?? c.state),
  );
  assert.deepEqual(wrong.slice(0, 20), [], `${wrong.length} of ${cases.length}`);
  assert.ok(Buffer.compare(ours.data, theirs.data) === 0, 'memory after all stores');
});
