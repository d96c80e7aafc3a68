/**
 * Helpers: computations too large to stand in every handler that needs them, such as rounding a sum. An instruction's
 * `exec` calls one with `Stage.call`; the core module gets one function for each that is called.
 */
import { invariant } from '../base/index.js';
import type { Expr, I32, ValType } from '../wasm/expr.js';
import type { FunctionBuilder, Local } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call } from '../wasm/function-ref.js';
import type { ModuleBuilder } from '../wasm/module-builder.js';

/** What a helper's body sees: its function, and the state that it may touch. */
export interface HelperBody {
  readonly fb: FunctionBuilder;
  /** FPCR and FPSR as they are where the expression is evaluated. */
  fpcr(): I32;
  fpsr(): I32;
  /** Sets the bits of FPSR that are one in `bits`. */
  orFpsr(bits: I32): void;
  /** Calls another helper (recursion included) and keeps its result. */
  readonly call: <T extends ValType>(helper: Helper<T>, ...args: Expr[]) => Expr<T>;
}

export interface Helper<R extends ValType = ValType> {
  /** Unique: it names the function in profiles. */
  readonly name: string;
  readonly params: readonly ValType[];
  readonly result: R;
  /** Generates the body, which returns on every path. Values of FPSR are the only effect a helper may have. */
  readonly build: (body: HelperBody, params: readonly Local[]) => void;
}

/** Gives the function of `mb` for a helper, which is made when first asked for. `state` is the CPU's, as `fb` sees it. */
export function helperFunctions(
  mb: ModuleBuilder,
  state: (fb: FunctionBuilder) => Pick<HelperBody, 'fpcr' | 'fpsr' | 'orFpsr'>,
): <R extends ValType>(helper: Helper<R>) => FunctionRef<R> {
  const known = new Map<string, { readonly helper: Helper; readonly f: FunctionRef<ValType> }>();
  const functionOf = <R extends ValType>(helper: Helper<R>): FunctionRef<R> => {
    const found = known.get(helper.name);
    if (found) {
      invariant(found.helper === helper, `two helpers are called ${helper.name}`);
      return found.f as FunctionRef<R>;
    }
    const f = mb.declare(helper.name, helper.params, helper.result);
    known.set(helper.name, { helper, f });
    mb.define(f, (fb) => {
      helper.build(
        { fb, ...state(fb), call: (other, ...args) => fb.let(call(functionOf(other), ...args)) },
        helper.params.map((type, i) => fb.param(i, type)),
      );
      fb.unreachable();
    });
    return f;
  };
  return functionOf;
}
