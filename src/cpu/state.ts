/** Access to the CPU's state from generated code. */
import { invariant } from '../base/index.js';
import { systemRegister } from '../isa/system-registers.js';
import type { Expr, Freshness, I32, I64 } from '../wasm/expr.js';
import { add, and, divU, extU, i32, i64, load, ne, or, shrU, sub, wrap, xor } from '../wasm/expr.js';
import type { FunctionBuilder } from '../wasm/function-builder.js';
import type { StateField } from './layout.js';
import { CODE_TLB, CODE_TLB_OFFSET, MODE_STRIDE, PAGE_SHIFT, STATE, TLB, tlbOfMode } from './layout.js';

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

/** Sets the bits of a system register that are one in `bits`. */
export function orSysreg(fb: FunctionBuilder, name: string, bits: I32): void {
  setSysreg(fb, name, or(sysreg(name), extU(bits)));
}

/** Offset of the entry for `va` from the start of a TLB with this many entries of this size, powers of two both. */
function entryOffset(
  va: I64,
  { entries, stride }: { readonly entries: number; readonly stride: number },
): I32 {
  return and(wrap(shrU(va, i64(PAGE_SHIFT - Math.log2(stride)))), i32((entries - 1) * stride));
}

/** Offset of the entry for `va` from the start of a data TLB. */
export function tlbEntryOffset(va: I64): I32 {
  return entryOffset(va, TLB);
}

/** Offset of the entry for `va` from the start of a code TLB. */
export function codeTlbEntryOffset(va: I64): I32 {
  return entryOffset(va, CODE_TLB);
}

/** The entry for `va` of the code TLB among the TLBs at `tlb`. */
export function codeTlbEntry(tlb: I32, va: I64): I32 {
  return add(add(tlb, i32(CODE_TLB_OFFSET)), codeTlbEntryOffset(va));
}

/** What `va` is beyond the page of a code TLB's entry: an offset in it, unless `isElsewhere`. */
export function offsetInCodePage(va: I64, entry: I32): I64 {
  return xor(va, load('i64', entry, CODE_TLB.tag));
}

/** Not zero where an offset is that of another page, or not a multiple of 4. */
export function isElsewhere(offset: I64): I32 {
  return ne(and(offset, i64(~0xffcn)), i64(0));
}

/** The handler index of the word at host address `p`, whose page has its table at a distance of `side`. */
export function handlerAt(p: I32, side: I32): I32 {
  return load('i32_16u', add(shrU(p, i32(1)), side));
}

/** Where this CPU's TLBs of a mode are. */
export function ownTlb(mode: number): I32 {
  return add(field32('TLB_BANK'), i32(tlbOfMode(mode)));
}

/** The mode whose TLBs are at `tlb`, the inverse of `ownTlb`. */
export function modeOfTlb(tlb: I32): I32 {
  return divU(sub(tlb, field32('TLB_BANK')), i32(MODE_STRIDE));
}
