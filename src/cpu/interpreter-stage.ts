/**
 * `Stage` for the interpreter: one handler per row, combination of static fields and splits, and variant. Dynamic fields
 * are extracted from the instruction word at run time.
 *
 * A hot handler is a case of the interpreter's one function and leaves by branching to its labels; a cold handler is a
 * function of its own that returns what the loop shall do next.
 */
import { invariant } from '../base/index.js';
import type { Helper } from '../isa/helper.js';
import type { DynamicField, FieldLayout, ImmField, LabelField, RegField, Row, VecField } from '../isa/row.js';
import type { AccessOptions, AtomicOperation, Hint, SizeLog2, Stage } from '../isa/stage.js';
import type {
  El2Trap,
  SystemOperation,
  SystemRegister,
  SystemRegisterKind,
} from '../isa/system-registers.js';
import { SYSTEM_REGISTERS, systemRegister } from '../isa/system-registers.js';
import type { Expr, Freshness, I32, I64, Int, LoadKind, StoreKind, V128, ValType } from '../wasm/expr.js';
import {
  add, and, eq, eqz, extS, extU, gtS, gtU, i32, i64, load, leS, ltS, ltU, ne, not, or, rotr, select, shl, shrS, shrU, signExtend, wrap, xor,
} from '../wasm/expr.js'; // prettier-ignore
import type { BranchHint, FunctionBuilder, Label, Local } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call } from '../wasm/function-ref.js';
import { extractLane } from '../wasm/simd.js';
import type { DebugFunctions } from './debug.js';
import { advanceStep } from './debug.js';
import type { ExceptionFunctions } from './exceptions.js';
import { EC, HCR, SPSR_DIT, SPSR_SSBS, hcrBit, sctlr, syndrome, virtualPending } from './exceptions.js';
import { FLAG_KIND, conditionOfPacked, conditionOfSub, flagOperand } from './flags.js';
import { CPU_COUNT, EXIT, LOOKUP_BASE, LOOKUP_SIZE, MODE, PAGE_SIZE, STATE, TLB } from './layout.js';
import type { MmuFunctions } from './mmu.js';
import { ACCESS, REQUEST, ZVA_BYTES, zeroBlockAt } from './mmu.js';
import type { CpuModel } from './models.js';
import { exists, hasFeature, writableBits } from './models.js';
import {
  field32,
  field64,
  orSysreg,
  setField32,
  setField64,
  setSysreg,
  sysreg,
  sysregAddress,
  tlbEntryOffset,
} from './state.js';

/**
 * What a cold handler returns: to go on behind the instruction, at PC as after an exception, not at all. Translated code
 * goes on at PC, after a branch or without one: there the budget isn't looked at, as between other instructions.
 */
export const NEXT = { instruction: 0, refetch: 1, exit: 2, jump: 3, fallThrough: 4 } as const;

/** What handlers are generated for: functions of the core module and of the host to call, and the CPU's model. */
export interface CoreFunctions {
  readonly exceptions: ExceptionFunctions;
  readonly mmu: MmuFunctions;
  readonly debug: DebugFunctions;
  /** Forgets which words breakpoints are on. */
  readonly clearBreakpoints: FunctionRef<'none'>;
  /** `(index in SYSTEM_REGISTERS)`: value in EXCHANGE; non-zero where the machine has no such register. */
  readonly externalRead: FunctionRef<'i32'>;
  readonly externalWrite: FunctionRef<'i32'>;
  /** `(0 HVC | 1 SMC, immediate)`: a firmware call; returns a value of NEXT, or −1 where it is undefined. */
  readonly firmwareCall: FunctionRef<'i32'>;
  readonly model: CpuModel;
  /** The function of the core module for a helper. */
  helper<R extends ValType>(helper: Helper<R>): FunctionRef<R>;
}

/** Tables of `Stage.lookup`; they become data of the core module. */
export class LookupTables {
  readonly tables: { readonly name: string; readonly at: number; readonly values: BigUint64Array }[] = [];
  #next = LOOKUP_BASE;

  /** Address of the table. */
  add(name: string, bits: number, table: (index: number) => bigint): number {
    const known = this.tables.find((entry) => entry.name === name);
    if (known) return known.at;
    const values = BigUint64Array.from({ length: 1 << bits }, (_, index) => BigInt.asUintN(64, table(index)));
    const at = this.#next;
    this.#next += values.byteLength;
    invariant(this.#next <= LOOKUP_BASE + LOOKUP_SIZE, 'lookup tables outgrew their area');
    this.tables.push({ name, at, values });
    return at;
  }
}

/** Locals and labels of the interpreter's one function. */
export interface HotFrame {
  readonly p: Local<'i32'>;
  readonly n: Local<'i32'>;
  readonly tlb: Local<'i32'>;
  readonly word: Local<'i32'>;
  readonly flagA: Local<'i64'>;
  readonly flagB: Local<'i64'>;
  readonly target: Local<'i64'>;
  /** Next instruction at `p`. */
  readonly dispatch: Label;
  /** The same, behind a branch back: it may be a loop. */
  readonly loopBack: Label;
  /** Branch to the virtual address in `target`. */
  readonly jump: Label;
  /** PC holds the next address; flags and budget are in memory. */
  readonly refetch: Label;
  /** The budget is used up, `p` is the next instruction. */
  readonly outOfBudget: Label;
}

/** Which of several handlers for the same static fields this is. Only hot handlers have variants. */
export interface Variant {
  /** Names of register fields that are 31. */
  readonly is31: ReadonlySet<string>;
  /** The branch target lies outside the page. */
  readonly isFar: boolean;
}

/** Of a slow path. */
export interface SlowOptions extends AccessOptions {
  /** Another access of the same instruction's comes after it. */
  readonly isFollowed?: true;
}

/** Where an access is, if the TLB has an entry that allows it. */
export interface FastPath {
  /** Of an address in its page, or beyond a page where there is no such entry. */
  readonly offset: I64;
  /** Host address of the same. */
  readonly host: () => I32;
  /** How far behind it the access begins. */
  readonly displacement: number;
}

const LOADS_U: readonly LoadKind[] = ['i64_8u', 'i64_16u', 'i64_32u', 'i64'];
const LOADS_S: readonly LoadKind[] = ['i64_8s', 'i64_16s', 'i64_32s', 'i64'];
const STORES: readonly StoreKind[] = ['i64_8', 'i64_16', 'i64_32', 'i64'];

/** What is in memory: one element, or two halves. */
type Content<Size extends SizeLog2 | 4> = Size extends 4 ? readonly [I64, I64] : readonly [I64];

/** What an access that reads and writes does with what it has read. */
interface Modification<Size extends SizeLog2 | 4> {
  /** Always where absent. */
  readonly isWanted?: (old: Content<Size>) => I32;
  readonly replacement: (old: Content<Size>) => Content<Size>;
}

function zeroExtend(value: I64, size: SizeLog2): I64 {
  return size === 3 ? value : and(value, i64(2n ** BigInt(8 << size) - 1n));
}

/** `element` is zero-extended; of the result the low bits count. */
function atomicResult(operation: AtomicOperation, size: SizeLog2, element: I64, operand: I64): I64 {
  const asSigned = (value: I64): I64 => (size === 3 ? value : signExtend(value, (8 << size) as 8 | 16 | 32));
  switch (operation) {
    case 'add':
      return add(element, operand);
    case 'clear':
      return and(element, not(operand));
    case 'xor':
      return xor(element, operand);
    case 'or':
      return or(element, operand);
    case 'signed maximum':
      return select(gtS(asSigned(element), asSigned(operand)), element, operand);
    case 'signed minimum':
      return select(ltS(asSigned(element), asSigned(operand)), element, operand);
    case 'unsigned maximum':
      return select(gtU(element, zeroExtend(operand, size)), element, operand);
    case 'unsigned minimum':
      return select(ltU(element, zeroExtend(operand, size)), element, operand);
    case 'swap':
      return operand;
  }
}

/** The identification space: op0 3, op1 0 or 1, CRn 0. DDI0487 D19.1.1. */
function isIdentification(encoding: number): boolean {
  return encoding >> 14 === 3 && ((encoding >> 11) & 7) < 2 && ((encoding >> 7) & 15) === 0;
}

/** What operations by address ask for, by what they are. */
const CHECK = { read: ACCESS.read, write: ACCESS.checkWrite } as const;
type Storage = Extract<SystemRegisterKind, { readonly kind: 'storage' }>;

/** Claim tags that there are, a bit for each. DDI0487 D19.3 (DBGCLAIMSET_EL1). */
const CLAIM_TAGS = 0xff;

type Translate = Extract<SystemOperation['effect'], { readonly translate: 'read' | 'write' }>;

export class InterpreterStage implements Stage {
  protected readonly fb: FunctionBuilder;
  protected readonly core: CoreFunctions;
  readonly #lookups: LookupTables;
  readonly #row: Row;
  readonly #variant: Variant;
  readonly #hot: HotFrame | undefined;
  readonly #p: Local<'i32'>;
  readonly #word: Local<'i32'>;
  #freshness: Freshness = { isStale: false };
  #flagsFreshness: Freshness = { isStale: false };
  /** Register fields that were written, with the zero register view. */
  readonly written = new Set<string>();
  /** Fields of general registers that are written in any case. */
  readonly overwrites = new Set<string>();
  /** Register fields that were used with the stack pointer view. */
  readonly stackPointerFields = new Set<string>();
  usesLabel = false;
  #stores = 0;
  /** Its one store is the last thing that the instruction does. */
  endsWithStore = false;
  /** How many conditions what is being generated depends on. */
  #conditions = 0;
  /** The handler does what a hot one cannot: it must stay behind a call. */
  mustBeCold = false;

