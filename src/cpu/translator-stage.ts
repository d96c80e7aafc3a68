/**
 * `Stage` for the translator: the instruction's word is known, so all its fields are constants, and so is its host
 * address. Registers are in locals, which are written through to memory, except what is written again in the same block: that
 * goes to memory only where somebody may look, on slow paths. Condition flags are in locals only, as the operands that
 * they follow from, and go to memory where somebody may look.
 */
import { invariant } from '../base/index.js';
import type { DynamicField, FieldLayout, LabelField, RegField, Row, VecField } from '../isa/row.js';
import { fieldValue, signedFieldValue } from '../isa/row.js';
import type { AccessOptions, BranchKind, SizeLog2 } from '../isa/stage.js';
import type { Expr, I32, I64, Int, V128, ValType } from '../wasm/expr.js';
import {
  add,
  bitsOf,
  constantI32,
  eq,
  extU,
  i32,
  i64,
  intLike,
  load,
  localPlus,
  ltU,
  shl,
  sub,
  terms,
  v128,
  wrap,
} from '../wasm/expr.js';
import type { BranchHint, FunctionBuilder, Local } from '../wasm/function-builder.js';
import { call } from '../wasm/function-ref.js';
import { extractLane, replaceLane } from '../wasm/simd.js';
import { FLAG_KIND, conditionOfPacked, conditionOfResult, conditionOfSub, conditionOfSum } from './flags.js';
import type { DecodedInstruction } from './handler-finder.js';
import type { CoreFunctions, FastPath, LookupTables, SlowOptions } from './interpreter-stage.js';
import { InterpreterStage, NEXT } from './interpreter-stage.js';
import { PAGE_SIZE, STATE, TLB } from './layout.js';
import { field32, field64, setField32, setField64 } from './state.js';
import type { TranslatedCodeFunctions } from './translated-code.js';
import { ENDS_WITH_STORE, LOCAL_FLAGS, putFlags } from './translated-code.js';

/** Where a call goes: a host address of the page or beyond it, or a virtual one. */
export type CallTarget = { readonly host: number } | { readonly address: I64 };

/** Locals of a region's function, and ways to go on. */
export interface RegionFrame {
  /** Instructions that may still be executed. */
  readonly n: Local<'i32'>;
  readonly tlb: Local<'i32'>;
  readonly functions: TranslatedCodeFunctions;
  /** Goes on at the word at host address `p`; the budget has been brought up to date. */
  goTo(p: number): void;
  /** Goes on at a virtual address; the budget has been brought up to date. */
  goToAddress(target: I64, isReturn: boolean): void;
  /** The same, of a call at host address `p`. */
  call(p: number, target: CallTarget, link: I64): void;
  /** Leaves the region for the instruction at host address `p`, without a branch. */
  leaveBefore(p: number): void;
}

/** What is known of the flags when code is generated. */
interface Flags {
  /** What they follow from. */
  readonly kind: 'add' | 'sub' | 'logical';
  /** How wide its operands are. */
  readonly width: 'i32' | 'i64';
  /** They may be packed instead, as the local tells. */
  readonly mayBePacked: boolean;
}

/** The stack pointer's place among the general registers. */
const SP = 31;

/** What a register or an address has in common with others: they follow from the same value by adding constants. */
interface Origin {
  readonly value: object;
  readonly plus: number;
}

/** An address whose page was looked up: further accesses to the page need not look for it again. */
interface FoundPage {
  readonly origin: Origin;
  /** It was found for stores, else for loads. */
  readonly isForStores: boolean;
  readonly slot: PageSlot;
}

/** What is in locals of an address whose page was looked up. */
interface PageSlot {
  /** Offset in the page, or beyond it where it wasn't found. */
  readonly offset: Local<'i64'>;
  readonly host: Local<'i32'>;
}

/** Pages that are remembered at once. */
const PAGE_SLOTS = 4;
/** How far from an address that was looked up its page may be taken for another access. */
const NEAR = PAGE_SIZE / 2;
/** An offset that is beyond a page, and so is everything that is near it. */
const NO_PAGE = 256 * PAGE_SIZE;

/** An address that is an element of a table of `2 ** bits` bytes at the most. */
interface TableElement {
  readonly table: I64;
  /** In bytes. */
  readonly index: I64;
  readonly bits: number;
}

/** Tables of so many bytes and fewer are seldom in two pages. */
const TABLE_BITS = 11;
/** Bytes of the widest access. */
const WIDEST = 16;

