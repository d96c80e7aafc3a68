/**
 * `Stage` for the translator: the instruction's word is known, so all its fields are constants, and so is its host
 * address. The CPU's state in memory is what it would be in the interpreter after every instruction: exits and slow paths
 * have nothing to put back. Registers that a block has read or written are also in locals, where its later instructions find
 * them; so are the operands that flags follow from.
 */
import { invariant } from '../base/index.js';
import type { DynamicField, FieldLayout, LabelField, RegField, Row, VecField } from '../isa/row.js';
import { fieldValue, signedFieldValue } from '../isa/row.js';
import type { AccessOptions, AtomicOperation, SizeLog2 } from '../isa/stage.js';
import type { Expr, I32, I64, Int, V128, ValType } from '../wasm/expr.js';
import { add, eqz, geS, gtS, i32, i64, intLike, leS, load, ltS, ltU, ne, sub, wrap } from '../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder, Local } from '../wasm/function-builder.js';
import { extractLane } from '../wasm/simd.js';
import { FLAG_KIND, conditionOfSub, flagOperand } from './flags.js';
import type { CoreFunctions, LookupTables } from './interpreter-stage.js';
import { InterpreterStage, NEXT } from './interpreter-stage.js';
import { STATE } from './layout.js';
import { field32, field64, setField32, setField64 } from './state.js';

/** Locals of a region's function, and ways to go on. */
export interface RegionFrame {
  readonly n: Local<'i32'>;
  readonly tlb: Local<'i32'>;
  /** Non-zero after a store that dropped translated code. */
  readonly stale: Local<'i32'>;
  /** Goes on at the word at host address `p`; the budget has been brought up to date. */
  goTo(p: number): void;
  /** Goes on at a virtual address; the budget has been brought up to date. */
  goToAddress(target: I64): void;
}

/** What flags follow from, and how wide the operands are. */
interface Flags {
  readonly kind: 'add' | 'sub' | 'logical';
  readonly width: 'i32' | 'i64';
}

/** The stack pointer's place among the general registers. */
const SP = 32;

/** What locals hold, besides the memory behind them. */
interface Known {
  readonly x: ReadonlySet<number>;
  /** Whole vector registers, and their low halves. */
  readonly v: ReadonlySet<number>;
  readonly d: ReadonlySet<number>;
  readonly flags: Flags | undefined;
  readonly isSimdChecked: boolean;
}

const NOTHING: Known = {
  x: new Set(),
  v: new Set(),
  d: new Set(),
  flags: undefined,
  isSimdChecked: false,
};

function both<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): Set<T> {
  return new Set([...a].filter((value) => b.has(value)));
}

/** What a region's function has in locals as its code is generated. One for each function. */
export class RegionLocals {
  readonly #fb: FunctionBuilder;
  readonly #x: Local<'i64'>[] = [];
  readonly #v: Local<'v128'>[] = [];
  readonly #d: Local<'i64'>[] = [];
  readonly #flags = new Map<ValType, readonly [Local, Local]>();
  #known = NOTHING;
  /** Instructions of the block so far, the current one included, that the budget doesn't know of. */
  uncounted = 0;

  constructor(fb: FunctionBuilder) {
    this.#fb = fb;
  }

