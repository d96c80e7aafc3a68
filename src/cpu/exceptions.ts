/**
 * Exception entry and return, generated. DDI0487 D1.3 (entry, return), D19.2.37 (ESR_EL1).
 *
 * EL1 is the only target yet. With EL2 the target becomes a parameter of `enter`: banked registers are reached through
 * the register table by name.
 */
import type { I32, I64 } from '../wasm/expr.js';
import { add, and, eq, eqz, extU, i32, i64, ne, not, or, select, shl, shrU, wrap } from '../wasm/expr.js';
import type { FunctionBuilder } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call } from '../wasm/function-ref.js';
import type { ModuleBuilder } from '../wasm/module-builder.js';
import { packedFlags } from './flags.js';
import { MODE, STATE } from './layout.js';
import type { CpuModel } from './models.js';
import { hasFeature } from './models.js';
import { field32, field64, ownTlb, setField32, setField64, setSysreg, sysreg } from './state.js';

/** Exception classes, ESR_ELx.EC. */
export const EC = {
  unknown: 0x00,
  wfx: 0x01,
  simdAccess: 0x07,
  illegalState: 0x0e,
  svc: 0x15,
  hvc: 0x16,
  smc: 0x17,
  systemRegister: 0x18,
  instructionAbortLower: 0x20,
  instructionAbort: 0x21,
  pcAlignment: 0x22,
  dataAbortLower: 0x24,
  dataAbort: 0x25,
  spAlignment: 0x26,
  brk: 0x3c,
} as const;

/** ESR_ELx.IL: the instruction is 32 bits long. */
const IL = 1 << 25;

/** Vector table offsets by kind of exception. DDI0487 D1.3.1. */
export const VECTOR = { synchronous: 0x000, irq: 0x080, fiq: 0x100, serror: 0x180 } as const;

/** PSTATE bits in SPSR_ELx. */
const SPSR = { il: 20, pan: 22, daif: 6, aarch32: 4, el: 2, sp: 0, nzcv: 28 } as const;

export interface ExceptionFunctions {
  /** `raise(syndrome, far, hasFar, returnAddress)`: a synchronous exception; `syndrome` is EC << 26 | ISS. */
  readonly raise: FunctionRef<'none'>;
  /** `interrupt(vector)`: takes the interrupt now; PC is the address to return to. */
  readonly interrupt: FunctionRef<'none'>;
  /** ERET. */
  readonly exceptionReturn: FunctionRef<'none'>;
  /** Recomputes what follows from PSTATE: the TLBs in use. */
  readonly pstateChanged: FunctionRef<'none'>;
  /** `(kind, a, b)`: NZCV of the operation that flag cells describe. */
  readonly packFlags: FunctionRef<'i32'>;
  /** Swaps stack pointers: `(new PSTATE.SP)`. */
  readonly selectStackPointer: FunctionRef<'none'>;
}

/** EC << 26 | ISS. */
export function syndrome(ec: number, iss: I32 = i32(0)): I32 {
  return or(i32((ec << 26) | IL), iss);
}

