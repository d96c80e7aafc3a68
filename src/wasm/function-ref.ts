import { invariant } from '../base/index.js';
import type { Expr, ValType } from './expr.js';
import { callExpr } from './expr.js';

/** A function that can be called: imported, or defined in the module (perhaps later). */
export interface FunctionRef<R extends ValType | 'none' = ValType | 'none'> {
  readonly name: string;
  readonly index: number;
  readonly params: readonly ValType[];
  readonly result: R;
}

/** `f(args)` as an expression. Evaluating it twice calls twice. */
export function call<T extends ValType>(f: FunctionRef<T>, ...args: Expr[]): Expr<T> {
  checkArguments(f, args);
  return callExpr(f.result, f.index, args);
}

export function checkArguments(f: FunctionRef, args: readonly Expr[]): void {
  invariant(
    f.params.length === args.length && f.params.every((type, i) => args[i]?.type === type),
    `${f.name} takes (${f.params.join(', ')}), called with (${args.map((a) => a.type).join(', ')})`,
  );
}