  x(register: number): Local<'i64'> {
    return (this.#x[register] ??= this.#fb.local('i64'));
  }

  v(register: number): Local<'v128'> {
    return (this.#v[register] ??= this.#fb.local('v128'));
  }

  d(register: number): Local<'i64'> {
    return (this.#d[register] ??= this.#fb.local('i64'));
  }

  flags<T extends 'i32' | 'i64'>(width: T): readonly [Local<T>, Local<T>] {
    const found = this.#flags.get(width) ?? [this.#fb.local(width), this.#fb.local(width)];
    this.#flags.set(width, found);
    return found as readonly [Local<T>, Local<T>];
  }

  get known(): Known {
    return this.#known;
  }

  learn(more: Partial<Known>): void {
    this.#known = { ...this.#known, ...more };
  }

  /** At the start of a block, and after what may have changed any state. */
  forget(): void {
    this.#known = NOTHING;
  }

  /** Generates two ways through the code; behind them is known what both know. */
  fork(generate: (then: (body: () => void) => void, otherwise: (body: () => void) => void) => void): void {
    const before = this.#known;
    const ends: Known[] = [];
    const way = (body: () => void): void => {
      this.#known = before;
      body();
      ends.push(this.#known);
    };
    generate(way, way);
    const [a, b = before] = ends;
    invariant(a !== undefined, 'there is a way');
    this.#known = {
      x: both(a.x, b.x),
      v: both(a.v, b.v),
      d: both(a.d, b.d),
      flags: a.flags === b.flags ? a.flags : undefined,
      isSimdChecked: a.isSimdChecked && b.isSimdChecked,
    };
  }
}

export class TranslatorStage extends InterpreterStage {
  readonly #word: number;
  /** Host address of the instruction. */
  readonly #at: number;
  readonly #frame: RegionFrame;
  readonly #locals: RegionLocals;
  #stores = false;

  constructor(
    fb: FunctionBuilder,
    core: CoreFunctions,
    lookups: LookupTables,
    row: Row,
    word: number,
    at: number,
    frame: RegionFrame,
    locals: RegionLocals,
  ) {
    super(fb, core, lookups, row, { is31: new Set(), isFar: false }, undefined);
    this.#word = word;
    this.#at = at;
    this.#frame = frame;
    this.#locals = locals;
  }

  protected override begin(): void {
    // Nothing: the word is known.
  }

  protected override end(): void {
    if (!this.#stores) return;
    this.fb.if(this.fb.get(this.#frame.stale), () => {
      this.fb.set(this.#frame.n, sub(this.fb.get(this.#frame.n), i32(this.#locals.uncounted)));
      this.#frame.goToAddress(add(this.pc(), i64(4)));
    });
  }

  protected override checkSimdAccess(): void {
    if (this.#locals.known.isSimdChecked) return;
    super.checkSimdAccess();
    this.#locals.learn({ isSimdChecked: true });
  }

  // ---- leaving

  /** The budget's cell counts the instructions up to this one, so that devices see the right time. */
  protected override spill(): void {
    setField32(this.fb, 'BUDGET', sub(this.fb.get(this.#frame.n), i32(this.#locals.uncounted)));
  }

  protected override afterSlowPath(): void {
    this.fb.if(field32('FAULT'), () => {
      this.refetch();
    });
    this.fb.set(this.#frame.n, add(field32('BUDGET'), i32(this.#locals.uncounted)));
    this.fb.set(this.#frame.stale, field32('STALE'));
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
    const layout = this.layoutOf(register);
    const number = this.#number(layout);
    if (number !== 31) return number;
    return layout.kind === 'register-or-sp' ? SP : undefined;
  }

  #readX(register: number): I64 {
    const { known } = this.#locals;
    const local = this.#locals.x(register);
    if (!known.x.has(register)) {
      this.fb.set(local, register === SP ? field64('SP') : load('i64', i32(0), STATE.X.at + 8 * register));
      this.#locals.learn({ x: new Set(known.x).add(register) });
    }
    return this.fb.get(local);
  }

  #writeX(register: number, value: I64): void {
    const local = this.#locals.x(register);
    this.fb.set(local, value);
    this.fb.store(
      'i64',
      i32(0),
      register === SP ? STATE.SP.at : STATE.X.at + 8 * register,
      this.fb.get(local),
    );
    this.#locals.learn({ x: new Set(this.#locals.known.x).add(register) });
  }

  override x(register: RegField): I64 {
    const number = this.#register(register);
    return number === undefined ? i64(0) : this.#readX(number);
  }

  override w(register: RegField): I32 {
    return wrap(this.x(register));
  }

  override setX(register: RegField, value: I64): void {
    const number = this.#register(register);
    if (number !== undefined) this.#writeX(number, value);
  }

  override xAt(register: RegField, offset: number): I64 {
    const number = this.#number(this.layoutOf(register)) + offset;
    return number === 31 ? i64(0) : this.#readX(number);
  }

  override setXAt(register: RegField, offset: number, value: I64): void {
    const number = this.#number(this.layoutOf(register)) + offset;
    if (number !== 31) this.#writeX(number, value);
  }

  override setLinkRegister(value: I64): void {
    this.#writeX(30, value);
  }

  override checkStackAlignment(register: RegField): void {
    if (this.#register(register) === SP) super.checkStackAlignment(register);
  }

  // ---- vector registers

  #vector(register: VecField, offset = 0): number {
    return (this.#number(this.layoutOf(register)) + offset) & 31;
  }

  override vAt(register: VecField, offset: number): V128 {
    const number = this.#vector(register, offset);
    const { known } = this.#locals;
    const local = this.#locals.v(number);
    if (!known.v.has(number)) {
      this.fb.set(local, load('v128', i32(0), STATE.V.at + 16 * number));
      this.#locals.learn({ v: new Set(known.v).add(number) });
    }
    return this.fb.get(local);
  }

  override d(register: VecField): I64 {
    const number = this.#vector(register);
    const { known } = this.#locals;
    const local = this.#locals.d(number);
    if (!known.d.has(number)) {
      this.fb.set(
        local,
        known.v.has(number)
          ? extractLane('i64x2.extract_lane', this.fb.get(this.#locals.v(number)), 0)
          : load('i64', i32(0), STATE.V.at + 16 * number),
      );
      this.#locals.learn({ d: new Set(known.d).add(number) });
    }
    return this.fb.get(local);
  }

  override s(register: VecField): I32 {
    return wrap(this.d(register));
  }

  override setVAt(register: VecField, offset: number, value: V128): void {
    const number = this.#vector(register, offset);
    const local = this.#locals.v(number);
    this.fb.set(local, value);
    this.fb.store('v128', i32(0), STATE.V.at + 16 * number, this.fb.get(local));
    const { v, d } = this.#locals.known;
    const halves = new Set(d);
    halves.delete(number);
    this.#locals.learn({ v: new Set(v).add(number), d: halves });
  }

  override setD(register: VecField, value: I64): void {
    const number = this.#vector(register);
    const local = this.#locals.d(number);
    this.fb.set(local, value);
    this.fb.store('i64', i32(0), STATE.V.at + 16 * number, this.fb.get(local));
    this.fb.store('i64', i32(0), STATE.V.at + 16 * number + 8, i64(0));
    const { v, d } = this.#locals.known;
    const whole = new Set(v);
    whole.delete(number);
    this.#locals.learn({ v: whole, d: new Set(d).add(number) });
  }

  override setLane(register: VecField, size: SizeLog2, index: I32, value: I64, offset = 0): void {
    super.setLane(register, size, index, value, offset);
    const number = this.#vector(register, offset);
    const { v, d } = this.#locals.known;
    const [whole, halves] = [new Set(v), new Set(d)];
    whole.delete(number);
    halves.delete(number);
    this.#locals.learn({ v: whole, d: halves });
  }

  // ---- values and control

  override if(condition: I32, then: () => void, otherwise?: () => void): void {
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
      );
    });
  }

  override ifValue<T extends ValType>(
    condition: I32,
    then: () => Expr<T>,
    otherwise: () => Expr<T>,
    type: T,
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
    );
    return this.fb.get(result);
  }

  // ---- condition flags

  #setFlags(kind: Flags['kind'], a: Int, b: Int): void {
    const { fb } = this;
    const width = a.type;
    const [first, second] = this.#locals.flags(width) as readonly [Local<'i64'>, Local<'i64'>];
    // Both operands may be what the flags followed from until now.
    const value = fb.let(b);
    fb.set(first, a as I64);
    fb.set(second, value as I64);
    setField64(fb, 'FLAG_A', flagOperand(fb.get(first)));
    setField64(fb, 'FLAG_B', flagOperand(fb.get(second)));
    setField32(fb, 'FLAG_KIND', i32(kind === 'sub' ? FLAG_KIND.sub : FLAG_KIND.add));
    this.#locals.learn({ flags: { kind, width } });
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
    super.setNZCV(nzcv);
    this.#locals.learn({ flags: undefined });
  }

  override condition(condition: number): I32 {
    const { flags } = this.#locals.known;
    if (condition >= 14) return i32(1);
    if (flags === undefined) return super.condition(condition);
    const [a, b] = this.#locals.flags(flags.width).map((local) => this.fb.get(local)) as [I64, I64];
    if (flags.kind === 'sub') return conditionOfSub(condition, a, b);
    return this.#conditionOfSum(condition, a, b, flags.kind === 'logical') ?? super.condition(condition);
  }

  /** Conditions after `a + b`, where `b` is zero and C and V are clear if it `isLogical`. */
  #conditionOfSum(condition: number, a: I64, b: I64, isLogical: boolean): I32 | undefined {
    const zero = intLike(a, 0);
    const sum = (): I64 => (isLogical ? a : add(a, b));
    switch (condition) {
      case 0:
        return eqz(sum());
      case 1:
        return ne(sum(), zero);
      case 2:
        return isLogical ? i32(0) : ltU(sum(), a);
      case 3:
        return isLogical ? i32(1) : eqz(ltU(sum(), a));
      case 4:
        return ltS(sum(), zero);
      case 5:
        return geS(sum(), zero);
      default:
        break;
    }
    if (!isLogical) return undefined;
    // V is clear; C is clear.
    return [i32(0), i32(1), i32(0), i32(1), geS(a, zero), ltS(a, zero), gtS(a, zero), leS(a, zero)][
      condition - 6
    ];
  }

  // ---- program counter and branches

  override pc(): I64 {
    return add(field64('DELTA'), i64(this.#at));
  }

  #count(): void {
    const { n } = this.#frame;
    if (this.#locals.uncounted > 0) this.fb.set(n, sub(this.fb.get(n), i32(this.#locals.uncounted)));
    this.#locals.uncounted = 0;
  }

  override branch(target: LabelField): void {
    this.#count();
    this.#frame.goTo(this.#at + this.#signedNumber(this.layoutOf(target)) * 4);
  }

  override branchIf(condition: I32, target: LabelField): void {
    const taken = this.fb.let(condition);
    this.#count();
    this.if(taken, () => {
      this.branch(target);
    });
  }

  override branchTo(target: I64): void {
    const to = this.fb.let(target);
    this.#count();
    this.#frame.goToAddress(to);
  }

  // ---- memory

  protected override tlb(): I32 {
    return this.fb.get(this.#frame.tlb);
  }

  override store(address: I64, size: SizeLog2, value: I64, options?: AccessOptions): void {
    this.#stores = true;
    super.store(address, size, value, options);
  }

  override storePair(address: I64, size: SizeLog2, first: I64, second: I64, options?: AccessOptions): void {
    this.#stores = true;
    super.storePair(address, size, first, second, options);
  }

  override storeV(address: I64, value: V128, options?: AccessOptions): void {
    this.#stores = true;
    super.storeV(address, value, options);
  }

  override atomic(operation: AtomicOperation, address: I64, size: SizeLog2, operand: I64): I64 {
    this.#stores = true;
    return super.atomic(operation, address, size, operand);
  }

  override compareAndSwap(address: I64, size: SizeLog2, expected: I64, value: I64): I64 {
    this.#stores = true;
    return super.compareAndSwap(address, size, expected, value);
  }

  override compareAndSwapPair(
    address: I64,
    expected: readonly [I64, I64],
    value: readonly [I64, I64],
  ): readonly [I64, I64] {
    this.#stores = true;
    return super.compareAndSwapPair(address, expected, value);
  }
}
