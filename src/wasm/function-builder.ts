/** Builds the body of one function. Structured control flow only, as WebAssembly has. */
import { invariant } from '../base/index.js';
import { pushS32, pushS64, pushU32, valType } from './encode.js';
import type { Expr, I32, StoreKind, ValType } from './expr.js';
import { STORES, localGet, node } from './expr.js';
import type { FunctionRef } from './function-ref.js';
import { checkArguments } from './function-ref.js';

/** A local variable or parameter. */
export interface Local<T extends ValType = ValType> {
  readonly type: T;
  readonly index: number;
}

/** The target of a branch: the end of a block or the head of a loop. */
export interface Label {
  /** Control nesting at which the construct was opened. */
  readonly depth: number;
  readonly what: string;
}

const BLOCK = 0x02;
const LOOP = 0x03;
const IF = 0x04;
const ELSE = 0x05;
const END = 0x0b;
const VOID = 0x40;

export class FunctionBuilder {
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
  /** Body without the locals' declarations and the final `end`. */
  readonly code: number[] = [];
  /** Declared locals after the parameters. */
  readonly locals: ValType[] = [];
  #depth = 0;
  /** Temporaries free for reuse: with a fresh local each, baseline compilation goes quadratic. */
  readonly #free: Record<ValType, Local[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  #scope: Local[] | undefined;

  constructor(params: readonly ValType[], results: readonly ValType[]) {
    this.params = params;
    this.results = results;
  }

  param<T extends ValType>(index: number, type: T): Local<T> {
    invariant(this.params[index] === type, `parameter ${index} is no ${type}`);
    return { type, index };
  }

  /** A local for the whole function. */
  local<T extends ValType>(type: T): Local<T> {
    this.locals.push(type);
    return { type, index: this.params.length + this.locals.length - 1 };
  }

