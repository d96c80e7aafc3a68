/**
 * Helpers: computations too large to stand in every handler that needs them, such as rounding a sum. An instruction's
 * `exec` calls one with `Stage.call`; the core module gets one function for each that is called.
 */
import type { Expr, I32, ValType } from '../wasm/expr.js';
import type { FunctionBuilder, Local } from '../wasm/function-builder.js';

/** What a helper's body sees: its function, and the state that it may touch. */
export interface HelperBody {
  readonly fb: FunctionBuilder;
  /** FPCR as it is when the helper runs. */
  fpcr(): I32;
  /** Sets the bits of FPSR that are one in `bits`. */
  orFpsr(bits: I32): void;
  /** Calls another helper (recursion included) and keeps its result. */
  call<T extends ValType>(helper: Helper<T>, ...args: Expr[]): Expr<T>;
}

export interface Helper<R extends ValType = ValType> {
  /** Unique: it names the function in profiles. */
  readonly name: string;
  readonly params: readonly ValType[];
  readonly result: R;
  /** Generates the body, which returns on every path. Values of FPSR are the only effect a helper may have. */
  readonly build: (body: HelperBody, params: readonly Local[]) => void;
}