export function defineExceptions(
  mb: ModuleBuilder,
  model: CpuModel,
  traceException: FunctionRef<'none'>,
): ExceptionFunctions {
  const packFlags = mb.function('packFlags', ['i32', 'i64', 'i64'], 'i32', (fb) => {
    fb.return(
      packedFlags(fb, fb.get(fb.param(0, 'i32')), fb.get(fb.param(1, 'i64')), fb.get(fb.param(2, 'i64'))),
    );
    fb.unreachable();
  });

  const pstateChanged = mb.function('pstateChanged', [], 'none', (fb) => {
    // CPACR_EL1.FPEN, bits 21:20: 3 allows, 1 traps EL0, the others trap EL0 and EL1.
    const fpen = fb.let(and(wrap(shrU(sysreg('CPACR_EL1'), i64(20))), i32(3)));
    setField32(fb, 'SIMD_TRAP', and(ne(fpen, i32(3)), or(eqz(field32('EL')), ne(fpen, i32(1)))));
    setField32(
      fb,
      'TLB',
      select(
        eqz(field32('EL')),
        ownTlb(MODE.el0),
        select(field32('PAN'), ownTlb(MODE.el1Pan), ownTlb(MODE.el1)),
      ),
    );
  });

  const spsr = (): I64 =>
    extU(
      or(
        or(
          shl(call(packFlags, field32('FLAG_KIND'), field64('FLAG_A'), field64('FLAG_B')), i32(SPSR.nzcv)),
          shl(field32('PAN'), i32(SPSR.pan)),
        ),
        or(
          or(shl(field32('DAIF'), i32(SPSR.daif)), shl(field32('IL'), i32(SPSR.il))),
          or(shl(field32('EL'), i32(SPSR.el)), field32('SPSEL')),
        ),
      ),
    );

  /** The stack pointer that PSTATE selects: bank index. */
  const bankAddress = (): I32 => shl(select(field32('SPSEL'), field32('EL'), i32(0)), i32(3));

  const saveSp = (fb: FunctionBuilder): void => {
    fb.store('i64', bankAddress(), STATE.SP_BANK.at, field64('SP'));
  };

  const enter = (fb: FunctionBuilder, vector: I32, returnAddress: I64): void => {
    setSysreg(fb, 'ELR_EL1', returnAddress);
    setSysreg(fb, 'SPSR_EL1', spsr());
    const offset = fb.let(
      select(eqz(field32('EL')), i32(0x400), select(field32('SPSEL'), i32(0x200), i32(0))),
    );
    saveSp(fb);
    setField32(fb, 'EL', i32(1));
    setField32(fb, 'SPSEL', i32(1));
    setField64(fb, 'SP', field64('SP_BANK', 1));
    setField32(fb, 'DAIF', i32(0xf));
    setField32(fb, 'IL', i32(0));
    // SCTLR_EL1.SPAN, bit 23: 0 sets PAN on entry, where PAN exists; without it the bit is RES1.
    setField32(fb, 'PAN', or(field32('PAN'), wrap(and(not(shrU(sysreg('SCTLR_EL1'), i64(23))), i64(1)))));
    setField64(fb, 'PC', add(sysreg('VBAR_EL1'), extU(add(offset, vector))));
    fb.call(pstateChanged);
    setField32(fb, 'FAULT', i32(1));
    fb.if(field32('TRACE_EXCEPTIONS'), () => {
      fb.call(traceException, vector);
    });
  };

  const raise = mb.function('raise', ['i32', 'i64', 'i32', 'i64'], 'none', (fb) => {
    const [esr, far, hasFar, returnAddress] = [
      fb.param(0, 'i32'),
      fb.param(1, 'i64'),
      fb.param(2, 'i32'),
      fb.param(3, 'i64'),
    ];
    setSysreg(fb, 'ESR_EL1', extU(fb.get(esr)));
    fb.if(fb.get(hasFar), () => {
      setSysreg(fb, 'FAR_EL1', fb.get(far));
    });
    enter(fb, i32(VECTOR.synchronous), fb.get(returnAddress));
  });

  const interrupt = mb.function('interrupt', ['i32'], 'none', (fb) => {
    enter(fb, fb.get(fb.param(0, 'i32')), field64('PC'));
  });

  const exceptionReturn = mb.function('exceptionReturn', [], 'none', (fb) => {
    const from = fb.let(wrap(sysreg('SPSR_EL1')));
    const bit = (at: number): I32 => and(shrU(from, i32(at)), i32(1));
    const el = fb.let(and(shrU(from, i32(SPSR.el)), i32(3)));
    // Illegal: AArch32 (not implemented), a higher or missing EL, the reserved bit 1, EL0 with SP_ELx. DDI0487 D1.3.4.
    const isIllegal = fb.let(
      or(
        or(bit(SPSR.aarch32), ne(and(from, i32(2)), i32(0))),
        or(ne(and(el, i32(2)), i32(0)), and(eqz(el), bit(SPSR.sp))),
      ),
    );
    setField64(fb, 'PC', sysreg('ELR_EL1'));
    setField64(fb, 'FLAG_A', extU(shrU(from, i32(SPSR.nzcv))));
    setField32(fb, 'FLAG_KIND', i32(2));
    setField32(fb, 'DAIF', and(shrU(from, i32(SPSR.daif)), i32(0xf)));
    setField32(fb, 'IL', or(bit(SPSR.il), isIllegal));
    if (hasFeature(model, 'PAN')) setField32(fb, 'PAN', bit(SPSR.pan));
    setField32(fb, 'EXCLUSIVE_SIZE', i32(0));
    setField32(fb, 'EVENT', i32(1));
    fb.if(eqz(isIllegal), () => {
      saveSp(fb);
      setField32(fb, 'EL', el);
      setField32(fb, 'SPSEL', bit(SPSR.sp));
      setField64(fb, 'SP', loadBank());
    });
    fb.call(pstateChanged);
  });

  function loadBank(): I64 {
    return select(
      eq(select(field32('SPSEL'), field32('EL'), i32(0)), i32(0)),
      field64('SP_BANK', 0),
      field64('SP_BANK', 1),
    );
  }

  const selectStackPointer = mb.function('selectStackPointer', ['i32'], 'none', (fb) => {
    saveSp(fb);
    setField32(fb, 'SPSEL', fb.get(fb.param(0, 'i32')));
    setField64(fb, 'SP', loadBank());
  });

  return { raise, interrupt, exceptionReturn, pstateChanged, packFlags, selectStackPointer };
}