/** What is known at a place of the code. Sets of registers are by bits: X0 to X30 and `SP`, V0 to V31. */
class Known {
  /** Their locals hold their values. */
  x = 0;
  v = 0;
  /** The same of the low halves of V0 to V31, in locals of their own. */
  d = 0;
  /** Of `d`: the upper half is zero. */
  zeroAbove = 0;
  /** Of `x`: memory may not have the value. */
  unstoredX = 0;
  flags: Flags | 'packed' | undefined = undefined;
  isSimdChecked = false;
  /** SP modulo 16 is what it was when its alignment was last checked. */
  isStackChecked = false;
  /** Of X0 to X30 and `SP`. */
  origins: readonly (Origin | undefined)[] = [];
  /** Of X0 to X30: bits from this one on are zero; where they are few enough for the index of a table. */
  bits: readonly (number | undefined)[] = [];
  /** The oldest first. */
  pages: readonly FoundPage[] = [];

  copy(): Known {
    const known = new Known();
    known.x = this.x;
    known.v = this.v;
    known.d = this.d;
    known.zeroAbove = this.zeroAbove;
    known.unstoredX = this.unstoredX;
    known.flags = this.flags;
    known.isSimdChecked = this.isSimdChecked;
    known.isStackChecked = this.isStackChecked;
    known.origins = this.origins;
    known.bits = this.bits;
    known.pages = this.pages;
    return known;
  }
}

/** What is known where two ways meet. */
function ofBoth(a: Known, b: Known): Known {
  const known = new Known();
  known.x = a.x & b.x;
  known.v = a.v & b.v;
  known.d = a.d & b.d;
  known.zeroAbove = a.zeroAbove & b.zeroAbove;
  // It may be in memory on one of the ways.
  known.unstoredX = a.unstoredX | b.unstoredX;
  known.flags = flagsOfBoth(a.flags, b.flags);
  known.isSimdChecked = a.isSimdChecked && b.isSimdChecked;
  known.isStackChecked = a.isStackChecked && b.isStackChecked;
  known.origins = originsOfBoth(a.origins, b.origins);
  known.bits = a.bits === b.bits ? a.bits : a.bits.map((bits, i) => (bits === b.bits[i] ? bits : undefined));
  known.pages = a.pages === b.pages ? a.pages : a.pages.filter((page) => b.pages.includes(page));
  invariant((known.unstoredX & ~known.x) === 0, 'what is written again is written on both ways');
  return known;
}

function has(registers: number, register: number): boolean {
  return ((registers >>> register) & 1) === 1;
}

function shifted(origin: Origin | undefined, by: number): Origin | undefined {
  return origin && { value: origin.value, plus: origin.plus + by };
}

function originsOfBoth(a: Known['origins'], b: Known['origins']): Known['origins'] {
  if (a === b) return a;
  const same = (x: Origin, y: Origin | undefined): boolean => x.value === y?.value && x.plus === y.plus;
  return a.map((origin, i) => (origin && same(origin, b[i]) ? origin : undefined));
}

function flagsOfBoth(a: Known['flags'], b: Known['flags']): Known['flags'] {
  if (a === b) return a;
  if (a === undefined || b === undefined) return undefined;
  if (a === 'packed') return { ...(b as Flags), mayBePacked: true };
  if (b === 'packed') return { ...a, mayBePacked: true };
  if (a.kind !== b.kind || a.width !== b.width) return undefined;
  return { ...a, mayBePacked: a.mayBePacked || b.mayBePacked };
}

/**
 * Locals that blocks share: with one for each register, most are unused in most places, but compilers keep account of all
 * of them wherever branches meet.
 */
class LocalPool<T extends ValType> {
  readonly #fb: FunctionBuilder;
  readonly #type: T;
  readonly #locals: Local<T>[] = [];
  #taken = 0;

  constructor(fb: FunctionBuilder, type: T) {
    this.#fb = fb;
    this.#type = type;
  }

