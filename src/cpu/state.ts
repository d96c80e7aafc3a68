/** Access to the CPU's state from generated code. */
import { invariant } from '../base/index.js';
import { systemRegister } from '../isa/system-registers.js';
import type { Expr, Freshness, I32, I64 } from '../wasm/expr.js';
import { i32, load } from '../wasm/expr.js';
import type { FunctionBuilder } from '../wasm/function-builder.js';
import type { StateField } from './layout.js';
import { STATE } from './layout.js';

/** A 32-bit field. */
export function field32(name: StateField): I32 {
  return load('i32', i32(0), STATE[name].at);
}

/** A 64-bit field; `index` for arrays. */
export function field64(name: StateField, index = 0, freshness?: Freshness): I64 {
  return load('i64', i32(0), STATE[name].at + index * 8, freshness);
}

export function setField32(fb: FunctionBuilder, name: StateField, value: I32): void {
  fb.store('i32', i32(0), STATE[name].at, value);
}

export function setField64(fb: FunctionBuilder, name: StateField, value: I64, index = 0): void {
  fb.store('i64', i32(0), STATE[name].at + index * 8, value);
}

/** Where a system register with storage keeps its value. */
export function sysregAddress(name: string): number {
  const { storageIndex } = systemRegister(name);
  invariant(storageIndex >= 0 && storageIndex < STATE.SYSREG.count, `${name} has no storage`);
  return STATE.SYSREG.at + storageIndex * 8;
}

export function sysreg(name: string): I64 {
  return load('i64', i32(0), sysregAddress(name));
}

export function setSysreg(fb: FunctionBuilder, name: string, value: Expr<'i64'>): void {
  fb.store('i64', i32(0), sysregAddress(name), value);
}