  constructor(
    fb: FunctionBuilder,
    core: CoreFunctions,
    lookups: LookupTables,
    row: Row,
    variant: Variant,
    hot: HotFrame | undefined,
  ) {
    this.fb = fb;
    this.core = core;
    this.#lookups = lookups;
    this.#row = row;
    this.#variant = variant;
    this.#hot = hot;
    this.#p = hot?.p ?? fb.param(0, 'i32');
    this.#word = hot?.word ?? fb.local('i32');
  }

  /** Generates the whole handler, for these values of static fields and splits. */
  generate(statics: Readonly<Record<string, number>>, splits: Readonly<Record<string, number>>): void {
    this.begin();
    if (this.#row.simd) this.checkSimdAccess();
    const fields: Record<string, number | FieldLayout> = {};
    for (const field of this.#row.fields)
      fields[field.name] = field.isStatic ? (statics[field.name] ?? 0) : field;
    this.#row.exec(this, fields, splits);
    this.end();
  }

  /** What comes before the instruction. */
  protected begin(): void {
    if (this.#row.fields.some((field) => !field.isStatic))
      this.fb.set(this.#word, load('i32', this.fb.get(this.#p)));
  }

  protected checkSimdAccess(): void {
    this.if(
      field32('SIMD_TRAP'),
      () => {
        this.spill();
        this.fb.call(this.core.exceptions.trapSimdAccess, this.pc());
        this.refetch();
      },
      undefined,
      'not taken',
    );
  }

  #storing(): void {
    this.#stores++;
    this.endsWithStore = this.#stores === 1 && this.#conditions === 0;
  }

  // ---- leaving the handler

  /** What comes after it, unless it went elsewhere. */
  protected end(): void {
    if (this.#hot) {
      this.fb.set(this.#hot.p, add(this.fb.get(this.#hot.p), i32(4)));
      this.fb.br(this.#hot.dispatch);
    } else {
      this.fb.return(i32(NEXT.instruction));
    }
  }

  /** PC holds where to go on. In hot handlers `spill` came first. */
  protected refetch(): void {
    if (this.#hot) this.fb.br(this.#hot.refetch);
    else this.fb.return(i32(NEXT.refetch));
  }

  #nextPc(): I64 {
    return add(this.pc(), i64(4));
  }

  /** What follows calls out, or goes on elsewhere, with the CPU's state in memory and nothing in locals. */
  #requireCold(): void {
    invariant(!this.#hot, `${this.#row.name} is cold`);
    this.mustBeCold = true;
  }

  #refetchAtNext(): void {
    this.#requireCold();
    setField64(this.fb, 'PC', this.#nextPc());
    this.fb.return(i32(NEXT.refetch));
  }

  /** Puts what the hot function keeps in locals where slow paths and exceptions find it. */
  protected spill(): void {
    if (!this.#hot) return;
    setField32(this.fb, 'BUDGET', this.fb.get(this.#hot.n));
    setField64(this.fb, 'FLAG_A', this.fb.get(this.#hot.flagA));
    setField64(this.fb, 'FLAG_B', this.fb.get(this.#hot.flagB));
  }

  /** After a slow path: leaves if it faulted. */
  protected afterSlowPath(): void {
    if (this.#hot) {
      this.fb.set(this.#hot.n, field32('BUDGET'));
      this.fb.brIf(this.#hot.refetch, field32('FAULT'), 'not taken');
    } else {
      this.fb.if(field32('FAULT'), () => {
        this.fb.return(i32(NEXT.refetch));
      });
    }
  }

  #raise(ec: number, iss: I32 = i32(0), returnAddress: I64 = this.pc()): void {
    this.spill();
    this.fb.call(this.core.exceptions.raise, syndrome(ec, iss), i64(0), i32(0), returnAddress);
    this.refetch();
  }

  get #hasEl2(): boolean {
    return hasFeature(this.core.model, 'EL2');
  }

  /** A trap to EL2, of a CPU that has it. */
  #trapToEl2(ec: number, iss: I32 = i32(0), returnAddress: I64 = this.pc()): void {
    const { trapToEl2 } = this.core.exceptions;
    invariant(trapToEl2 !== undefined, 'the CPU has EL2');
    this.spill();
    this.fb.call(trapToEl2, syndrome(ec, iss), returnAddress);
    this.refetch();
  }

  // ---- fields

  protected layoutOf(field: DynamicField): FieldLayout {
    return field as unknown as FieldLayout;
  }

  /** The field times 2^`shift`. */
  protected extract(layout: FieldLayout, shift = 0): I32 {
    const word = this.fb.get(this.#word);
    const mask = i32((2 ** layout.width - 1) << shift);
    const distance = layout.low - shift;
    return and(distance >= 0 ? shrU(word, i32(distance)) : shl(word, i32(-distance)), mask);
  }

  imm(field: ImmField): I32 {
    return this.extract(this.layoutOf(field));
  }

  imm64(field: ImmField): I64 {
    return extU(this.imm(field));
  }

  protected signedField(layout: FieldLayout, shift: number): I32 {
    const word = this.fb.get(this.#word);
    return shl(shrS(shl(word, i32(32 - layout.low - layout.width)), i32(32 - layout.width)), i32(shift));
  }

  simm64(field: ImmField, shift = 0): I64 {
    // Shifted as 64 bits: ADRP's distance has 33.
    return shl(extS(this.signedField(this.layoutOf(field), 0)), i64(shift));
  }

  lookup(name: string, fields: readonly ImmField[], table: (index: number) => bigint): I64 {
    const layouts = fields.map((field) => this.layoutOf(field));
    const bits = layouts.reduce((sum, layout) => sum + layout.width, 0);
    const at = this.#lookups.add(name, bits, table);
    let index: I32 = i32(0);
    let shift = bits;
    for (const layout of layouts) {
      shift -= layout.width;
      index = or(index, this.extract(layout, shift));
    }
    return load('i64', shl(index, i32(3)), at);
  }

  // ---- general registers

  /** Host address of a register's cell: index expression and constant offset. */
  #slot(register: RegField): [I32, number] {
    const layout = this.layoutOf(register);
    if (layout.kind === 'register-or-sp') {
      this.stackPointerFields.add(layout.name);
      if (this.#hot)
        return this.#variant.is31.has(layout.name) ? [i32(0), STATE.SP.at] : [this.extract(layout, 3), 0];
      const slot = this.extract(layout, 3);
      return [select(eq(slot, i32(31 * 8)), i32(STATE.SP.at), slot), 0];
    }
    return [this.extract(layout, 3), STATE.X.at];
  }

  x(register: RegField): I64 {
    return load('i64', ...this.#slot(register), this.#freshness);
  }

  w(register: RegField): I32 {
    return load('i32', ...this.#slot(register), this.#freshness);
  }

  r(sf: number, register: RegField): Int {
    return sf === 1 ? this.x(register) : this.w(register);
  }

  #registerWritten(): void {
    this.#freshness.isStale = true;
    this.#freshness = { isStale: false };
  }

  setX(register: RegField, value: I64): void {
    this.endsWithStore = false;
    const layout = this.layoutOf(register);
    if (this.#conditions === 0) this.overwrites.add(layout.name);
    if (layout.kind !== 'register-or-sp') {
      this.written.add(layout.name);
      if (this.#hot && this.#variant.is31.has(layout.name)) return;
    }
    this.fb.store('i64', ...this.#slot(register), value);
    // A cold handler has no variant for the zero register: write it like any other, then zero it.
    if (!this.#hot && layout.kind !== 'register-or-sp') setField64(this.fb, 'X', i64(0), 31);
    this.#registerWritten();
  }

  xAt(register: RegField, offset: number): I64 {
    const [slot, at] = this.#slot(register);
    return load('i64', slot, at + 8 * offset, this.#freshness);
  }

  setXAt(register: RegField, offset: number, value: I64): void {
    this.endsWithStore = false;
    const [slot, at] = this.#slot(register);
    this.fb.store('i64', slot, at + 8 * offset, value);
    setField64(this.fb, 'X', i64(0), 31);
    this.#registerWritten();
  }

  setW(register: RegField, value: I32): void {
    this.setX(register, extU(value));
  }

  setR(register: RegField, value: Int): void {
    if (value.type === 'i64') this.setX(register, value);
    else this.setW(register, value);
  }

  setLinkRegister(value: I64): void {
    setField64(this.fb, 'X', value, 30);
    this.#registerWritten();
  }

  // ---- vector registers

  #vectorSlot(register: VecField, offset = 0): I32 {
    const layout = this.layoutOf(register);
    if (offset === 0) return this.extract(layout, 4);
    return and(add(this.extract(layout, 4), i32(offset << 4)), i32(0x1f0));
  }

  v(register: VecField): V128 {
    return this.vAt(register, 0);
  }

  vAt(register: VecField, offset: number): V128 {
    return load('v128', this.#vectorSlot(register, offset), STATE.V.at, this.#freshness);
  }

  d(register: VecField): I64 {
    return load('i64', this.#vectorSlot(register), STATE.V.at, this.#freshness);
  }

  s(register: VecField): I32 {
    return load('i32', this.#vectorSlot(register), STATE.V.at, this.#freshness);
  }

  setV(register: VecField, value: V128): void {
    this.setVAt(register, 0, value);
  }

  setVAt(register: VecField, offset: number, value: V128): void {
    this.endsWithStore = false;
    this.fb.store('v128', this.#vectorSlot(register, offset), STATE.V.at, value);
    this.#registerWritten();
  }

  setD(register: VecField, value: I64): void {
    this.endsWithStore = false;
    this.fb.store('i64', this.#vectorSlot(register), STATE.V.at, value);
    this.fb.store('i64', this.#vectorSlot(register), STATE.V.at + 8, i64(0));
    this.#registerWritten();
  }

  setS(register: VecField, value: I32): void {
    this.setD(register, extU(value));
  }

  /** Address of an element of a vector register, to be used with offset STATE.V.at. */
  #laneSlot(register: VecField, size: SizeLog2, index: I32, offset: number): I32 {
    return add(this.#vectorSlot(register, offset), shl(index, i32(size)));
  }

  lane(register: VecField, size: SizeLog2, index: I32, offset = 0): I64 {
    const slot = this.#laneSlot(register, size, index, offset);
    return load(LOADS_U[size] ?? 'i64', slot, STATE.V.at, this.#freshness) as I64;
  }

  setLane(register: VecField, size: SizeLog2, index: I32, value: I64, offset = 0): void {
    this.endsWithStore = false;
    this.fb.store(STORES[size] ?? 'i64', this.#laneSlot(register, size, index, offset), STATE.V.at, value);
    this.#registerWritten();
  }

  fpcr(): I32 {
    return wrap(sysreg('FPCR'));
  }

  fpsr(): I32 {
    return wrap(sysreg('FPSR'));
  }

  orFpsr(bits: I32): void {
    orSysreg(this.fb, 'FPSR', bits);
  }

  // ---- values and control

  let<T extends ValType>(value: Expr<T>): Expr<T> {
    return this.fb.let(value);
  }

  call<T extends ValType>(helper: Helper<T>, ...args: Expr[]): Expr<T> {
    return this.let(call(this.core.helper(helper), ...args));
  }

  if(condition: I32, then: () => void, otherwise?: () => void, hint?: BranchHint): void {
    this.#conditions++;
    this.fb.if(condition, then, otherwise, hint);
    this.#conditions--;
  }

  ifValue<T extends ValType>(
    condition: I32,
    then: () => Expr<T>,
    otherwise: () => Expr<T>,
    type: T,
    hint?: BranchHint,
  ): Expr<T> {
    this.#conditions++;
    const value = this.fb.ifValue(condition, then, otherwise, type, hint);
    this.#conditions--;
    return value;
  }

  // ---- condition flags

  #flagA(): I64 {
    return this.#hot
      ? this.fb.get(this.#hot.flagA)
      : load('i64', i32(0), STATE.FLAG_A.at, this.#flagsFreshness);
  }

  #flagB(): I64 {
    return this.#hot
      ? this.fb.get(this.#hot.flagB)
      : load('i64', i32(0), STATE.FLAG_B.at, this.#flagsFreshness);
  }

  #setFlags(kind: number, a: I64, b: I64 | undefined): void {
    if (this.#hot) {
      this.fb.set(this.#hot.flagA, a);
      if (b) this.fb.set(this.#hot.flagB, b);
    } else {
      setField64(this.fb, 'FLAG_A', a);
      if (b) setField64(this.fb, 'FLAG_B', b);
    }
    setField32(this.fb, 'FLAG_KIND', i32(kind));
    this.#flagsFreshness.isStale = true;
    this.#flagsFreshness = { isStale: false };
  }

  setFlagsAdd(a: Int, b: Int): void {
    this.#setFlags(FLAG_KIND.add, flagOperand(a), flagOperand(b));
  }

  setFlagsSub(a: Int, b: Int): void {
    this.#setFlags(FLAG_KIND.sub, flagOperand(a), flagOperand(b));
  }

  setFlagsLogical(result: Int): void {
    this.#setFlags(FLAG_KIND.add, flagOperand(result), i64(0));
  }

  setNZCV(nzcv: I32): void {
    this.#setFlags(FLAG_KIND.packed, extU(nzcv), undefined);
  }

  nzcv(): I32 {
    return this.fb.let(
      call(this.core.exceptions.packFlags, field32('FLAG_KIND'), this.#flagA(), this.#flagB()),
    );
  }

  carry(): I32 {
    return this.condition(2);
  }

  condition(condition: number): I32 {
    if (condition >= 14) return i32(1);
    return this.fb.ifValue(
      eqz(field32('FLAG_KIND')),
      () => conditionOfSub(condition, this.#flagA(), this.#flagB()),
      () => conditionOfPacked(condition, this.nzcv()),
      'i32',
    );
  }

  // ---- program counter and branches

  pc(): I64 {
    return add(field64('DELTA'), extU(this.fb.get(this.#p)));
  }

  branch(target: LabelField): void {
    this.usesLabel = true;
    const layout = this.layoutOf(target);
    if (this.#hot && !this.#variant.isFar) {
      const { p, n, word, dispatch, loopBack, outOfBudget } = this.#hot;
      // The instruction's own word is used up.
      this.fb.set(word, this.signedField(layout, 2));
      this.fb.set(p, add(this.fb.get(p), this.fb.get(word)));
      this.fb.brIf(outOfBudget, this.#isOutOfBudget(n));
      this.fb.brIf(loopBack, ltS(this.fb.get(word), i32(0)));
      this.fb.br(dispatch);
      return;
    }
    this.branchTo(add(this.pc(), extS(this.signedField(layout, 2))));
  }

  #isOutOfBudget(n: Local<'i32'>): I32 {
    return leS(this.fb.get(n), i32(0));
  }

  branchIf(condition: I32, target: LabelField): void {
    this.fb.if(condition, () => {
      this.branch(target);
    });
  }

  branchTo(target: I64): void {
    if (this.#hot) {
      this.fb.set(this.#hot.target, target);
      this.fb.br(this.#hot.jump);
      return;
    }
    setField64(this.fb, 'PC', target);
    this.fb.return(i32(NEXT.refetch));
  }

  // ---- memory

  /** TLBs of the current translation regime and privilege. */
  protected tlb(): I32 {
    return this.#hot ? this.fb.get(this.#hot.tlb) : field32('TLB');
  }

  /** The fast path of an access to `va`. */
  protected fastPath(va: I64, tag: number, options: AccessOptions | undefined): FastPath {
    const base = options?.unprivileged ? field32('TLB_UNPRIVILEGED') : this.tlb();
    // What was computed last comes first.
    const entry = this.fb.let(add(tlbEntryOffset(va), base));
    const offset = this.fb.let(xor(load('i64', entry, tag), va));
    return { offset, host: () => add(load('i32', entry, TLB.host), wrap(va)), displacement: 0 };
  }

  /** Whether `bytes` are within the page. */
  #fits({ offset, displacement }: FastPath, bytes: number): I32 {
    return ltU(offset, i64(PAGE_SIZE + 1 - bytes - displacement));
  }

  /** Whether 2^`size` bytes are aligned and in the page: misaligned offsets are rotated to beyond it. */
  #fitsAligned({ offset, displacement }: FastPath, size: number): I32 {
    return ltU(rotr(add(offset, i64(displacement)), i64(size)), i64(PAGE_SIZE >> size));
  }

  #fitsAs(path: FastPath, size: SizeLog2, options: AccessOptions | undefined): I32 {
    return options?.aligned ? this.#fitsAligned(path, size) : this.#fits(path, 1 << size);
  }

  protected request(size: number, options: AccessOptions | undefined): I32 {
    const fixed =
      size |
      (options?.unprivileged ? REQUEST.unprivileged : 0) |
      (options?.aligned ? REQUEST.aligned : 0) |
      (options?.unwatched ? REQUEST.unwatched : 0);
    return or(i32(fixed), shl(options?.element ?? i32(size), i32(REQUEST.alignmentShift)));
  }

  protected slowLoad(va: I64, size: number, options: AccessOptions | undefined): I64 {
    this.spill();
    const value = this.fb.let(call(this.core.mmu.slowLoad, va, this.request(size, options), this.pc()));
    this.afterSlowPath();
    return value;
  }

  protected slowStore(va: I64, size: number, value: I64, options: SlowOptions | undefined): void {
    this.spill();
    this.fb.call(this.core.mmu.slowStore, va, this.request(size, options), value, this.pc());
    this.afterSlowPath();
  }

  load(address: I64, size: SizeLog2, signed = false, options?: AccessOptions): I64 {
    const va = this.let(address);
    const slow = (): I64 => {
      const value = this.slowLoad(va, size, options);
      return signed && size < 3 ? signExtend(value, (8 << size) as 8 | 16 | 32) : value;
    };
    const path = this.fastPath(va, TLB.read, options);
    const isFast = this.#fitsAs(path, size, options);
    const kind = (signed ? LOADS_S : LOADS_U)[size] ?? 'i64';
    return this.ifValue(
      isFast,
      () => load(kind, path.host(), path.displacement) as I64,
      slow,
      'i64',
      'taken',
    );
  }

  store(address: I64, size: SizeLog2, value: I64, options?: AccessOptions): void {
    this.#storing();
    const va = this.let(address);
    const data = this.let(value);
    const slow = (): void => {
      this.slowStore(va, size, data, options);
    };
    const path = this.fastPath(va, TLB.write, options);
    const isFast = this.#fitsAs(path, size, options);
    this.if(
      isFast,
      () => {
        this.fb.store(STORES[size] ?? 'i64', path.host(), path.displacement, data);
      },
      slow,
      'taken',
    );
  }

  loadPair(address: I64, size: SizeLog2, signed = false, options?: AccessOptions): [I64, I64] {
    const va = this.let(address);
    const bytes = 1 << size;
    const first = this.fb.temp('i64');
    const second = this.fb.temp('i64');
    if (options?.aligned) {
      // One access of 16 bytes, aligned as a whole: LDXP.
      invariant(size === 3, 'only doublewords are paired exclusively');
      this.fb.set(first, this.slowLoad(va, 4, options));
      this.fb.set(second, load('i64', i32(0), STATE.EXCHANGE.at + 8));
      return [this.fb.get(first), this.fb.get(second)];
    }
    const path = this.fastPath(va, TLB.read, options);
    const isFast = this.#fits(path, 2 * bytes);
    const kind = (signed ? LOADS_S : LOADS_U)[size] ?? 'i64';
    const extend = (value: I64): I64 => (signed && size < 3 ? signExtend(value, 32) : value);
    this.if(
      isFast,
      () => {
        const at = this.let(path.host());
        this.fb.set(first, load(kind, at, path.displacement) as I64);
        this.fb.set(second, load(kind, at, path.displacement + bytes) as I64);
      },
      () => {
        this.fb.set(first, extend(this.slowLoad(va, size, options)));
        this.fb.set(second, extend(this.slowLoad(add(va, i64(bytes)), size, options)));
      },
      'taken',
    );
    return [this.fb.get(first), this.fb.get(second)];
  }

  storePair(address: I64, size: SizeLog2, first: I64, second: I64, options?: AccessOptions): void {
    this.#storing();
    const va = this.let(address);
    const a = this.let(first);
    const b = this.let(second);
    const bytes = 1 << size;
    const path = this.fastPath(va, TLB.write, options);
    const isFast = this.#fits(path, 2 * bytes);
    this.if(
      isFast,
      () => {
        const at = this.let(path.host());
        this.fb.store(STORES[size] ?? 'i64', at, path.displacement, a);
        this.fb.store(STORES[size] ?? 'i64', at, path.displacement + bytes, b);
      },
      () => {
        this.slowStore(va, size, a, { ...options, isFollowed: true });
        this.slowStore(add(va, i64(bytes)), size, b, options);
      },
      'taken',
    );
  }

  #slowLoadV(va: I64, options: AccessOptions | undefined): V128 {
    this.fb.drop(this.slowLoad(va, 4, options));
    return load('v128', i32(0), STATE.EXCHANGE.at);
  }

  #slowStoreV(va: I64, value: V128, options: AccessOptions | undefined): void {
    this.fb.store('v128', i32(0), STATE.EXCHANGE.at, value);
    this.slowStore(va, 4, extractLane('i64x2.extract_lane', value, 0), options);
  }

  loadV(address: I64, options?: AccessOptions): V128 {
    const va = this.let(address);
    if (options?.aligned) return this.let(this.#slowLoadV(va, options));
    const path = this.fastPath(va, TLB.read, undefined);
    const isFast = this.#fits(path, 16);
    return this.ifValue(
      isFast,
      () => load('v128', path.host(), path.displacement),
      () => this.#slowLoadV(va, options),
      'v128',
      'taken',
    );
  }

  storeV(address: I64, value: V128, options?: AccessOptions): void {
    this.#storing();
    const va = this.let(address);
    const data = this.let(value);
    const path = this.fastPath(va, TLB.write, undefined);
    const isFast = this.#fits(path, 16);
    this.if(
      isFast,
      () => {
        this.fb.store('v128', path.host(), path.displacement, data);
      },
      () => {
        this.#slowStoreV(va, data, options);
      },
      'taken',
    );
  }

  loadPairV(address: I64): [V128, V128] {
    const va = this.let(address);
    const first = this.loadV(va);
    const second = this.loadV(add(va, i64(16)));
    return [first, second];
  }

  storePairV(address: I64, first: V128, second: V128): void {
    const va = this.let(address);
    const b = this.let(second);
    this.storeV(va, first);
    this.storeV(add(va, i64(16)), b);
  }

  /** The low half of SP. */
  protected stackPointer(): I32 {
    return load('i32', i32(0), STATE.SP.at);
  }

  checkStackAlignment(register: RegField): void {
    const layout = this.layoutOf(register);
    if (layout.kind !== 'register-or-sp') return;
    this.stackPointerFields.add(layout.name);
    if (this.#hot && !this.#variant.is31.has(layout.name)) return;
    const misaligned = ne(and(this.stackPointer(), i32(15)), i32(0));
    const isStack = this.#hot ? i32(1) : eq(this.extract(layout), i32(31));
    const raise = (): void => {
      // SCTLR_ELx.SA is bit 3, SA0 bit 4.
      this.if(and(shrU(sctlr(this.core.model), select(field32('EL'), i32(3), i32(4))), i32(1)), () => {
        this.#raise(EC.spAlignment);
      });
    };
    this.if(and(isStack, misaligned), raise, undefined, 'not taken');
  }

  atomic(operation: AtomicOperation, address: I64, size: SizeLog2, operand: I64): I64 {
    const value = this.let(operand);
    const [old] = this.#readModifyWrite(address, size, {
      replacement: ([element]) => [atomicResult(operation, size, element, value)],
    });
    return old;
  }

  compareAndSwap(address: I64, size: SizeLog2, expected: I64, value: I64): I64 {
    const wanted = this.let(zeroExtend(expected, size));
    const replacement = this.let(value);
    const [old] = this.#readModifyWrite(address, size, {
      isWanted: ([element]) => eq(element, wanted),
      replacement: () => [replacement],
    });
    return old;
  }

  compareAndSwapPair(
    address: I64,
    expected: readonly [I64, I64],
    value: readonly [I64, I64],
  ): readonly [I64, I64] {
    const [low, high] = expected.map((half) => this.let(half)) as [I64, I64];
    const replacement = value.map((half) => this.let(half)) as [I64, I64];
    return this.#readModifyWrite(address, 4, {
      isWanted: ([first, second]) => and(eq(first, low), eq(second, high)),
      replacement: () => replacement,
    });
  }

  /**
   * One aligned access that reads and writes; what was there, in halves where it has 16 bytes. `replacement` is stored if
   * `isWanted`.
   */
  #readModifyWrite<Size extends SizeLog2 | 4>(
    address: I64,
    size: Size,
    { isWanted, replacement }: Modification<Size>,
  ): Content<Size> {
    const fb = this.fb;
    const va = this.let(address);
    const kind = LOADS_U[size] ?? 'i64';
    const halves = size === 4 ? [fb.temp('i64'), fb.temp('i64')] : [fb.temp('i64')];
    const old = halves.map((half) => fb.get(half)) as unknown as Content<Size>;
    const replace = (store: (value: readonly I64[]) => void): void => {
      const put = (): void => {
        store(replacement(old));
      };
      if (isWanted) this.if(isWanted(old), put);
      else put();
    };
    // What can be written can be read: one tag is enough.
    const path = this.fastPath(va, TLB.write, undefined);
    this.if(
      this.#fitsAligned(path, size),
      () => {
        const at = this.let(path.host());
        halves.forEach((half, i) => {
          fb.set(half, load(kind, at, path.displacement + 8 * i) as I64);
        });
        replace((value) => {
          value.forEach((half, i) => {
            fb.store(STORES[size] ?? 'i64', at, path.displacement + 8 * i, half);
          });
        });
      },
      () => {
        const options: AccessOptions = { aligned: true };
        this.spill();
        fb.call(this.core.mmu.checkAtomic, va, this.request(size, options), this.pc());
        this.afterSlowPath();
        fb.set(halves[0]!, this.slowLoad(va, size, options));
        if (halves[1]) fb.set(halves[1], load('i64', i32(0), STATE.EXCHANGE.at + 8));
        replace(([low, high]) => {
          if (high) setField64(fb, 'EXCHANGE', high, 1);
          this.slowStore(va, size, low!, options);
        });
      },
      'taken',
    );
    return old;
  }

  markExclusive(address: I64, size: SizeLog2 | 4, low: I64, high?: I64): void {
    setField64(this.fb, 'EXCLUSIVE_ADDRESS', address);
    setField32(this.fb, 'EXCLUSIVE_SIZE', i32(size + 1));
    setField64(this.fb, 'EXCLUSIVE_LOW', low);
    if (high) setField64(this.fb, 'EXCLUSIVE_HIGH', high);
  }

  /**
   * @deviation The exclusive monitor remembers address, size and the value loaded, and a store-exclusive happens if
   * memory still holds that value: it reads memory once more, and a store of the same value in between goes unnoticed.
   */
  storeExclusive(address: I64, size: SizeLog2 | 4, low: I64, high?: I64): I32 {
    const fb = this.fb;
    const va = this.let(address);
    const status = fb.temp('i32');
    fb.set(status, i32(1));
    const half = size === 4 ? 3 : size;
    this.if(and(eq(field64('EXCLUSIVE_ADDRESS'), va), eq(field32('EXCLUSIVE_SIZE'), i32(size + 1))), () => {
      const isSame = fb.temp('i32');
      const options: AccessOptions = { aligned: true, unwatched: true };
      fb.set(isSame, eq(this.load(va, half, false, options), field64('EXCLUSIVE_LOW')));
      if (high)
        fb.set(
          isSame,
          and(
            fb.get(isSame),
            eq(this.load(add(va, i64(1 << half)), half, false, options), field64('EXCLUSIVE_HIGH')),
          ),
        );
      this.if(fb.get(isSame), () => {
        if (high) {
          this.spill();
          fb.call(this.core.mmu.checkStore, va, this.request(size, { aligned: true }), this.pc());
          this.afterSlowPath();
          this.storePair(va, half, low, high);
        } else this.store(va, half, low, { aligned: true });
        fb.set(status, i32(0));
      });
    });
    this.clearExclusive();
    return fb.get(status);
  }

  clearExclusive(): void {
    setField32(this.fb, 'EXCLUSIVE_SIZE', i32(0));
  }

  // ---- system

  undefined(): void {
    this.#raise(EC.unknown);
  }

  svc(imm16: I32): void {
    advanceStep(this.fb);
    this.#raise(EC.svc, imm16, this.#nextPc());
  }

  brk(imm16: I32): void {
    this.spill();
    this.fb.call(this.core.exceptions.raiseDebug, syndrome(EC.brk, imm16), i64(0), i32(0), this.pc());
    this.refetch();
  }

  /** Halting debug isn't there: undefined. */
  hlt(): void {
    this.undefined();
  }

  #undefinedAtEl0(): void {
    this.if(eqz(field32('EL')), () => {
      this.undefined();
    });
  }

  #firmwareCall(conduit: number, imm16: I32): void {
    setField64(this.fb, 'PC', this.#nextPc());
    const result = this.let(call(this.core.firmwareCall, i32(conduit), imm16));
    this.if(eq(result, i32(-1)), () => {
      this.undefined();
    });
    advanceStep(this.fb);
    this.fb.return(result);
  }

  hvc(imm16: I32): void {
    this.#requireCold();
    this.#undefinedAtEl0();
    if (!this.#hasEl2) {
      this.#firmwareCall(0, imm16);
      return;
    }
    this.if(hcrBit(HCR.HCD), () => {
      this.undefined();
    });
    advanceStep(this.fb);
    this.#trapToEl2(EC.hvc, imm16, this.#nextPc());
  }

  smc(imm16: I32): void {
    this.#requireCold();
    this.#undefinedAtEl0();
    if (this.#hasEl2)
      this.if(and(eq(field32('EL'), i32(1)), hcrBit(HCR.TSC)), () => {
        this.#trapToEl2(EC.smc, imm16);
      });
    this.#firmwareCall(1, imm16);
  }

  eret(): void {
    this.#requireCold();
    this.#undefinedAtEl0();
    this.fb.call(this.core.exceptions.exceptionReturn);
    this.fb.return(i32(NEXT.refetch));
  }

  hint(hint: Hint): void {
    this.#requireCold();
    const fb = this.fb;
    switch (hint) {
      case 'sev':
      case 'sevl':
        setField32(fb, 'EVENT', i32(1));
        return;
      case 'yield':
        // Another CPU may hold what this one waits for.
        this.if(ne(load('i32', i32(0), CPU_COUNT), i32(1)), () => {
          setField64(fb, 'PC', this.#nextPc());
          setField32(fb, 'EXIT', i32(EXIT.yield));
          fb.return(i32(NEXT.exit));
        });
        return;
      case 'wfi':
      case 'wfe': {
        const isWfe = hint === 'wfe';
        if (isWfe)
          this.if(field32('EVENT'), () => {
            setField32(fb, 'EVENT', i32(0));
            fb.return(i32(NEXT.instruction));
          });
        const isPending = this.#hasEl2 ? or(field32('PENDING'), virtualPending()) : field32('PENDING');
        this.if(eqz(isPending), () => {
          // SCTLR_ELx.nTWI is bit 16, nTWE bit 18: clear traps EL0 where it would wait. ISS.TI tells which.
          const iss = i32((isWfe ? 1 : 0) | 0x1e0_0000);
          const traps = eqz(and(sctlr(this.core.model), i32(1 << (isWfe ? 18 : 16))));
          this.if(and(eqz(field32('EL')), traps), () => {
            this.#raise(EC.wfx, iss);
          });
          if (this.#hasEl2)
            this.if(and(ltU(field32('EL'), i32(2)), hcrBit(isWfe ? HCR.TWE : HCR.TWI)), () => {
              this.#trapToEl2(EC.wfx, iss);
            });
          setField64(fb, 'PC', this.#nextPc());
          setField32(fb, 'EXIT', i32(isWfe ? EXIT.waitForEvent : EXIT.waitForInterrupt));
          fb.return(i32(NEXT.exit));
        });
        return;
      }
    }
  }

  isb(): void {
    this.#refetchAtNext();
  }

  /** Memory is sequentially consistent here. */
  barrier(): void {
    return;
  }

  /** ISS of a trapped MSR, MRS or SYS. DDI0487 D19.2.37, ISS encoding for EC 0x18. */
  #systemSyndrome(encoding: number, register: RegField, isRead: boolean): I32 {
    const op0 = (encoding >> 14) & 3;
    const op1 = (encoding >> 11) & 7;
    const crn = (encoding >> 7) & 15;
    const crm = (encoding >> 3) & 15;
    const op2 = encoding & 7;
    const fixed = (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (crm << 1) | (isRead ? 1 : 0);
    return or(i32(fixed), this.extract(this.layoutOf(register), 5));
  }

  /** False, with the instruction made undefined, where the CPU doesn't have the register or operation. */
  #exists<Row extends SystemRegister | SystemOperation>(row: Row | undefined, isRead: boolean): row is Row {
    if (row === undefined) this.#trapImplementationDefined(isRead);
    if (row && exists(this.core.model, row)) return true;
    this.undefined();
    return false;
  }

  /** HCR_EL2.TIDCP: EL1's accesses to encodings with CRn 11 and 15, which are no registers here. */
  #trapImplementationDefined(isRead: boolean): void {
    if (!this.#hasEl2) return;
    this.#requireCold();
    const word = load('i32', this.fb.get(this.#p));
    const field = (from: number, width: number, to: number): I32 =>
      shl(and(shrU(word, i32(from)), i32((1 << width) - 1)), i32(to));
    // op0 is 1 or 3 where bit 19 is set.
    const isImplementationDefined = and(
      eq(and(word, i32(0x0008_b000)), i32(0x0008_b000)),
      and(eq(field32('EL'), i32(1)), hcrBit(HCR.TIDCP)),
    );
    this.if(isImplementationDefined, () => {
      const iss = [field(19, 2, 20), field(5, 3, 17), field(16, 3, 14), field(12, 4, 10), field(0, 5, 5), field(8, 4, 1)]; // prettier-ignore
      this.#trapToEl2(
        EC.systemRegister,
        iss.reduce((all, part) => or(all, part), i32(isRead ? 1 : 0)),
      );
    });
  }

  /** Undefined or trapped for lower levels, as the row says. */
  #checkSystemAccess(row: SystemRegister | SystemOperation, register: RegField, isRead: boolean): void {
    const level = field32('EL');
    if (row.minEl > 0) {
      this.if(row.minEl === 1 ? eqz(level) : ltU(level, i32(2)), () => {
        if (isRead && isIdentification(row.encoding) && hasFeature(this.core.model, 'IDST'))
          this.#raise(EC.systemRegister, this.#systemSyndrome(row.encoding, register, true));
        else this.undefined();
      });
    }
    if (row.name === 'FPCR' || row.name === 'FPSR') this.checkSimdAccess();
    const { el0 } = row;
    if (!isRead && (el0 === 'read-only' || el0?.isReadOnly)) this.#undefinedAtEl0();
    if (el0 !== undefined && el0 !== 'read-only') {
      const bits = isRead ? [...el0.bits, ...(el0.readBits ?? [])] : el0.bits;
      const mask = i32(bits.reduce((all, bit) => all | (1 << bit), 0));
      const { host } = systemRegister(el0.register);
      const control =
        host !== undefined && hasFeature(this.core.model, 'VHE')
          ? select(field32('HOST'), sysreg(host), sysreg(el0.register))
          : sysreg(el0.register);
      const isSet = and(wrap(control), mask);
      this.if(and(eqz(level), el0.isTrap ? ne(isSet, i32(0)) : eqz(isSet)), () => {
        this.#raise(EC.systemRegister, this.#systemSyndrome(row.encoding, register, isRead));
      });
    }
    if (!this.#hasEl2 || row.minEl === 2) return;
    for (const trap of row.el2Traps ?? []) {
      if (trap.on !== undefined && (trap.on === 'read') !== isRead) continue;
      this.if(and(ltU(level, i32(2)), this.#isTrapped(trap)), () => {
        this.#trapToEl2(EC.systemRegister, this.#systemSyndrome(row.encoding, register, isRead));
      });
    }
  }

  /** Whether EL2 has set the trap. */
  #isTrapped({ register, bits, bitsWithE2h, allows }: El2Trap): I32 {
    const isInHighHalf = bits.some((bit) => bit >= 32);
    const maskOf = (places: readonly number[]): number =>
      places.reduce((all, bit) => all | (1 << (bit & 31)), 0);
    const value = isInHighHalf
      ? wrap(shrU(sysreg(register), i64(32)))
      : register === 'HCR_EL2'
        ? field32('HCR')
        : wrap(sysreg(register));
    const isRelocated = bitsWithE2h !== undefined && hasFeature(this.core.model, 'VHE');
    const mask = isRelocated
      ? select(field32('E2H'), i32(maskOf(bitsWithE2h)), i32(maskOf(bits)))
      : i32(maskOf(bits));
    const found = and(value, mask);
    const isSet = allows ? eqz(found) : ne(found, i32(0));
    return isRelocated ? and(isSet, eqz(field32('HOST'))) : isSet;
  }

  /** `access` the register that the name of `register` means: another one in the EL2&0 regime. */
  #byRegime(register: SystemRegister, access: (register: SystemRegister) => void): void {
    const { host } = register;
    if (host === undefined || !hasFeature(this.core.model, 'VHE')) {
      access(register);
      return;
    }
    this.if(
      field32('HOST'),
      () => {
        access(systemRegister(host));
      },
      () => {
        access(register);
      },
    );
  }

  readSystemRegister(register: SystemRegister | undefined, target: RegField): void {
    if (!this.#exists(register, true)) return;
    if (register.access === 'wo') {
      this.undefined();
      return;
    }
    this.#checkSystemAccess(register, target, true);
    this.#byRegime(register, (meant) => {
      this.#read(meant, target);
    });
  }

  #read(register: SystemRegister, target: RegField): void {
    const { behind, name } = register;
    switch (behind.kind) {
      case 'storage':
        this.setX(target, load('i64', i32(0), sysregAddress(name)));
        return;
      case 'zero':
        this.setX(target, i64(0));
        return;
      case 'identification':
        this.setX(target, this.#identification(name));
        return;
      case 'pstate':
        this.setX(target, this.#readPstate(name));
        return;
      case 'debug':
        this.setX(target, this.#readDebug(name));
        return;
      case 'external':
        this.#requireCold();
        this.if(call(this.core.externalRead, i32(SYSTEM_REGISTERS.indexOf(register))), () => {
          this.undefined();
        });
        this.setX(target, load('i64', i32(0), STATE.EXCHANGE.at));
        return;
      case 'alias':
        this.#undefinedWithoutE2h();
        this.#read(systemRegister(behind.of), target);
        return;
    }
  }

  #undefinedWithoutE2h(): void {
    this.if(eqz(field32('E2H')), () => {
      this.undefined();
    });
  }

  #identification(name: string): I64 {
    const { model } = this.core;
    if (name === 'MPIDR_EL1') return this.#unlessVirtual(field64('MPIDR'), 'VMPIDR_EL2');
    if (name === 'MIDR_EL1') return this.#unlessVirtual(i64(model.identification[name] ?? 0n), 'VPIDR_EL2');
    if (name === 'CCSIDR_EL1') {
      const selected = wrap(sysreg('CSSELR_EL1'));
      return select(
        eq(selected, i32(0)),
        i64(model.ccsidr[0]),
        select(
          eq(selected, i32(1)),
          i64(model.ccsidr[1]),
          select(eq(selected, i32(2)), i64(model.ccsidr[2]), i64(0)),
        ),
      );
    }
    const value = i64(model.identification[name] ?? 0n);
    if (name === 'ID_AA64PFR0_EL1') return or(value, shl(extU(field32('GIC')), i64(24)));
    if (name !== 'DCZID_EL0') return value;
    // DZP, bit 4: DC ZVA is prohibited, as SCTLR_ELx.DZE (bit 14) does for EL0, HCR_EL2.TDZ for EL1 too.
    const byEl1 = and(eqz(field32('EL')), eqz(and(sctlr(model), i32(1 << 14))));
    const isProhibited = this.#hasEl2 ? or(byEl1, and(ltU(field32('EL'), i32(2)), hcrBit(HCR.TDZ))) : byEl1;
    return or(value, shl(extU(isProhibited), i64(4)));
  }

  /** An identification register that EL2 gives EL1 a value of its own for. */
  #unlessVirtual(value: I64, virtual: string): I64 {
    return this.#hasEl2 ? select(eq(field32('EL'), i32(2)), value, sysreg(virtual)) : value;
  }

  #readPstate(name: string): I64 {
    switch (name) {
      case 'NZCV':
        return shl(extU(this.nzcv()), i64(28));
      case 'DAIF':
        return shl(extU(field32('DAIF')), i64(6));
      case 'CurrentEL':
        return shl(extU(field32('EL')), i64(2));
      case 'SPSel':
        return extU(field32('SPSEL'));
      case 'PAN':
        return shl(extU(field32('PAN')), i64(22));
      case 'UAO':
        return shl(extU(field32('UAO')), i64(23));
      case 'DIT':
        return extU(and(field32('DIT_SSBS'), i32(SPSR_DIT)));
      case 'SSBS':
        return extU(and(field32('DIT_SSBS'), i32(SPSR_SSBS)));
      case 'ISR_EL1':
        return shl(extU(this.#pendingHere()), i64(6));
      case 'SP_EL1':
        return field64('SP_BANK', 1);
      case 'SP_EL0':
        // Undefined where it is the stack pointer in use.
        this.if(eqz(field32('SPSEL')), () => {
          this.undefined();
        });
        return field64('SP_BANK', 0);
      default:
        invariant(false, `no such part of PSTATE: ${name}`);
    }
  }

  /** Pending interrupts, as in PENDING; at EL1 the virtual ones instead of those that EL2 has routed to itself. */
  #pendingHere(): I32 {
    const physical = and(field32('PENDING'), i32(7));
    if (!this.#hasEl2) return physical;
    const routed = and(shrU(field32('HCR'), i32(HCR.FMO)), i32(7));
    const ofGuest = or(and(virtualPending(), routed), and(physical, not(routed)));
    return select(eq(field32('EL'), i32(1)), ofGuest, physical);
  }

  writeSystemRegister(register: SystemRegister | undefined, source: RegField): void {
    if (!this.#exists(register, false)) return;
    if (register.access === 'ro') {
      this.undefined();
      return;
    }
    this.#checkSystemAccess(register, source, false);
    this.#byRegime(register, (meant) => {
      this.#write(meant, source);
    });
  }

  #write(register: SystemRegister, source: RegField): void {
    const { exceptions, mmu, model } = this.core;
    const { behind, name } = register;
    switch (behind.kind) {
      case 'storage': {
        if (behind.debug !== undefined) {
          this.#writeDebugStorage(name, behind, source);
          return;
        }
        const writable = writableBits(behind, model);
        const value = or(and(this.x(source), i64(writable)), i64(behind.reset & ~writable));
        setSysreg(this.fb, name, value);
        if (behind.isShown) {
          this.#requireCold();
          this.fb.store('i64', i32(0), STATE.EXCHANGE.at, value);
          // Nobody there to see it: just as well.
          this.let(call(this.core.externalWrite, i32(SYSTEM_REGISTERS.indexOf(register))));
          this.#refetchAtNext();
        }
        if (behind.isDerivedFrom) {
          this.#requireCold();
          this.fb.call(exceptions.stateChanged);
        }
        if (behind.invalidates === undefined) return;
        this.#requireCold();
        if (behind.invalidates === 'translations') this.fb.call(mmu.flushAll);
        this.fb.call(mmu.selectAddressSpace);
        this.#refetchAtNext();
        return;
      }
      case 'zero':
      case 'identification':
        return;
      case 'pstate':
        this.#writePstateRegister(name, source);
        return;
      case 'debug':
        this.#writeDebug(name, source);
        return;
      case 'external':
        this.#requireCold();
        this.fb.store('i64', i32(0), STATE.EXCHANGE.at, this.x(source));
        this.if(call(this.core.externalWrite, i32(SYSTEM_REGISTERS.indexOf(register))), () => {
          this.undefined();
        });
        // The write may have raised or taken away an interrupt.
        this.#refetchAtNext();
        return;
      case 'alias':
        this.#undefinedWithoutE2h();
        this.#write(systemRegister(behind.of), source);
        return;
    }
  }

  #readDebug(name: string): I64 {
    switch (name) {
      case 'MDCCSR_EL0':
        // TXfull and RXfull.
        return and(sysreg('MDSCR_EL1'), i64(0x6000_0000));
      case 'DBGCLAIMSET_EL1':
        return i64(CLAIM_TAGS);
      case 'DBGCLAIMCLR_EL1':
        return extU(field32('CLAIM_TAGS'));
      default:
        invariant(false, `no such part of debug: ${name}`);
    }
  }

  #writeDebug(name: string, source: RegField): void {
    const fb = this.fb;
    const tags = and(this.w(source), i32(CLAIM_TAGS));
    switch (name) {
      case 'OSLAR_EL1':
        // OSLSR_EL1.OSLK is bit 1.
        setSysreg(fb, 'OSLSR_EL1', or(shl(and(this.x(source), i64(1)), i64(1)), i64(8)));
        this.#refetchAtNext();
        return;
      case 'DBGCLAIMSET_EL1':
        setField32(fb, 'CLAIM_TAGS', or(field32('CLAIM_TAGS'), tags));
        return;
      case 'DBGCLAIMCLR_EL1':
        setField32(fb, 'CLAIM_TAGS', and(field32('CLAIM_TAGS'), not(tags)));
        return;
      default:
        invariant(false, `no such part of debug: ${name}`);
    }
  }

  #writeDebugStorage(name: string, behind: Storage, source: RegField): void {
    this.#requireCold();
    const fb = this.fb;
    const { debug, mmu, clearBreakpoints, model } = this.core;
    const { debug: part, writableUnderLock = 0n, reset } = behind;
    const isUnit = typeof part === 'object';
    const wasEnabled = isUnit ? this.let(sysreg(`DBG${part.kind}CR${part.n}_EL1`)) : i64(0);
    const writable = writableBits(behind, model);
    const isLocked = and(wrap(sysreg('OSLSR_EL1')), i32(2));
    const mask =
      writableUnderLock === 0n
        ? i64(writable)
        : this.let(select(isLocked, i64(writable | writableUnderLock), i64(writable)));
    const kept = writableUnderLock === 0n ? i64(reset & ~writable) : and(sysreg(name), not(mask));
    setSysreg(fb, name, or(and(this.x(source), mask), kept));
    if (isUnit)
      this.if(and(wrap(or(wasEnabled, sysreg(`DBG${part.kind}CR${part.n}_EL1`))), i32(1)), () => {
        fb.call(debug.debugChanged);
        // Pages are looked at when they get into a TLB. Handlers are common to all CPUs.
        if (part.kind === 'B') fb.call(clearBreakpoints);
        fb.call(part.kind === 'B' ? mmu.flushEveryCpu : mmu.flushAll);
      });
    else fb.call(debug.debugChanged);
    this.#refetchAtNext();
  }

  #writePstateRegister(name: string, source: RegField): void {
    switch (name) {
      case 'NZCV':
        this.setNZCV(and(shrU(this.w(source), i32(28)), i32(15)));
        return;
      case 'DAIF':
        setField32(this.fb, 'DAIF', and(shrU(this.w(source), i32(6)), i32(15)));
        this.#refetchAtNext();
        return;
      case 'SPSel':
        this.#requireCold();
        this.fb.call(this.core.exceptions.selectStackPointer, and(this.w(source), i32(1)));
        return;
      case 'PAN':
        this.#setAccessState('PAN', and(shrU(this.w(source), i32(22)), i32(1)));
        return;
      case 'UAO':
        this.#setAccessState('UAO', and(shrU(this.w(source), i32(23)), i32(1)));
        return;
      case 'DIT':
        this.#setDitSsbs(SPSR_DIT, this.w(source));
        return;
      case 'SSBS':
        this.#setDitSsbs(SPSR_SSBS, this.w(source));
        return;
      case 'SP_EL0':
        this.if(eqz(field32('SPSEL')), () => {
          this.undefined();
        });
        setField64(this.fb, 'SP_BANK', this.x(source), 0);
        return;
      case 'SP_EL1':
        setField64(this.fb, 'SP_BANK', this.x(source), 1);
        return;
      default:
        invariant(false, `no such part of PSTATE: ${name}`);
    }
  }

  #setAccessState(name: 'PAN' | 'UAO', value: I32): void {
    this.#requireCold();
    setField32(this.fb, name, value);
    this.fb.call(this.core.exceptions.stateChanged);
    this.#refetchAtNext();
  }

  #setDitSsbs(bit: number, value: I32): void {
    setField32(this.fb, 'DIT_SSBS', or(and(field32('DIT_SSBS'), i32(~bit)), and(value, i32(bit))));
  }

  systemOperation(operation: SystemOperation | undefined, source: RegField): void {
    if (!this.#exists(operation, false)) return;
    this.#checkSystemAccess(operation, source, false);
    const { mmu } = this.core;
    const va = (): I64 => this.x(source);
    const { effect } = operation;
    if (effect === 'zero block') {
      this.#zeroBlock(va());
      return;
    }
    this.#requireCold();
    if (typeof effect === 'object') {
      if ('maintain' in effect) {
        this.fb.call(mmu.checkMaintenance, va(), i32(CHECK[effect.maintain]), this.pc());
      } else {
        this.fb.call(mmu.translate, va(), i32(CHECK[effect.translate]), this.#modeOf(effect), this.pc());
      }
      this.afterSlowPath();
      return;
    }
    switch (effect) {
      case 'none':
      case 'invalidate instructions':
        // Stores drop the decoded instructions they overwrite, so there is nothing stale to invalidate.
        return;
      case 'invalidate translations':
        this.fb.call(mmu.flushEveryCpu);
        this.#refetchAtNext();
        return;
      case 'invalidate translations by ASID':
        this.fb.call(mmu.flushAsid, wrap(shrU(va(), i64(48))));
        this.#refetchAtNext();
        return;
      case 'invalidate translations by address':
        // Bits 43:0 of the operand are the address's bits 55:12.
        this.fb.call(mmu.flushAddress, shrS(shl(va(), i64(20)), i64(8)));
        this.#refetchAtNext();
        return;
    }
  }

  #zeroBlock(address: I64): void {
    const va = this.let(address);
    const path = this.fastPath(and(va, i64(-ZVA_BYTES)), TLB.write, undefined);
    this.if(
      this.#fits(path, ZVA_BYTES),
      () => {
        zeroBlockAt(this.fb, this.let(path.host()), path.displacement);
      },
      () => {
        this.zeroSlowly(va);
      },
      'taken',
    );
  }

  protected zeroSlowly(va: I64): void {
    this.spill();
    this.fb.call(this.core.mmu.zeroBlock, va, this.pc());
    this.afterSlowPath();
  }

  /** The mode that an AT operation translates for. */
  #modeOf({ el, ofGuest, checksPan }: Translate): I32 {
    const hasVhe = hasFeature(this.core.model, 'VHE');
    if (el === 2) return hasVhe ? select(field32('E2H'), i32(MODE.hostEl2), i32(MODE.el2)) : i32(MODE.el2);
    const privileged = (plain: number, withPan: number): I32 =>
      checksPan ? select(field32('PAN'), i32(withPan), i32(plain)) : i32(plain);
    const mode = el === 0 ? i32(MODE.el0) : privileged(MODE.el1, MODE.el1Pan);
    if (ofGuest || !hasVhe) return mode;
    const ofHost = el === 0 ? i32(MODE.hostEl0) : privileged(MODE.hostEl2, MODE.hostEl2Pan);
    return select(and(field32('HOST'), hcrBit(HCR.TGE)), ofHost, mode);
  }

  writePstate(op1: number, op2: number, imm4: number): void {
    const fb = this.fb;
    switch ((op1 << 3) | op2) {
      case 0b000_011: // UAO
      case 0b000_100: {
        // PAN
        const name = op2 === 3 ? 'UAO' : 'PAN';
        if (!hasFeature(this.core.model, name)) break;
        this.#undefinedAtEl0();
        this.#setAccessState(name, i32(imm4 & 1));
        return;
      }
      case 0b011_001: // SSBS
        if (!hasFeature(this.core.model, 'SSBS2')) break;
        this.#setDitSsbs(SPSR_SSBS, i32((imm4 & 1) * SPSR_SSBS));
        return;
      case 0b011_010: // DIT
        if (!hasFeature(this.core.model, 'DIT')) break;
        this.#setDitSsbs(SPSR_DIT, i32((imm4 & 1) * SPSR_DIT));
        return;
      case 0b000_101: // SPSel
        this.#requireCold();
        this.#undefinedAtEl0();
        fb.call(this.core.exceptions.selectStackPointer, i32(imm4 & 1));
        return;
      case 0b011_110: // DAIFSet
      case 0b011_111: {
        // DAIFClr
        // SCTLR_EL1.UMA, bit 9, lets EL0 in; a host's SCTLR_EL2 has no such bit.
        this.if(and(eqz(field32('EL')), eqz(and(sctlr(this.core.model), i32(1 << 9)))), () => {
          // As a trapped system register access with Rt 31.
          const fixed = (op2 << 17) | (op1 << 14) | (4 << 10) | (31 << 5) | (imm4 << 1);
          this.#raise(EC.systemRegister, i32(fixed));
        });
        if (op2 === 6) {
          setField32(fb, 'DAIF', or(field32('DAIF'), i32(imm4)));
          return;
        }
        setField32(fb, 'DAIF', and(field32('DAIF'), i32(~imm4)));
        this.#refetchAtNext();
        return;
      }
      default:
        break;
    }
    this.undefined();
  }
}
