/** What expressions are inside. Only this folder looks. */
import type { Expr, Freshness, ValType } from './expr.js';

export const KIND = {
  /** A constant integer. */
  int: 0,
  /** A constant float, by its bits. */
  float: 1,
  /** A constant vector. */
  vector: 2,
  local: 3,
  operation: 4,
  load: 5,
  /** Has no value. */
  store: 6,
  call: 7,
  indirectCall: 8,
} as const;

type Kind = (typeof KIND)[keyof typeof KIND];

const NO_ARGS: readonly Node[] = [];

/**
 * One class for all kinds, so that what walks expressions meets one shape. All numbers in it are integers of 32 bits for
 * the same reason.
 */
export class Node<out T extends ValType = ValType> {
  readonly kind: Kind;
  readonly type: T;
  /** The opcode of an operation, a load or a store; the index of a local, of a function, of the type of an indirect call. */
  readonly code: number;
  /** The bits of a constant, of which those of an i32 are sign-extended; in `low` also the offset of a load or a store, and a lane. */
  readonly low: number;
  readonly high: number;
  /** Operands of an operation; address, and what is stored there; the index of an indirect call. */
  readonly a: Node | undefined;
  readonly b: Node | undefined;
  /** Arguments of a call; the operands of an operation that has three. */
  readonly args: readonly Node[];
  /** A constant vector; the lanes of a shuffle. */
  readonly bytes: ArrayLike<number> | undefined;
  readonly freshness: Freshness | undefined;

  constructor(
    kind: Kind,
    type: T,
    code: number,
    low: number,
    high: number,
    a: Node | undefined,
    b: Node | undefined,
    args: readonly Node[],
    bytes: ArrayLike<number> | undefined,
    freshness: Freshness | undefined,
  ) {
    this.kind = kind;
    this.type = type;
    this.code = code;
    this.low = low;
    this.high = high;
    this.a = a;
    this.b = b;
    this.args = args;
    this.bytes = bytes;
    this.freshness = freshness;
  }
}

export function node<T extends ValType>(e: Expr<T>): Node<T> {
  return e as Node<T>;
}

/** An operation's `low` where it has no lane. */
export const NO_LANE = -1;

/** Opcodes that extract a lane as wide as the value. */
export const EXTRACT_LANE = { i32: 0xfd1b, i64: 0xfd1d, f32: 0xfd1f, f64: 0xfd21 } as const;

/** The constant with these bits, as many of them as its type has. */
export function int<T extends ValType>(type: T, low: number, high: number): Node<T> {
  const above = type === 'i32' ? low >> 31 : high | 0;
  return new Node(KIND.int, type, 0, low | 0, above, undefined, undefined, NO_ARGS, undefined, undefined);
}

export function float<T extends ValType>(type: T, low: number, high: number): Node<T> {
  return new Node(KIND.float, type, 0, low, high, undefined, undefined, NO_ARGS, undefined, undefined);
}

export function vectorConstant(bytes: Uint8Array): Node<'v128'> {
  return new Node(KIND.vector, 'v128', 0, 0, 0, undefined, undefined, NO_ARGS, bytes, undefined);
}

export function local<T extends ValType>(type: T, index: number): Node<T> {
  return new Node(KIND.local, type, index, 0, 0, undefined, undefined, NO_ARGS, undefined, undefined);
}

/** An operation by opcode: 0xfdXX and 0xfcXX are the prefixed ones, XX in the low bits. */
export function operation<T extends ValType>(type: T, code: number, a: Expr, b?: Expr): Node<T> {
  return laneOperation(type, code, NO_LANE, a, b);
}

export function laneOperation<T extends ValType>(
  type: T,
  code: number,
  lane: number,
  a: Expr,
  b?: Expr,
): Node<T> {
  const left = node(a);
  const right = b as Node | undefined;
  return new Node(KIND.operation, type, code, lane, 0, left, right, NO_ARGS, undefined, undefined);
}

/** An operation with three operands. */
export function ternary<T extends ValType>(type: T, code: number, a: Expr, b: Expr, c: Expr): Node<T> {
  const args = [node(a), node(b), node(c)];
  return new Node(KIND.operation, type, code, NO_LANE, 0, undefined, undefined, args, undefined, undefined);
}

export function shuffleOperation(code: number, a: Expr, b: Expr, lanes: readonly number[]): Node<'v128'> {
  return new Node(KIND.operation, 'v128', code, NO_LANE, 0, node(a), node(b), NO_ARGS, lanes, undefined);
}

export function loadNode<T extends ValType>(
  type: T,
  code: number,
  address: Node,
  offset: number,
  freshness: Freshness | undefined,
): Node<T> {
  return new Node(KIND.load, type, code, offset | 0, 0, address, undefined, NO_ARGS, undefined, freshness);
}

export function storeNode(code: number, address: Node, offset: number, value: Node): Node {
  const { type } = value;
  return new Node(KIND.store, type, code, offset | 0, 0, address, value, NO_ARGS, undefined, undefined);
}

export function callNode<T extends ValType>(type: T, func: number, args: readonly Expr[]): Node<T> {
  const nodes = args as readonly Node[];
  return new Node(KIND.call, type, func, 0, 0, undefined, undefined, nodes, undefined, undefined);
}

export function indirectCall<T extends ValType>(
  type: T,
  typeIndex: number,
  index: Expr,
  args: readonly Expr[],
): Node<T> {
  const nodes = args as readonly Node[];
  const at = node(index);
  return new Node(KIND.indirectCall, type, typeIndex, 0, 0, at, undefined, nodes, undefined, undefined);
}
