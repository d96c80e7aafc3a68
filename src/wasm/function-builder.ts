/** Builds the body of one function. Structured control flow only, as WebAssembly has. */
import { invariant } from '../base/index.js';
import { ByteWriter } from './byte-writer.js';
import type { Expr, I32, StoreKind, ValType } from './expr.js';
import { asCondition, localGet, storing } from './expr.js';
import type { FunctionRef } from './function-ref.js';
import { checkArguments } from './function-ref.js';
import type { Node } from './node.js';
import { KIND, NO_LANE, node } from './node.js';

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

/** Which way a branch goes nearly always: its other side is compiled out of the way, where the engine listens. */
export type BranchHint = 'taken' | 'not taken';

const BLOCK = 0x02;
const LOOP = 0x03;
const IF = 0x04;
const ELSE = 0x05;
const END = 0x0b;
const VOID = 0x40;

const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;

/** Instructions of a body. A local that is read right behind its being set is set by a `local.tee`. */
class CodeWriter extends ByteWriter {
  #local = -1;
  #setAt = 0;
  #setEnd = -1;

  setLocal(index: number): void {
    this.#local = index;
    this.#setAt = this.length;
    this.u8(LOCAL_SET);
    this.u32(index);
    this.#setEnd = this.length;
  }

  getLocal(index: number): void {
    if (index === this.#local && this.length === this.#setEnd) {
      this.replace(this.#setAt, LOCAL_TEE);
      this.#setEnd = -1;
      return;
    }
    this.u8(LOCAL_GET);
    this.u32(index);
  }
}

export class FunctionBuilder {
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
  /** Body without the locals' declarations and the final `end`. */
  readonly #code = new CodeWriter();
  /** Declared locals after the parameters. */
  readonly #locals: ValType[] = [];
  /** Of branch hints, with where in the body they are. */
  readonly #hints: { readonly at: number; readonly hint: BranchHint }[] = [];
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
    this.#locals.push(type);
    return { type, index: this.params.length + this.#locals.length - 1 };
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
    if (local.type !== value.type) invariant(false, `local of type ${local.type} set to ${value.type}`);
    this.emit(value);
    this.#code.setLocal(local.index);
  }

  /** Evaluates `value` now; the result can be used any number of times. */
  let<T extends ValType>(value: Expr<T>): Expr<T> {
    if (node(value).kind <= KIND.vector) return value;
    const local = this.temp(value.type);
    this.set(local, value);
    return this.get(local);
  }

  store(kind: StoreKind, address: I32, offset: number, value: Expr): void {
    emitNode(this.#code, storing(kind, address, offset, value));
  }

  drop(value: Expr): void {
    this.emit(value);
    this.#code.u8(0x1a);
  }

  /** Calls a function without results. */
  call(f: FunctionRef<'none'>, ...args: Expr[]): void {
    checkArguments(f, args);
    for (const arg of args) this.emit(arg);
    this.#code.u8(0x10);
    this.#code.u32(f.index);
  }

  return(value?: Expr): void {
    if (value) this.emit(value);
    this.#code.u8(0x0f);
  }

  unreachable(): void {
    this.#code.u8(0x00);
  }

  if(condition: I32, then: () => void, otherwise?: () => void, hint?: BranchHint): void {
    this.emit(asCondition(condition));
    if (hint !== undefined) this.#hints.push({ at: this.#code.length, hint });
    this.#open(IF);
    this.#depth++;
    then();
    if (otherwise) {
      this.#code.u8(ELSE);
      otherwise();
    }
    this.#depth--;
    this.#code.u8(END);
  }

  /** One of two values, only the chosen one evaluated. */
  ifValue<T extends ValType>(
    condition: I32,
    then: () => Expr<T>,
    otherwise: () => Expr<T>,
    type: T,
    hint?: BranchHint,
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
      hint,
    );
    return this.get(result);
  }

