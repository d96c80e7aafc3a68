/**
 * What an instruction's `exec` may do. `exec` runs while code is generated: it calls these methods in the order of the
 * instruction's effects, and each call adds WebAssembly to the handler (interpreter) or region (translator) that is
 * being built. Values are expressions of `wasm/expr`; arithmetic on them is the functions there.
 *
 * Rules for `exec`:
 *  - a register is read before it is written; a value needed after a write of the same register goes through `let`
 *    first (breaking this is an invariant error when the handler is generated);
 *  - memory accesses come before register writes, so that a fault leaves the registers as they were;
 *  - a branch, `exception` or `undefined` is the last thing on its path.
 *
 * Variants with instruments (watchpoints, coverage, cache model, taint) subclass the implementation of this interface
 * and override `load`, `store`, `branch…`; a machine without them runs code generated without a trace of them.
 */
import type { Expr, I32, I64, Int, V128, ValType } from '../wasm/expr.js';
import type { Helper } from './helper.js';
import type { SystemOperation, SystemRegister } from './system-registers.js';
import type { ImmField, LabelField, RegField, VecField } from './row.js';

/** log2 of the bytes of one memory element: byte, halfword, word, doubleword. */
export type SizeLog2 = 0 | 1 | 2 | 3;

export interface AccessOptions {
  /** Checked with EL0's permissions (LDTR, STTR). */
  readonly unprivileged?: true;
  /** Faults unless aligned, whatever SCTLR_EL1.A says: exclusives, acquire and release. */
  readonly aligned?: true;
  /** No watchpoint sees it, as a store-exclusive's look at what it is about to replace. */
  readonly unwatched?: true;
  /**
   * log2 of the bytes that alignment is checked for, where the architecture accesses several elements and `exec` all
   * of them at once (LD1, ST1). Wanted only where alignment matters, so it may be a run-time value.
   */
  readonly element?: I32;
}

/** What an atomic access makes of an element and an operand; maximum and minimum are of the element's size. */
export type AtomicOperation =
  | 'add'
  | 'clear'
  | 'xor'
  | 'or'
  | 'signed maximum'
  | 'signed minimum'
  | 'unsigned maximum'
  | 'unsigned minimum'
  | 'swap';

/** Conditions of the architecture by number: 0 EQ, 1 NE, 2 CS … 14 AL, 15 NV. */
export type Condition = number;

/** Hints that do something, or that the engine may want to see. */
export type Hint = 'yield' | 'wfe' | 'wfi' | 'sev' | 'sevl';

/** What an indirect branch is for, as return-address prediction sees it. */
export type BranchKind = 'jump' | 'call' | 'return';

export interface Stage {
  // ---- fields

  /** The field's bits, zero-extended. */
  imm(field: ImmField): I32;
  /** The field's bits, zero-extended. */
  imm64(field: ImmField): I64;
  /** The field as a two's complement number, sign-extended and shifted left by `shift`. */
  simm64(field: ImmField, shift?: number): I64;
  /**
   * A 64-bit number that follows from fields alone (a bit mask, an expanded immediate): `table` gives it for each value
   * of the `fields` taken together, first field in the highest bits.
   */
  lookup(name: string, fields: readonly ImmField[], table: (index: number) => bigint): I64;

  // ---- general registers

  /** 64-bit value. */
  x(register: RegField): I64;
  /** Low 32 bits. */
  w(register: RegField): I32;
  /** 64-bit if `sf` is 1, else the low 32 bits. */
  r(sf: number, register: RegField): Int;
  setX(register: RegField, value: I64): void;
  /** Writes the low half and zeroes the high one. */
  setW(register: RegField, value: I32): void;
  /** `setX` or `setW`, by the type of `value`. */
  setR(register: RegField, value: Int): void;
  /** 64-bit value of register `register + offset`, which is at most 31. */
  xAt(register: RegField, offset: number): I64;
  setXAt(register: RegField, offset: number, value: I64): void;
  /** X30. */
  setLinkRegister(value: I64): void;

  // ---- vector registers

  v(register: VecField): V128;
  /** Low 64 bits. */
  d(register: VecField): I64;
  /** Low 32 bits. */
  s(register: VecField): I32;
  setV(register: VecField, value: V128): void;
  /** Writes the low 64 bits and zeroes the rest. */
  setD(register: VecField, value: I64): void;
  /** Writes the low 32 bits and zeroes the rest. */
  setS(register: VecField, value: I32): void;
  /** Vector register `(register + offset) modulo 32`, of multi-register loads and stores and tables. */
  vAt(register: VecField, offset: number): V128;
  setVAt(register: VecField, offset: number, value: V128): void;
  /** Element `index` of vector register `(register + offset) modulo 32`, zero-extended. `index` is in range. */
  lane(register: VecField, size: SizeLog2, index: I32, offset?: number): I64;
  /** Writes one element, the low bits of `value`, and leaves the rest of the register. */
  setLane(register: VecField, size: SizeLog2, index: I32, value: I64, offset?: number): void;
  /** FPCR and FPSR as they are where the expression is evaluated. */
  fpcr(): I32;
  fpsr(): I32;
  /** Sets the bits of FPSR that are one in `bits` (cumulative exceptions). */
  orFpsr(bits: I32): void;