  /** A local for the rest of the innermost `scope`, or for the whole function outside one. Its value is undefined. */
  temp<T extends ValType>(type: T): Local<T> {
    const local = (this.#free[type].pop() as Local<T> | undefined) ?? this.local(type);
    this.#scope?.push(local);
    return local;
  }

  /** Runs `body`; the temporaries made inside are free afterwards. */
  scope(body: () => void): void {
    const outer = this.#scope;
    const mine: Local[] = [];
    this.#scope = mine;
    body();
    this.#scope = outer;
    for (const local of mine) this.#free[local.type].push(local);
  }

  get<T extends ValType>(local: Local<T>): Expr<T> {
    return localGet(local.type, local.index);
  }

  set<T extends ValType>(local: Local<T>, value: Expr<T>): void {
    invariant(local.type === value.type, `local of type ${local.type} set to ${value.type}`);
    this.emit(value);
    this.code.push(0x21);
    pushU32(this.code, local.index);
  }

  /** Evaluates `value` now; the result can be used any number of times. */
  let<T extends ValType>(value: Expr<T>): Expr<T> {
    const n = node(value);
    if (n.kind === 'const') return value;
    const local = this.temp(value.type);
    this.set(local, value);
    return this.get(local);
  }

  store(kind: StoreKind, address: I32, offset: number, value: Expr): void {
    this.emit(address);
    this.emit(value);
    this.#opcode(STORES[kind]);
    this.code.push(0); // alignment hint: none
    pushU32(this.code, offset);
  }

  drop(value: Expr): void {
    this.emit(value);
    this.code.push(0x1a);
  }

  /** Calls a function without results. */
  call(f: FunctionRef<'none'>, ...args: Expr[]): void {
    checkArguments(f, args);
    for (const arg of args) this.emit(arg);
    this.code.push(0x10);
    pushU32(this.code, f.index);
  }

  return(value?: Expr): void {
    if (value) this.emit(value);
    this.code.push(0x0f);
  }

  unreachable(): void {
    this.code.push(0x00);
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.emit(condition);
    this.code.push(IF, VOID);
    this.#depth++;
    then();
    if (otherwise) {
      this.code.push(ELSE);
      otherwise();
    }
    this.#depth--;
    this.code.push(END);
  }

  /** One of two values, only the chosen one evaluated. */
  ifValue<T extends ValType>(
    condition: I32,
    then: () => Expr<T>,
    otherwise: () => Expr<T>,
    type: T,
  ): Expr<T> {
    const result = this.temp(type);
    this.if(
      condition,
      () => {
        this.set(result, then());
      },
      () => {
        this.set(result, otherwise());
      },
    );
    return this.get(result);
  }

  /** `br` to the label leaves the block. */
  block(what: string, body: (end: Label) => void): void {
    this.code.push(BLOCK, VOID);
    const label = { depth: this.#depth, what };
    this.#depth++;
    body(label);
    this.#depth--;
    this.code.push(END);
  }

  /** `br` to the label goes on with the next round; falling off the end leaves the loop. */
  loop(what: string, body: (head: Label) => void): void {
    this.code.push(LOOP, VOID);
    const label = { depth: this.#depth, what };
    this.#depth++;
    body(label);
    this.#depth--;
    this.code.push(END);
  }

  br(label: Label): void {
    this.code.push(0x0c);
    pushU32(this.code, this.#distance(label));
  }

  brIf(label: Label, condition: I32): void {
    this.emit(condition);
    this.code.push(0x0d);
    pushU32(this.code, this.#distance(label));
  }

  /** Branches to `labels[index]`, to `otherwise` where the index is past their end. */
  brTable(index: I32, labels: readonly Label[], otherwise: Label): void {
    this.emit(index);
    this.code.push(0x0e);
    pushU32(this.code, labels.length);
    for (const label of [...labels, otherwise]) pushU32(this.code, this.#distance(label));
  }

  /**
   * Jumps to `cases[index]`'s code; an index past the end takes the last. Each case is generated in order and must
   * not fall off its end.
   */
  switch(index: I32, cases: readonly (() => void)[]): void {
    for (let i = 0; i < cases.length; i++) this.code.push(BLOCK, VOID);
    this.emit(index);
    this.code.push(0x0e);
    pushU32(this.code, cases.length - 1);
    for (let i = 0; i < cases.length; i++) pushU32(this.code, i);
    this.#depth += cases.length;
    for (const body of cases) {
      this.#depth--;
      this.code.push(END);
      body();
    }
  }

  /** Fills `length` bytes at `address` with `byte`. */
  memoryFill(address: I32, byte: I32, length: I32): void {
    this.emit(address);
    this.emit(byte);
    this.emit(length);
    this.code.push(0xfc, 0x0b, 0);
  }

  emit(e: Expr): void {
    const n = node(e);
    switch (n.kind) {
      case 'const':
        this.#constant(n.type, n.value);
        return;
      case 'local':
        this.code.push(0x20);
        pushU32(this.code, n.index);
        return;
      case 'global':
        this.code.push(0x23);
        pushU32(this.code, n.index);
        return;
      case 'op':
        for (const arg of n.args) this.emit(arg);
        this.#opcode(n.opcode);
        if (n.immediate) this.code.push(...n.immediate);
        return;
      case 'load':
        invariant(n.freshness?.isStale !== true, 'a register read is used after the register was written');
        this.emit(n.address);
        this.#opcode(n.opcode);
        this.code.push(0);
        pushU32(this.code, n.offset);
        return;
      case 'call':
        for (const arg of n.args) this.emit(arg);
        this.code.push(0x10);
        pushU32(this.code, n.func);
        return;
      case 'call indirect':
        for (const arg of n.args) this.emit(arg);
        this.emit(n.index);
        this.code.push(0x11);
        pushU32(this.code, n.typeIndex);
        this.code.push(0);
        return;
    }
  }

  #opcode(opcode: number): void {
    if (opcode < 0x100) this.code.push(opcode);
    else {
      this.code.push(opcode >> 8);
      pushU32(this.code, opcode & 0xff);
    }
  }

  #constant(type: ValType, value: number | bigint | Uint8Array): void {
    switch (type) {
      case 'i32':
        this.code.push(0x41);
        pushS32(this.code, Number(value));
        return;
      case 'i64':
        this.code.push(0x42);
        pushS64(this.code, BigInt(value as bigint));
        return;
      case 'f32':
      case 'f64': {
        const bytes = new DataView(new ArrayBuffer(8));
        if (type === 'f32') bytes.setFloat32(0, Number(value), true);
        else bytes.setFloat64(0, Number(value), true);
        this.code.push(type === 'f32' ? 0x43 : 0x44);
        for (let i = 0; i < (type === 'f32' ? 4 : 8); i++) this.code.push(bytes.getUint8(i));
        return;
      }
      case 'v128':
        this.code.push(0xfd, 0x0c, ...(value as Uint8Array));
        return;
    }
  }

  #distance(label: Label): number {
    const distance = this.#depth - 1 - label.depth;
    invariant(distance >= 0, `branch out of ${label.what} from outside it`);
    return distance;
  }

  /** The code section's entry: locals, body, end. */
  encode(): number[] {
    invariant(this.#depth === 0, 'unclosed block');
    const body: number[] = [];
    const runs: { type: ValType; count: number }[] = [];
    for (const type of this.locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    pushU32(body, runs.length);
    for (const run of runs) {
      pushU32(body, run.count);
      body.push(valType(run.type));
    }
    for (const byte of this.code) body.push(byte);
    body.push(END);
    return body;
  }
}
