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
  let fits = f.params.length === args.length;
  for (let i = 0; fits && i < args.length; i++) fits = f.params[i] === args[i]?.type;
  if (fits) return;
  const types = args.map(({ type }) => type);
  invariant(false, `${f.name} takes (${f.params.join(', ')}), called with (${types.join(', ')})`);
}