  // ---- values and control

  /** Evaluates `value` now; the result can be used any number of times and does not change. */
  let<T extends ValType>(value: Expr<T>): Expr<T>;
  if(condition: I32, then: () => void, otherwise?: () => void): void;
  /** Calls a helper now; the result can be used any number of times. */
  call<T extends ValType>(helper: Helper<T>, ...args: Expr[]): Expr<T>;
  /** One of two values; only the chosen side is evaluated. */
  ifValue<T extends ValType>(condition: I32, then: () => Expr<T>, otherwise: () => Expr<T>, type: T): Expr<T>;

  // ---- condition flags

  /** NZCV of `a + b`. */
  setFlagsAdd(a: Int, b: Int): void;
  /** NZCV of `a − b`. */
  setFlagsSub(a: Int, b: Int): void;
  /** N and Z of `result`, C and V zero. */
  setFlagsLogical(result: Int): void;
  /** `nzcv`: N in bit 3 … V in bit 0. */
  setNZCV(nzcv: I32): void;
  /** N in bit 3 … V in bit 0. */
  nzcv(): I32;
  /** C, 0 or 1. */
  carry(): I32;
  /** 1 where the condition holds. */
  condition(condition: Condition): I32;

  // ---- program counter and branches

  /** Address of this instruction. */
  pc(): I64;
  branch(target: LabelField): void;
  /** Falls through to the next instruction where `condition` is zero. */
  branchIf(condition: I32, target: LabelField): void;
  branchTo(target: I64, kind: BranchKind): void;

  // ---- memory

  /** One element, zero- or sign-extended to 64 bits. */
  load(address: I64, size: SizeLog2, signed?: boolean, options?: AccessOptions): I64;
  store(address: I64, size: SizeLog2, value: I64, options?: AccessOptions): void;
  /** Two elements at `address`, one access for permission checks. `size` 2 or 3. */
  loadPair(address: I64, size: SizeLog2, signed?: boolean, options?: AccessOptions): [I64, I64];
  storePair(address: I64, size: SizeLog2, first: I64, second: I64, options?: AccessOptions): void;
  /** 16 bytes. */
  loadV(address: I64, options?: AccessOptions): V128;
  storeV(address: I64, value: V128, options?: AccessOptions): void;
  loadPairV(address: I64): [V128, V128];
  storePairV(address: I64, first: V128, second: V128): void;
  /** Checks the alignment of SP, if `register` is the stack pointer and SCTLR_EL1 asks for it. Before the access. */
  checkStackAlignment(register: RegField): void;

  /**
   * Replaces one element by what `operation` makes of it and of `operand`, in one access; what it was, zero-extended.
   * Every access that reads and writes is an acquire and a release, must be aligned, and needs permission to write
   * even where it turns out not to. On a fault nothing has changed.
   */
  atomic(operation: AtomicOperation, address: I64, size: SizeLog2, operand: I64): I64;
  /** Replaces one element by `value` if it is `expected`; of both the low bits count. What it was, zero-extended. */
  compareAndSwap(address: I64, size: SizeLog2, expected: I64, value: I64): I64;
  /** The same with 16 bytes, the lower half first. */
  compareAndSwapPair(
    address: I64,
    expected: readonly [I64, I64],
    value: readonly [I64, I64],
  ): readonly [I64, I64];

  /** Marks the address for the exclusive monitor with the value just loaded (`high` for pairs). */
  markExclusive(address: I64, size: SizeLog2 | 4, low: I64, high?: I64): void;
  /** The store of a store-exclusive; 0 where it happened, 1 where the monitor had been lost. */
  storeExclusive(address: I64, size: SizeLog2 | 4, low: I64, high?: I64): I32;
  clearExclusive(): void;

  // ---- system

  /** Undefined Instruction exception. */
  undefined(): void;
  svc(imm16: I32): void;
  hvc(imm16: I32): void;
  smc(imm16: I32): void;
  brk(imm16: I32): void;
  hlt(imm16: I32): void;
  eret(): void;
  hint(hint: Hint): void;
  /** Instruction synchronisation: pending interrupts are looked at and later fetches see earlier changes. */
  isb(): void;
  /** DSB, DMB and their kind. */
  barrier(): void;
  /** MRS; `undefined` is an encoding that no register has. */
  readSystemRegister(register: SystemRegister | undefined, target: RegField): void;
  /** MSR (register). */
  writeSystemRegister(register: SystemRegister | undefined, source: RegField): void;
  /** SYS: cache, TLB and address translation operations. */
  systemOperation(operation: SystemOperation | undefined, source: RegField): void;
  /** MSR (immediate): `op1`, `op2` name the field, `imm4` is CRm. */
  writePstate(op1: number, op2: number, imm4: number): void;
}