  /** `br` to the label leaves the block. */
  block(what: string, body: (end: Label) => void): void {
    this.#open(BLOCK);
    const label = { depth: this.#depth, what };
    this.#depth++;
    body(label);
    this.#depth--;
    this.#code.u8(END);
  }

  /** `br` to the label goes on with the next round; falling off the end leaves the loop. */
  loop(what: string, body: (head: Label) => void): void {
    this.#open(LOOP);
    const label = { depth: this.#depth, what };
    this.#depth++;
    body(label);
    this.#depth--;
    this.#code.u8(END);
  }

  br(label: Label): void {
    this.#code.u8(0x0c);
    this.#code.u32(this.#distance(label));
  }

  brIf(label: Label, condition: I32, hint?: BranchHint): void {
    this.emit(asCondition(condition));
    if (hint !== undefined) this.#hints.push({ at: this.#code.length, hint });
    this.#code.u8(0x0d);
    this.#code.u32(this.#distance(label));
  }

  /** Branches to `labels[index]`, to `otherwise` where the index is past their end. */
  brTable(index: I32, labels: readonly Label[], otherwise: Label): void {
    this.emit(index);
    this.#code.u8(0x0e);
    this.#code.u32(labels.length);
    for (const label of labels) this.#code.u32(this.#distance(label));
    this.#code.u32(this.#distance(otherwise));
  }

  /**
   * Jumps to `cases[index]`'s code; an index past the end takes the last. Each case is generated in order and must
   * not fall off its end.
   */
  switch(index: I32, cases: readonly (() => void)[]): void {
    for (let i = 0; i < cases.length; i++) this.#open(BLOCK);
    this.emit(index);
    this.#code.u8(0x0e);
    this.#code.u32(cases.length - 1);
    for (let i = 0; i < cases.length; i++) this.#code.u32(i);
    this.#depth += cases.length;
    for (const body of cases) {
      this.#depth--;
      this.#code.u8(END);
      body();
    }
  }

  /** Fills `length` bytes at `address` with `byte`. */
  memoryFill(address: I32, byte: I32, length: I32): void {
    this.emit(address);
    this.emit(byte);
    this.emit(length);
    writeOpcode(this.#code, 0xfc0b);
    this.#code.u8(0);
  }

  emit(e: Expr): void {
    emitNode(this.#code, node(e));
  }

  #open(construct: number): void {
    this.#code.u8(construct);
    this.#code.u8(VOID);
  }

  #distance(label: Label): number {
    const distance = this.#depth - 1 - label.depth;
    if (distance < 0) invariant(false, `branch out of ${label.what} from outside it`);
    return distance;
  }

  get hasHints(): boolean {
    return this.#hints.length > 0;
  }

  /** Writes what follows the function's index in the section `metadata.code.branch_hint`. */
  writeHintsTo(out: ByteWriter): void {
    const before = this.#declarations().length;
    out.u32(this.#hints.length);
    for (const { at, hint } of this.#hints) {
      out.u32(before + at);
      out.bytes([1, hint === 'taken' ? 1 : 0]);
    }
  }

  /** Writes the code section's entry: size, locals, body, end. */
  writeTo(out: ByteWriter): void {
    invariant(this.#depth === 0, 'unclosed block');
    const head = this.#declarations();
    out.u32(head.length + this.#code.length + 1);
    out.append(head);
    out.append(this.#code);
    out.u8(END);
  }

  /** Of the locals. */
  #declarations(): ByteWriter {
    const head = new ByteWriter();
    const runs: { type: ValType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    head.u32(runs.length);
    for (const run of runs) {
      head.u32(run.count);
      head.valType(run.type);
    }
    return head;
  }
}

function writeOpcode(out: ByteWriter, code: number): void {
  if (code < 0x100) {
    out.u8(code);
  } else {
    out.u8(code >> 8);
    out.u32(code & 0xff);
  }
}

/** The instruction of a load or a store. */
function writeAccess(out: ByteWriter, { code, low: offset }: Node): void {
  writeOpcode(out, code);
  out.u8(0); // alignment hint: none
  out.u32(offset);
}

function emitNode(out: CodeWriter, n: Node): void {
  switch (n.kind) {
    case KIND.int:
      if (n.type === 'i32') {
        out.u8(0x41);
        out.s32(n.low);
      } else {
        out.u8(0x42);
        out.s64(n.low, n.high);
      }
      return;
    case KIND.float:
      out.u8(n.type === 'f32' ? 0x43 : 0x44);
      out.word(n.low);
      if (n.type === 'f64') out.word(n.high);
      return;
    case KIND.vector:
      out.u8(0xfd);
      out.u8(0x0c);
      if (n.bytes) out.bytes(n.bytes);
      return;
    case KIND.local:
      out.getLocal(n.code);
      return;
    case KIND.operation:
      if (n.a) emitNode(out, n.a);
      if (n.b) emitNode(out, n.b);
      for (const arg of n.args) emitNode(out, arg);
      writeOpcode(out, n.code);
      if (n.low !== NO_LANE) out.u8(n.low);
      if (n.bytes) out.bytes(n.bytes);
      return;
    case KIND.load:
      if (n.freshness?.isStale === true)
        invariant(false, 'a register read is used after the register was written');
      if (n.a) emitNode(out, n.a);
      writeAccess(out, n);
      return;
    case KIND.store:
      if (n.a) emitNode(out, n.a);
      if (n.b) emitNode(out, n.b);
      writeAccess(out, n);
      return;
    case KIND.call:
      for (const arg of n.args) emitNode(out, arg);
      out.u8(0x10);
      out.u32(n.code);
      return;
    case KIND.indirectCall:
      for (const arg of n.args) emitNode(out, arg);
      if (n.a) emitNode(out, n.a);
      out.u8(0x11);
      out.u32(n.code);
      out.u8(0);
      return;
  }
}