  take(): Local<T> {
    return (this.#locals[this.#taken++] ??= this.#fb.local(this.#type));
  }

  /** All that were taken. */
  release(): void {
    this.#taken = 0;
  }
}

/** What a region's function has in locals, and what is known of it as its code is generated. One for each function. */
export class RegionLocals {
  readonly #fb: FunctionBuilder;
  readonly #doublewords: LocalPool<'i64'>;
  readonly #vectors: LocalPool<'v128'>;
  /** Of registers, since locals were last forgotten. */
  #x: Local<'i64'>[] = [];
  #v: Local<'v128'>[] = [];
  #d: Local<'i64'>[] = [];
  readonly #pageSlots: PageSlot[] = [];
  /** Registers by the indices of their locals. */
  #registers = new Map<number, number>();
  readonly flagKind: Local<'i32'>;
  readonly flagA: Local<'i64'>;
  readonly flagB: Local<'i64'>;
  /** Non-zero after a store that dropped translated code. */
  readonly stale: Local<'i32'>;
  #known = new Known();
  /** Registers that instructions behind the current one write before the block ends. */
  overwritten = 0;
  /** Instructions of the block so far, the current one included, that the budget doesn't know of. */
  uncounted = 0;

  constructor(fb: FunctionBuilder) {
    this.#fb = fb;
    this.#doublewords = new LocalPool(fb, 'i64');
    this.#vectors = new LocalPool(fb, 'v128');
    this.flagKind = fb.local('i32');
    this.flagA = fb.local('i64');
    this.flagB = fb.local('i64');
    this.stale = fb.local('i32');
  }

  /** X0 to X30, or `SP`. */
  x(register: number): I64 {
    const known = this.#known;
    const local = this.#localOf(register);
    if (!has(known.x, register)) {
      this.#fb.set(local, register === SP ? field64('SP') : field64('X', register));
      known.x |= 1 << register;
    }
    return this.#fb.get(local);
  }

  /** `bits`: from this one on they are zero, if that is known. */
  setX(register: number, value: I64, origin: Origin | undefined, bits?: number): void {
    const known = this.#known;
    this.#fb.set(this.#localOf(register), value);
    known.x |= 1 << register;
    if (has(this.overwritten, register)) {
      known.unstoredX |= 1 << register;
    } else {
      this.#storeX(register);
      known.unstoredX &= ~(1 << register);
    }
    if (register === SP && known.isStackChecked) {
      const before = known.origins[SP];
      known.isStackChecked =
        origin !== undefined && origin.value === before?.value && (origin.plus - before.plus) % 16 === 0;
    }
    this.#setOrigin(register, origin);
    if (known.bits[register] !== bits) {
      const changed = [...known.bits];
      changed[register] = bits;
      known.bits = changed;
    }
  }

  /** Stores what memory doesn't have, for a way that leads to where somebody may look. */
  store(): void {
    for (let rest = this.#known.unstoredX; rest !== 0; rest &= rest - 1)
      this.#storeX(31 - Math.clz32(rest & -rest));
  }

  #storeX(register: number): void {
    const at = register === SP ? STATE.SP.at : STATE.X.at + 8 * register;
    this.#fb.store('i64', i32(0), at, this.#fb.get(this.#localOf(register)));
  }

  #localOf(register: number): Local<'i64'> {
    const known = this.#x[register];
    if (known) return known;
    const local = this.#doublewords.take();
    this.#x[register] = local;
    this.#registers.set(local.index, register);
    return local;
  }

  // ---- what addresses have in common

  /** The register whose local this is. */
  registerOf(local: number): number | undefined {
    return this.#registers.get(local);
  }

  /** Bits of the local of a register from this one on are zero, if that is known. */
  bitsOf(local: number): number | undefined {
    const register = this.#registers.get(local);
    return register === undefined ? undefined : this.#known.bits[register];
  }

  originOf(register: number): Origin {
    const known = this.#known.origins[register];
    if (known) return known;
    const origin = { value: {}, plus: 0 };
    this.#setOrigin(register, origin);
    return origin;
  }

  #setOrigin(register: number, origin: Origin | undefined): void {
    const { origins } = this.#known;
    if (origins[register] === origin) return;
    const changed = [...origins];
    changed[register] = origin;
    this.#known.origins = changed;
  }

  /** The fast path by a page that was looked up before. */
  fastPathOf({ value, plus }: Origin, isStore: boolean): FastPath | undefined {
    for (const { origin, isForStores, slot } of this.#known.pages) {
      const distance = plus - origin.plus;
      if (origin.value !== value || Math.abs(distance) > NEAR || (isStore && !isForStores)) continue;
      const before = Math.min(distance, 0);
      return {
        offset: add(this.#fb.get(slot.offset), i64(before)),
        host: () => add(this.#fb.get(slot.host), i32(before)),
        displacement: distance - before,
      };
    }
    return undefined;
  }

  /** Remembers the page that an access looks up. */
  rememberPage(origin: Origin, isForStores: boolean, path: FastPath): FastPath {
    let { pages } = this.#known;
    let slot = this.#pageSlots.find((known) => !pages.some((page) => page.slot === known));
    if (!slot && this.#pageSlots.length < PAGE_SLOTS) {
      slot = { offset: this.#fb.local('i64'), host: this.#fb.local('i32') };
      this.#pageSlots.push(slot);
    }
    if (!slot) {
      slot = pages[0]!.slot;
      pages = pages.slice(1);
    }
    this.#fb.set(slot.offset, path.offset);
    this.#fb.set(slot.host, path.host());
    this.#known.pages = [...pages, { origin, isForStores, slot }];
    const { offset, host } = slot;
    return { offset: this.#fb.get(offset), host: () => this.#fb.get(host), displacement: path.displacement };
  }

  /** On slow paths: the page may not have been found, or a device that was called may have changed translations. */
  forgetPages(): void {
    for (const { slot } of this.#known.pages) this.#fb.set(slot.offset, i64(NO_PAGE));
  }

  v(register: number): V128 {
    const known = this.#known;
    const local = (this.#v[register] ??= this.#vectors.take());
    if (!has(known.v, register)) {
      const low = this.#d[register];
      this.#fb.set(
        local,
        low && has(known.zeroAbove, register)
          ? replaceLane('i64x2.replace_lane', v128(new Uint8Array(16)), 0, this.#fb.get(low))
          : load('v128', i32(0), STATE.V.at + 16 * register),
      );
      known.v |= 1 << register;
    }
    return this.#fb.get(local);
  }

  setV(register: number, value: V128): void {
    const known = this.#known;
    const local = (this.#v[register] ??= this.#vectors.take());
    this.#fb.set(local, value);
    known.v |= 1 << register;
    known.d &= ~(1 << register);
    known.zeroAbove &= ~(1 << register);
    this.#fb.store('v128', i32(0), STATE.V.at + 16 * register, this.#fb.get(local));
  }

  d(register: number): I64 {
    const known = this.#known;
    const local = (this.#d[register] ??= this.#doublewords.take());
    if (!has(known.d, register)) {
      const whole = this.#v[register];
      this.#fb.set(
        local,
        whole && has(known.v, register)
          ? extractLane('i64x2.extract_lane', this.#fb.get(whole), 0)
          : load('i64', i32(0), STATE.V.at + 16 * register),
      );
      known.d |= 1 << register;
    }
    return this.#fb.get(local);
  }

  setD(register: number, value: I64): void {
    const known = this.#known;
    const local = (this.#d[register] ??= this.#doublewords.take());
    this.#fb.set(local, value);
    known.d |= 1 << register;
    known.zeroAbove |= 1 << register;
    known.v &= ~(1 << register);
    const at = STATE.V.at + 16 * register;
    this.#fb.store('i64', i32(0), at, this.#fb.get(local));
    this.#fb.store('i64', i32(0), at + 8, i64(0));
  }

  /** As functions of the core take the flags: kind and operands. */
  get flags(): [I32, I64, I64] {
    return [this.#fb.get(this.flagKind), this.#fb.get(this.flagA), this.#fb.get(this.flagB)];
  }

  /** Where locals had the flags, memory has them. */
  flagsToMemory(): void {
    const fb = this.#fb;
    const { flags } = this.#known;
    if (flags === undefined || (flags !== 'packed' && flags.mayBePacked)) {
      putFlags(fb, ...this.flags);
    } else {
      const isNarrow = flags !== 'packed' && flags.width === 'i32';
      const operand = (local: Local<'i64'>): I64 => (isNarrow ? shl(fb.get(local), i64(32)) : fb.get(local));
      const kind = flags === 'packed' ? 'packed' : flags.kind === 'sub' ? 'sub' : 'add';
      setField32(fb, 'FLAG_KIND', i32(FLAG_KIND[kind]));
      setField64(fb, 'FLAG_A', operand(this.flagA));
      if (flags !== 'packed') setField64(fb, 'FLAG_B', operand(this.flagB));
    }
    this.flagsAreInMemory();
  }

  flagsAreInMemory(): void {
    this.#fb.set(this.flagKind, i32(LOCAL_FLAGS.inMemory));
  }

  get known(): Known {
    return this.#known;
  }

  /** At the start of a block, and after what may have changed any state. */
  forget(): void {
    invariant(this.#known.unstoredX === 0, 'memory has what is forgotten');
    this.#known = new Known();
    this.#x = [];
    this.#v = [];
    this.#d = [];
    this.#registers = new Map();
    this.#doublewords.release();
    this.#vectors.release();
  }

  /** Generates two ways through the code; behind them is known what both know. */
  fork(generate: (then: (body: () => void) => void, otherwise: (body: () => void) => void) => void): void {
    const before = this.#known;
    const ends: Known[] = [];
    const way = (body: () => void): void => {
      this.#known = before.copy();
      body();
      ends.push(this.#known);
    };
    generate(way, way);
    const [a, b = before] = ends;
    invariant(a !== undefined, 'there is a way');
    this.#known = ofBoth(a, b);
  }
}

/** The general register that a field names, or `SP`; undefined for the zero register. */
function generalRegister(word: number, field: FieldLayout): number | undefined {
  const number = fieldValue(word, field);
  if (number !== 31) return number;
  return field.kind === 'register-or-sp' ? SP : undefined;
}

/** For each instruction of a block the general registers that those behind it write, before anything but slow paths looks. */
export function overwrittenBehind(instructions: readonly DecodedInstruction[]): number[] {
  const result: number[] = [];
  let later = 0;
  for (let i = instructions.length - 1; i >= 0; i--) {
    const { row, word, overwrites, mustBeCold } = instructions[i]!;
    result[i] = later;
    if (mustBeCold) {
      later = 0;
      continue;
    }
    for (const field of row.fields) {
      const register = overwrites.includes(field.name) ? generalRegister(word, field) : undefined;
      if (register !== undefined) later |= 1 << register;
    }
  }
  return result;
}

const LANES = [
  ['i8x16.extract_lane_u', 'i8x16.replace_lane'],
  ['i16x8.extract_lane_u', 'i16x8.replace_lane'],
  ['i32x4.extract_lane', 'i32x4.replace_lane'],
  ['i64x2.extract_lane', 'i64x2.replace_lane'],
] as const;

export class TranslatorStage extends InterpreterStage {
  readonly #word: number;
  /** Host address of the instruction. */
  readonly #at: number;
  readonly #endsWithStore: boolean;
  readonly #frame: RegionFrame;
  readonly #locals: RegionLocals;
  /** Where a call returns to. */
  #link: I64 | undefined;
  /** Of temporaries, by the indices of their locals. */
  readonly #origins = new Map<number, Origin>();
  readonly #bits = new Map<number, number>();
  readonly #elements = new Map<number, TableElement>();
  /** A store of the instruction's may have dropped translated code, as the local tells. */
  #mayBeStale = false;

  constructor(
    fb: FunctionBuilder,
    core: CoreFunctions,
    lookups: LookupTables,
    row: Row,
    word: number,
    at: number,
    endsWithStore: boolean,
    frame: RegionFrame,
    locals: RegionLocals,
  ) {
    super(fb, core, lookups, row, { is31: new Set(), isFar: false }, undefined);
    this.#word = word;
    this.#at = at;
    this.#endsWithStore = endsWithStore;
    this.#frame = frame;
    this.#locals = locals;
  }

  protected override begin(): void {
    // Nothing: the word is known.
  }

  protected override end(): void {
    if (!this.#mayBeStale) return;
    const leave = (): void => {
      this.#locals.store();
      setField32(this.fb, 'STALE', i32(0));
      this.fb.set(this.#frame.n, this.#budget());
      this.#frame.leaveBefore(this.#at + 4);
    };
    this.fb.if(this.fb.get(this.#locals.stale), leave, undefined, 'not taken');
  }

  protected override checkSimdAccess(): void {
    if (this.#locals.known.isSimdChecked) return;
    super.checkSimdAccess();
    this.#locals.known.isSimdChecked = true;
  }

  // ---- leaving

  /** The budget with this instruction and all before it counted, so that devices see the right time. */
  #budget(): I32 {
    return sub(this.fb.get(this.#frame.n), i32(this.#locals.uncounted));
  }

  protected override spill(): void {
    setField32(this.fb, 'BUDGET', this.#budget());
    this.#locals.store();
    this.fb.call(this.#frame.functions.spillFlags, ...this.#locals.flags);
  }

  protected override afterSlowPath(): void {
    const leave = (): void => {
      this.refetch();
    };
    this.fb.if(field32('FAULT'), leave, undefined, 'not taken');
    this.#afterCall();
  }

  #afterCall(): void {
    this.#locals.forgetPages();
    this.fb.set(this.#frame.n, add(field32('BUDGET'), i32(this.#locals.uncounted)));
  }

  protected override refetch(): void {
    this.fb.return(i32(NEXT.refetch));
  }

  // ---- fields

  protected override extract(layout: FieldLayout, shift = 0): I32 {
    return i32(this.#number(layout) << shift);
  }

  #number(layout: FieldLayout): number {
    return fieldValue(this.#word, layout);
  }

  protected override signedField(layout: FieldLayout, shift: number): I32 {
    return i32(this.#signedNumber(layout) << shift);
  }

  #signedNumber(layout: FieldLayout): number {
    return signedFieldValue(this.#word, layout);
  }

  override lookup(_name: string, fields: readonly DynamicField[], table: (index: number) => bigint): I64 {
    let index = 0;
    for (const field of fields) {
      const layout = this.layoutOf(field);
      index = index * 2 ** layout.width + this.#number(layout);
    }
    return i64(BigInt.asIntN(64, table(index)));
  }

  // ---- general registers

  /** Undefined for the zero register. */
  #register(register: RegField): number | undefined {
    return generalRegister(this.#word, this.layoutOf(register));
  }

  override x(register: RegField): I64 {
    const number = this.#register(register);
    return number === undefined ? i64(0) : this.#locals.x(number);
  }

  override w(register: RegField): I32 {
    return wrap(this.x(register));
  }

  override setX(register: RegField, value: I64): void {
    const number = this.#register(register);
    if (number !== undefined) this.#locals.setX(number, value, this.#originOf(value), this.#bitsOf(value));
  }

  override xAt(register: RegField, offset: number): I64 {
    const number = this.#number(this.layoutOf(register)) + offset;
    return number === 31 ? i64(0) : this.#locals.x(number);
  }

  override setXAt(register: RegField, offset: number, value: I64): void {
    const number = this.#number(this.layoutOf(register)) + offset;
    if (number !== 31) this.#locals.setX(number, value, undefined);
  }

  override setLinkRegister(value: I64): void {
    this.#locals.setX(30, value, undefined);
    this.#link = this.#locals.x(30);
  }

  protected override stackPointer(): I32 {
    return wrap(this.#locals.x(SP));
  }

  override checkStackAlignment(register: RegField): void {
    if (this.#register(register) !== SP || this.#locals.known.isStackChecked) return;
    super.checkStackAlignment(register);
    this.#locals.known.isStackChecked = true;
  }

  override let<T extends ValType>(value: Expr<T>): Expr<T> {
    const result = super.let(value);
    if (value.type !== 'i64') return result;
    const temporary = localPlus(result as I64);
    if (!temporary) return result;
    const origin = this.#originOf(value as I64);
    if (origin) this.#origins.set(temporary.local, origin);
    const bits = this.#bitsOf(value as I64);
    if (bits !== undefined) this.#bits.set(temporary.local, bits);
    const element = this.#elementOf(value as I64);
    if (element) this.#elements.set(temporary.local, element);
    return result;
  }

  /** Bits from this one on are zero; undefined where they aren't few enough for the index of a table. */
  #bitsOf(value: I64): number | undefined {
    const bits = bitsOf(value, (local) => this.#bits.get(local) ?? this.#locals.bitsOf(local));
    return bits <= TABLE_BITS ? bits : undefined;
  }

  #elementOf(address: I64): TableElement | undefined {
    const [a, b] = terms(address) ?? [];
    if (!a || !b) return undefined;
    return this.#elementAt(a, b) ?? this.#elementAt(b, a);
  }

  #elementAt(table: I64, index: I64): TableElement | undefined {
    const bits = this.#bitsOf(index);
    return bits !== undefined && this.#originOf(table) ? { table, index, bits } : undefined;
  }

  #originOf(value: I64): Origin | undefined {
    const sum = localPlus(value);
    if (!sum) return undefined;
    const register = this.#locals.registerOf(sum.local);
    return shifted(
      register === undefined ? this.#origins.get(sum.local) : this.#locals.originOf(register),
      sum.plus,
    );
  }

  // ---- vector registers

  #vector(register: VecField, offset = 0): number {
    return (this.#number(this.layoutOf(register)) + offset) & 31;
  }

  override vAt(register: VecField, offset: number): V128 {
    return this.#locals.v(this.#vector(register, offset));
  }

  override d(register: VecField): I64 {
    return this.#locals.d(this.#vector(register));
  }

  override s(register: VecField): I32 {
    return wrap(this.d(register));
  }

  override setVAt(register: VecField, offset: number, value: V128): void {
    this.#locals.setV(this.#vector(register, offset), value);
  }

  override setD(register: VecField, value: I64): void {
    this.#locals.setD(this.#vector(register), value);
  }

  override lane(register: VecField, size: SizeLog2, index: I32, offset = 0): I64 {
    const lane = constantI32(index);
    if (lane === undefined) return super.lane(register, size, index, offset);
    const value = extractLane(LANES[size][0], this.vAt(register, offset), lane);
    return value.type === 'i32' ? extU(value as I32) : (value as I64);
  }

  override setLane(register: VecField, size: SizeLog2, index: I32, value: I64, offset = 0): void {
    const lane = constantI32(index);
    invariant(lane !== undefined, 'elements of registers are written by number');
    const element = size === 3 ? value : wrap(value);
    this.setVAt(register, offset, replaceLane(LANES[size][1], this.vAt(register, offset), lane, element));
  }

  // ---- values and control

  override if(condition: I32, then: () => void, otherwise?: () => void, hint?: BranchHint): void {
    this.#locals.fork((first, second) => {
      this.fb.if(
        condition,
        () => {
          first(then);
        },
        otherwise &&
          ((): void => {
            second(otherwise);
          }),
        hint,
      );
    });
  }

  override ifValue<T extends ValType>(
    condition: I32,
    then: () => Expr<T>,
    otherwise: () => Expr<T>,
    type: T,
    hint?: BranchHint,
  ): Expr<T> {
    const result = this.fb.temp(type);
    this.if(
      condition,
      () => {
        this.fb.set(result, then());
      },
      () => {
        this.fb.set(result, otherwise());
      },
      hint,
    );
    return this.fb.get(result);
  }

  // ---- condition flags

  #setFlags(kind: Flags['kind'], a: Int, b: Int): void {
    const { fb } = this;
    const { flagKind, flagA, flagB } = this.#locals;
    const wide = (value: Int): I64 => (value.type === 'i32' ? extU(value) : value);
    // Both operands may be what the flags followed from until now.
    const value = fb.let(wide(b));
    fb.set(flagA, wide(a));
    fb.set(flagB, value);
    const width = a.type;
    const base = kind === 'sub' ? FLAG_KIND.sub : FLAG_KIND.add;
    fb.set(flagKind, i32(width === 'i32' ? base | LOCAL_FLAGS.narrow : base));
    this.#locals.known.flags = { kind, width, mayBePacked: false };
  }

  override setFlagsAdd(a: Int, b: Int): void {
    this.#setFlags('add', a, b);
  }

  override setFlagsSub(a: Int, b: Int): void {
    this.#setFlags('sub', a, b);
  }

  override setFlagsLogical(result: Int): void {
    this.#setFlags('logical', result, intLike(result, 0));
  }

  override setNZCV(nzcv: I32): void {
    const { flagKind, flagA } = this.#locals;
    this.fb.set(flagA, extU(nzcv));
    this.fb.set(flagKind, i32(FLAG_KIND.packed));
    this.#locals.known.flags = 'packed';
  }

  override nzcv(): I32 {
    this.#locals.flagsToMemory();
    this.#locals.known.flags = undefined;
    return super.nzcv();
  }

  override condition(condition: number): I32 {
    const { flags } = this.#locals.known;
    if (condition >= 14) return i32(1);
    if (flags === undefined) {
      this.#locals.flagsToMemory();
      return super.condition(condition);
    }
    const { flagKind, flagA } = this.#locals;
    const packed = (): I32 => conditionOfPacked(condition, wrap(this.fb.get(flagA)));
    if (flags === 'packed') return packed();
    if (!flags.mayBePacked) return this.#conditionOf(flags, condition);
    return this.fb.ifValue(
      eq(this.fb.get(flagKind), i32(FLAG_KIND.packed)),
      packed,
      () => this.#conditionOf(flags, condition),
      'i32',
    );
  }

  #conditionOf({ kind, width }: Flags, condition: number): I32 {
    const { flagA, flagB } = this.#locals;
    const narrow = (value: I64): Int => (width === 'i32' ? wrap(value) : value);
    const [a, b] = [narrow(this.fb.get(flagA)), narrow(this.fb.get(flagB))];
    if (kind === 'sub') return conditionOfSub(condition, a, b);
    if (kind === 'logical') return conditionOfResult(condition, a);
    return conditionOfSum(condition, a, b, this.fb.let(add(a, b)));
  }

  // ---- program counter and branches

  override pc(): I64 {
    return add(field64('DELTA'), i64(this.#at));
  }

  #count(): void {
    const { n } = this.#frame;
    if (this.#locals.uncounted > 0) this.fb.set(n, this.#budget());
    this.#locals.uncounted = 0;
  }

  override branch(target: LabelField): void {
    this.#count();
    const to = this.#at + this.#signedNumber(this.layoutOf(target)) * 4;
    if (this.#link) this.#frame.call(this.#at, { host: to }, this.#link);
    else this.#frame.goTo(to);
  }

  override branchIf(condition: I32, target: LabelField): void {
    const taken = this.fb.let(condition);
    this.#count();
    this.if(taken, () => {
      this.branch(target);
    });
  }

  override branchTo(target: I64, kind: BranchKind = 'jump'): void {
    const to = this.fb.let(target);
    this.#count();
    if (this.#link) this.#frame.call(this.#at, { address: to }, this.#link);
    else this.#frame.goToAddress(to, kind === 'return');
  }

  // ---- memory

  protected override tlb(): I32 {
    return this.fb.get(this.#frame.tlb);
  }

  protected override fastPath(va: I64, tag: number, options: AccessOptions | undefined): FastPath {
    if (options?.unprivileged) return super.fastPath(va, tag, options);
    const element = this.#elements.get(localPlus(va)?.local ?? -1);
    if (element) return this.#pathOfElement(va, element, tag);
    const isStore = tag === TLB.write;
    let origin = this.#originOf(va);
    const known = origin && this.#locals.fastPathOf(origin, isStore);
    if (known) return known;
    if (!origin) {
      origin = { value: {}, plus: 0 };
      const temporary = localPlus(va);
      if (temporary) this.#origins.set(temporary.local, origin);
    }
    return this.#locals.rememberPage(origin, isStore, super.fastPath(va, tag, options));
  }

  /**
   * Where the whole table is in a page, that page is looked up, for which nobody has to wait until the index is known: mostly
   * it comes out of memory, and what is loaded is what the next index is made of.
   */
  #pathOfElement(va: I64, { table, index, bits }: TableElement, tag: number): FastPath {
    const { fb } = this;
    const page = this.fastPath(table, tag, undefined);
    const offset = fb.temp('i64');
    const host = fb.temp('i32');
    const bytes = 2 ** bits - 1 + WIDEST;
    fb.if(
      ltU(page.offset, i64(PAGE_SIZE + 1 - bytes - page.displacement)),
      () => {
        fb.set(offset, add(add(page.offset, i64(page.displacement)), index));
        fb.set(host, add(add(page.host(), i32(page.displacement)), wrap(index)));
      },
      () => {
        const path = super.fastPath(va, tag, undefined);
        fb.set(offset, path.offset);
        fb.set(host, path.host());
      },
      'taken',
    );
    return { offset: fb.get(offset), host: () => fb.get(host), displacement: 0 };
  }

  override load(address: I64, size: SizeLog2, signed = false, options?: AccessOptions): I64 {
    const value = super.load(address, size, signed, options);
    const temporary = localPlus(value);
    if (temporary && size === 0 && !signed) this.#bits.set(temporary.local, 8);
    return value;
  }

  protected override slowLoad(va: I64, size: number, options: AccessOptions | undefined): I64 {
    const { loadSlowly } = this.#frame.functions;
    const request = this.request(size, options);
    this.#locals.store();
    const value = this.fb.let(
      call(loadSlowly, va, request, i32(this.#at), this.#budget(), ...this.#locals.flags),
    );
    this.afterSlowPath();
    return value;
  }

  protected override slowStore(va: I64, size: number, value: I64, options: SlowOptions | undefined): void {
    const { storeSlowly } = this.#frame.functions;
    const isEnd = this.#endsWithStore && options?.isFollowed !== true;
    const at = i32(this.#at + (isEnd ? ENDS_WITH_STORE : 0));
    const request = this.request(size, options);
    this.#locals.store();
    const next = this.fb.let(
      call(storeSlowly, va, request, value, at, this.#budget(), ...this.#locals.flags),
    );
    const leave = (): void => {
      this.fb.return(next);
    };
    this.fb.if(next, leave, undefined, 'not taken');
    this.#afterCall();
    if (!isEnd) this.#noteStaleness();
  }

  protected override zeroSlowly(va: I64): void {
    super.zeroSlowly(va);
    this.#noteStaleness();
  }

  #noteStaleness(): void {
    this.fb.set(this.#locals.stale, field32('STALE'));
    this.#mayBeStale = true;
  }
}
