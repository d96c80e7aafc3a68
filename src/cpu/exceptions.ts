/**
 * Exception entry and return, generated. DDI0487 D1.3 (entry, return), D19.2.37 (ESR_EL1).
 *
 * Where the CPU has EL2, an exception's target is EL1 or EL2; banked registers are reached through the register table
 * by name. A CPU without it gets code without a trace of EL2.
 *
 * @deviation An SError interrupt is reported as uncategorized, with ISS 0. No device raises one.
 */
import type { I32, I64 } from '../wasm/expr.js';
import {
  add, and, eq, eqz, extU, gtU, i32, i64, load, ltU, ne, not, or, select, shl, shrU, wrap,
} from '../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call } from '../wasm/function-ref.js';
import type { ModuleBuilder } from '../wasm/module-builder.js';
import { packedFlags } from './flags.js';
import { DEBUG_REQUEST, MODE, STATE } from './layout.js';
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
  serror: 0x2f,
  // Of a lower exception level; one more where the level doesn't change.
  breakpoint: 0x30,
  softwareStep: 0x32,
  watchpoint: 0x34,
  brk: 0x3c,
} as const;

/** Classes of exceptions that stand in the place of an instruction, which therefore has not been executed. */
const INSTEAD_OF_INSTRUCTION = [
  EC.unknown, EC.wfx, EC.simdAccess, EC.systemRegister, EC.instructionAbortLower, EC.instructionAbort, EC.pcAlignment,
  EC.dataAbortLower, EC.dataAbort, EC.spAlignment, EC.illegalState, EC.watchpoint, EC.watchpoint + 1,
].reduce((classes, ec) => classes | (1n << BigInt(ec)), 0n); // prettier-ignore

/** ESR_ELx.IL: the instruction is 32 bits long. */
const IL = 1 << 25;

/** Vector table offsets by kind of exception. DDI0487 D1.3.1. */
const VECTOR = { synchronous: 0x000, irq: 0x080, fiq: 0x100, serror: 0x180 } as const;

/** PSTATE bits in SPSR_ELx. */
const SPSR = { il: 20, ss: 21, pan: 22, uao: 23, daif: 6, aarch32: 4, el: 2, sp: 0, nzcv: 28 } as const;
/** In the DIT_SSBS cell as well. */
export const SPSR_DIT = 1 << 24;
export const SPSR_SSBS = 1 << 12;

/** The bits of SPSR_ELx that the DIT_SSBS cell keeps for `model`. */
function ditSsbs(model: CpuModel): number {
  return (hasFeature(model, 'DIT') ? SPSR_DIT : 0) | (hasFeature(model, 'SSBS2') ? SPSR_SSBS : 0);
}

/** Bits of HCR_EL2. DDI0487 D19.2.48. */
export const HCR = {
  FMO: 3, IMO: 4, AMO: 5, VF: 6, VI: 7, VSE: 8, DC: 12, TWI: 13, TWE: 14, TSC: 19, TIDCP: 20, TDZ: 28, TGE: 27, HCD: 29, E2H: 34,
} as const; // prettier-ignore

/** MDCR_EL2.TDE. */
const MDCR_TDE = 8;

/** Whether debug exceptions from levels below EL2 are EL2's, for a CPU that has it. */
export function isDebugOfEl2(): I32 {
  return or(hcrBit(HCR.TGE), wrap(and(shrU(sysreg('MDCR_EL2'), i64(MDCR_TDE)), i64(1))));
}

/** Fields of HCR_EL2 that have no effect where TGE is set, and those that have none where E2H is set as well. */
const HCR_WITHOUT_EFFECT = {
  // SWIO, PTW, VF, VI, VSE, FB, TID1, TID3, TSC, TACR, TSW, TTLB, TVM, HCD, TRVM
  tge: [1, 2, 6, 7, 8, 9, 16, 18, 19, 21, 22, 25, 26, 29, 30],
  // VM, FMO, IMO, AMO, BSU, DC, TWI, TWE, TID0, TID2, TPCP, TPU, TDZ
  host: [0, 3, 4, 5, 10, 11, 12, 13, 14, 15, 17, 23, 24, 28],
} as const;

/** PENDING: virtual FIQ and IRQ lines, in the order of the physical ones, from this bit up. */
const PENDING_VIRTUAL_SHIFT = 4;

export interface ExceptionFunctions {
  /**
   * `raise(syndrome, far, hasFar, returnAddress)`: a synchronous exception to where the exception level it comes from
   * takes them; `syndrome` is EC << 26 | ISS.
   */
  readonly raise: FunctionRef<'none'>;
  /** The same for a debug exception, which MDCR_EL2.TDE sends to EL2. */
  readonly raiseDebug: FunctionRef<'none'>;
  /** `trapToEl2(syndrome, returnAddress)`: one to EL2, where there is one. */
  readonly trapToEl2: FunctionRef<'none'> | undefined;
  /** `(pc)`: Advanced SIMD and FP are trapped, as SIMD_TRAP says. */
  readonly trapSimdAccess: FunctionRef<'none'>;
  /** Takes an interrupt if one is pending and not masked: non-zero then. PC is the address to return to. */
  readonly takeInterrupt: FunctionRef<'i32'>;
  /** ERET. */
  readonly exceptionReturn: FunctionRef<'none'>;
  /** Recomputes what follows from PSTATE and from system registers: the TLBs in use, what traps. */
  readonly stateChanged: FunctionRef<'none'>;
  /** `(kind, a, b)`: NZCV of the operation that flag cells describe. */
  readonly packFlags: FunctionRef<'i32'>;
  /** Swaps stack pointers: `(new PSTATE.SP)`. */
  readonly selectStackPointer: FunctionRef<'none'>;
}

/** EC << 26 | ISS. */
export function syndrome(ec: number, iss: I32 = i32(0)): I32 {
  return or(i32((ec << 26) | IL), iss);
}

/** Values of SIMD_TRAP, where it isn't 0. */
const SIMD_TRAP = { byDefault: 1, toEl2: 2 } as const;

/** Bit of the effective HCR_EL2, for a CPU that has it. */
export function hcrBit(bit: number): I32 {
  return and(shrU(field32('HCR'), i32(bit)), i32(1));
}

/** Virtual interrupts that are pending, in the order of PENDING: those of HCR_EL2 and those of devices. */
export function virtualPending(): I32 {
  return and(
    or(shrU(field32('HCR'), i32(HCR.VF)), shrU(field32('PENDING'), i32(PENDING_VIRTUAL_SHIFT))),
    i32(7),
  );
}

/** The SCTLR_ELx in force, its low half. */
export function sctlr(model: CpuModel): I32 {
  return hasFeature(model, 'EL2') ? field32('SCTLR') : wrap(sysreg('SCTLR_EL1'));
}

export function defineExceptions(
  mb: ModuleBuilder,
  model: CpuModel,
  isDebugEnabledFrom: FunctionRef<'i32'>,
  traceException: FunctionRef<'none'>,
): ExceptionFunctions {
  const hasEl2 = hasFeature(model, 'EL2');
  const hasVhe = hasFeature(model, 'VHE');
  const hasUao = hasFeature(model, 'UAO');

  const packFlags = mb.function('packFlags', ['i32', 'i64', 'i64'], 'i32', (fb) => {
    fb.return(
      packedFlags(fb, fb.get(fb.param(0, 'i32')), fb.get(fb.param(1, 'i64')), fb.get(fb.param(2, 'i64'))),
    );
    fb.unreachable();
  });

  const isHost = (): I32 => (hasVhe ? and(field32('E2H'), hcrBit(HCR.TGE)) : i32(0));

  /** The effective HCR_EL2. */
  const deriveHcr = (fb: FunctionBuilder): void => {
    const raw = fb.let(sysreg('HCR_EL2'));
    const value = fb.temp('i32');
    fb.set(value, wrap(raw));
    if (hasVhe) setField32(fb, 'E2H', wrap(and(shrU(raw, i64(HCR.E2H)), i64(1))));
    const without = (bits: readonly number[]): I32 =>
      and(fb.get(value), i32(~bits.reduce((all, bit) => all | (1 << bit), 0)));
    fb.if(and(fb.get(value), i32(1 << HCR.TGE)), () => {
      fb.set(value, without(HCR_WITHOUT_EFFECT.tge));
      const routesAll = or(fb.get(value), i32((1 << HCR.FMO) | (1 << HCR.IMO) | (1 << HCR.AMO)));
      fb.set(value, hasVhe ? select(field32('E2H'), without(HCR_WITHOUT_EFFECT.host), routesAll) : routesAll);
    });
    setField32(fb, 'HCR', fb.get(value));
  };

  const pstateChanged = mb.function('pstateChanged', [], 'none', (fb) => {
    /** FPEN, bits 21:20: 3 allows, 1 traps EL0, the others trap EL0 and the levels above. */
    const fpen = (register: string): I32 => fb.let(and(wrap(shrU(sysreg(register), i64(20))), i32(3)));
    const atEl0 = eqz(field32('EL'));
    const cpacr = fpen('CPACR_EL1');
    const cpacrTraps = and(ne(cpacr, i32(3)), or(atEl0, ne(cpacr, i32(1))));
    /** With PSTATE.UAO, which is 0 at EL0, LDTR and its kind are as LDR is. */
    const unlessOverridden = (unprivileged: I32, own: I32): I32 =>
      hasUao ? select(field32('UAO'), own, unprivileged) : unprivileged;
    const el1Mode = select(
      atEl0,
      ownTlb(MODE.el0),
      select(field32('PAN'), ownTlb(MODE.el1Pan), ownTlb(MODE.el1)),
    );
    if (!hasEl2) {
      setField32(fb, 'SIMD_TRAP', cpacrTraps);
      setField32(fb, 'TLB', el1Mode);
      setField32(fb, 'TLB_UNPRIVILEGED', unlessOverridden(ownTlb(MODE.el0), el1Mode));
      return;
    }
    const atEl2 = eq(field32('EL'), i32(2));
    const host = fb.let(hasVhe ? select(atEl2, field32('E2H'), and(atEl0, isHost())) : i32(0));
    setField32(fb, 'HOST', host);
    // CPTR_EL2: TFP is bit 10; with E2H there is FPEN instead, which concerns EL0 only where TGE is set.
    const tfp = wrap(and(shrU(sysreg('CPTR_EL2'), i64(10)), i64(1)));
    let cptrTraps = tfp;
    if (hasVhe) {
      const cptr = fpen('CPTR_EL2');
      const isEl0OfHost = and(atEl0, hcrBit(HCR.TGE));
      cptrTraps = select(field32('E2H'), and(ne(cptr, i32(3)), or(isEl0OfHost, ne(cptr, i32(1)))), tfp);
    }
    setField32(
      fb,
      'SIMD_TRAP',
      select(
        and(cpacrTraps, eqz(or(atEl2, isHost()))),
        i32(SIMD_TRAP.byDefault),
        select(cptrTraps, i32(SIMD_TRAP.toEl2), i32(0)),
      ),
    );
    setField32(fb, 'SCTLR', wrap(select(or(atEl2, host), sysreg('SCTLR_EL2'), sysreg('SCTLR_EL1'))));
    const hostMode = select(
      atEl0,
      ownTlb(MODE.hostEl0),
      select(field32('PAN'), ownTlb(MODE.hostEl2Pan), ownTlb(MODE.hostEl2)),
    );
    const tlb = fb.let(
      select(or(host, atEl2), hasVhe ? select(host, hostMode, ownTlb(MODE.el2)) : ownTlb(MODE.el2), el1Mode),
    );
    setField32(fb, 'TLB', tlb);
    // LDTR at EL2 is of EL0 only where that is the host's. DDI0487 C6.2 (LDTR).
    setField32(
      fb,
      'TLB_UNPRIVILEGED',
      unlessOverridden(
        select(atEl2, select(isHost(), ownTlb(MODE.hostEl0), tlb), select(host, tlb, ownTlb(MODE.el0))),
        tlb,
      ),
    );
  });

  const stateChanged = hasEl2
    ? mb.function('stateChanged', [], 'none', (fb) => {
        deriveHcr(fb);
        fb.call(pstateChanged);
      })
    : pstateChanged;

  const spsr = (): I64 =>
    extU(
      or(
        or(
          shl(call(packFlags, field32('FLAG_KIND'), field64('FLAG_A'), field64('FLAG_B')), i32(SPSR.nzcv)),
          or(
            hasUao
              ? or(shl(field32('PAN'), i32(SPSR.pan)), shl(field32('UAO'), i32(SPSR.uao)))
              : shl(field32('PAN'), i32(SPSR.pan)),
            field32('DIT_SSBS'),
          ),
        ),
        or(
          or(shl(field32('DAIF'), i32(SPSR.daif)), shl(field32('IL_SS'), i32(SPSR.il))),
          or(shl(field32('EL'), i32(SPSR.el)), field32('SPSEL')),
        ),
      ),
    );

  /** Where the stack pointer that PSTATE selects is while it isn't in use. */
  const bankAddress = (): I32 => shl(select(field32('SPSEL'), field32('EL'), i32(0)), i32(3));

  const saveSp = (fb: FunctionBuilder): void => {
    fb.store('i64', bankAddress(), STATE.SP_BANK.at, field64('SP'));
  };
  const loadSp = (fb: FunctionBuilder): void => {
    setField64(fb, 'SP', load('i64', bankAddress(), STATE.SP_BANK.at));
  };

  /** Runs `body` for the bank of registers of exception level `el`, which is 1 or 2. */
  const banked = (fb: FunctionBuilder, el: I32, body: (suffix: 'EL1' | 'EL2') => void): void => {
    if (!hasEl2) {
      body('EL1');
      return;
    }
    fb.if(
      eq(el, i32(2)),
      () => {
        body('EL2');
      },
      () => {
        body('EL1');
      },
    );
  };
  const bankedValue = (fb: FunctionBuilder, el: I32, name: 'SPSR' | 'ELR' | 'VBAR'): I64 =>
    hasEl2
      ? fb.let(select(eq(el, i32(2)), sysreg(`${name}_EL2`), sysreg(`${name}_EL1`)))
      : sysreg(`${name}_EL1`);

  const enter = (fb: FunctionBuilder, target: I32, vector: I32, returnAddress: I64): void => {
    const saved = fb.let(spsr());
    banked(fb, target, (el) => {
      setSysreg(fb, `ELR_${el}`, returnAddress);
      setSysreg(fb, `SPSR_${el}`, saved);
    });
    const isFromBelow = hasEl2 ? ltU(field32('EL'), target) : eqz(field32('EL'));
    const offset = fb.let(select(isFromBelow, i32(0x400), select(field32('SPSEL'), i32(0x200), i32(0))));
    saveSp(fb);
    setField32(fb, 'EL', target);
    setField32(fb, 'SPSEL', i32(1));
    loadSp(fb);
    setField32(fb, 'DAIF', i32(0xf));
    setField32(fb, 'IL_SS', i32(0));
    if (hasUao) setField32(fb, 'UAO', i32(0));
    if (hasFeature(model, 'SSBS2')) {
      // SCTLR_ELx.DSSBS, bit 44.
      const control = hasEl2
        ? select(eq(target, i32(2)), sysreg('SCTLR_EL2'), sysreg('SCTLR_EL1'))
        : sysreg('SCTLR_EL1');
      const ssbs = shl(and(wrap(shrU(control, i64(44))), i32(1)), i32(Math.log2(SPSR_SSBS)));
      setField32(fb, 'DIT_SSBS', or(and(field32('DIT_SSBS'), i32(~SPSR_SSBS)), ssbs));
    }
    // SCTLR_ELx.SPAN, bit 23: 0 sets PAN on entry, where PAN exists; without it the bit is RES1.
    const setsPan = (register: string): I32 => wrap(and(not(shrU(sysreg(register), i64(23))), i64(1)));
    setField32(
      fb,
      'PAN',
      or(
        field32('PAN'),
        hasEl2
          ? select(eq(target, i32(2)), and(isHost(), setsPan('SCTLR_EL2')), setsPan('SCTLR_EL1'))
          : setsPan('SCTLR_EL1'),
      ),
    );
    setField64(fb, 'PC', add(bankedValue(fb, target, 'VBAR'), extU(add(offset, vector))));
    fb.call(pstateChanged);
    setField32(fb, 'FAULT', i32(1));
    fb.if(field32('TRACE_EXCEPTIONS'), () => {
      fb.call(traceException, vector);
    });
  };

  const enterSynchronous = (
    fb: FunctionBuilder,
    target: I32,
    { esr, far, hasFar, returnAddress }: { esr: I32; far?: I64; hasFar?: I32; returnAddress: I64 },
  ): void => {
    const isInstead = and(shrU(i64(INSTEAD_OF_INSTRUCTION), extU(shrU(esr, i32(26)))), i64(1));
    setField64(fb, 'UNRETIRED', add(field64('UNRETIRED'), isInstead));
    banked(fb, target, (el) => {
      setSysreg(fb, `ESR_${el}`, extU(esr));
      if (far && hasFar)
        fb.if(hasFar, () => {
          setSysreg(fb, `FAR_${el}`, far);
        });
    });
    enter(fb, target, i32(VECTOR.synchronous), returnAddress);
  };

  /** A function that raises to EL2 where `takesEl2` holds, else to EL1 from EL0, and else to the same level. */
  const raising = (name: string, takesEl2: () => I32): FunctionRef<'none'> =>
    mb.function(name, ['i32', 'i64', 'i32', 'i64'], 'none', (fb) => {
      const level = field32('EL');
      const target = hasEl2 ? fb.let(select(takesEl2(), i32(2), select(level, level, i32(1)))) : i32(1);
      enterSynchronous(fb, target, {
        esr: fb.get(fb.param(0, 'i32')),
        far: fb.get(fb.param(1, 'i64')),
        hasFar: fb.get(fb.param(2, 'i32')),
        returnAddress: fb.get(fb.param(3, 'i64')),
      });
    });
  const fromEl0OfEl2 = (): I32 => and(eqz(field32('EL')), hcrBit(HCR.TGE));
  const raise = raising('raise', fromEl0OfEl2);
  const raiseDebug = hasEl2 ? raising('raiseDebug', isDebugOfEl2) : raise;

  const trapToEl2 = hasEl2
    ? mb.function('trapToEl2', ['i32', 'i64'], 'none', (fb) => {
        enterSynchronous(fb, i32(2), {
          esr: fb.get(fb.param(0, 'i32')),
          returnAddress: fb.get(fb.param(1, 'i64')),
        });
      })
    : undefined;

  const trapSimdAccess = mb.function('trapSimdAccess', ['i64'], 'none', (fb) => {
    const pc = fb.get(fb.param(0, 'i64'));
    // ISS: CV and COND, always 1 and 14 from AArch64.
    const esr = syndrome(EC.simdAccess, i32(0x1e0_0000));
    if (trapToEl2) {
      fb.if(eq(field32('SIMD_TRAP'), i32(SIMD_TRAP.toEl2)), () => {
        fb.call(trapToEl2, esr, pc);
        fb.return();
      });
      // What EL1 has trapped of EL0's is no such trap where EL2 takes it. DDI0487 D19.2 (HCR_EL2.TGE).
      fb.if(hcrBit(HCR.TGE), () => {
        fb.call(trapToEl2, syndrome(EC.unknown), pc);
        fb.return();
      });
    }
    fb.call(raise, esr, i64(0), i32(0), pc);
  });

  const interrupt = mb.function('interrupt', ['i32', 'i32'], 'none', (fb) => {
    const target = fb.get(fb.param(0, 'i32'));
    const vector = fb.get(fb.param(1, 'i32'));
    fb.if(eq(vector, i32(VECTOR.serror)), () => {
      banked(fb, target, (el) => {
        setSysreg(fb, `ESR_${el}`, extU(syndrome(EC.serror)));
      });
    });
    enter(fb, target, vector, field64('PC'));
  });

  /** SError before FIQ before IRQ: the order among them is ours to choose. DDI0487 D1.3.5. */
  const firstOf = (pending: I32): I32 =>
    select(
      and(pending, i32(4)),
      i32(VECTOR.serror),
      select(and(pending, i32(1)), i32(VECTOR.fiq), i32(VECTOR.irq)),
    );

  const takeInterrupt = mb.function('takeInterrupt', [], 'i32', (fb) => {
    const takeFirstOf = (pending: I32, target: number, before: () => void = () => undefined): void => {
      fb.if(and(pending, i32(7)), () => {
        const vector = fb.let(firstOf(pending));
        before();
        fb.call(interrupt, i32(target), vector);
        fb.return(i32(1));
      });
    };
    const unmasked = not(field32('DAIF'));
    if (hasEl2) {
      // FMO, IMO and AMO, which are in the order of PENDING.
      const routed = fb.let(and(shrU(field32('HCR'), i32(HCR.FMO)), i32(7)));
      const toEl2 = fb.let(select(hcrBit(HCR.TGE), i32(7), routed));
      const atEl2 = fb.let(eq(field32('EL'), i32(2)));
      // What EL2 takes from below is masked by nobody, unless it is a host's. DDI0487 D1.3.5.
      const mask = select(or(atEl2, isHost()), unmasked, i32(7));
      takeFirstOf(fb.let(and(and(field32('PENDING'), toEl2), mask)), 2);
      fb.if(atEl2, () => {
        fb.return(i32(0));
      });
      takeFirstOf(fb.let(and(and(field32('PENDING'), not(toEl2)), unmasked)), 1);
      const virtual = fb.let(and(and(virtualPending(), routed), unmasked));
      takeFirstOf(virtual, 1, () => {
        // A virtual SError is taken once.
        fb.if(and(virtual, i32(4)), () => {
          setSysreg(fb, 'HCR_EL2', and(sysreg('HCR_EL2'), i64(~(1n << BigInt(HCR.VSE)))));
          deriveHcr(fb);
        });
      });
    } else {
      takeFirstOf(fb.let(and(field32('PENDING'), unmasked)), 1);
    }
    fb.return(i32(0));
    fb.unreachable();
  });

  const exceptionReturn = mb.function('exceptionReturn', [], 'none', (fb) => {
    const from = fb.let(wrap(bankedValue(fb, field32('EL'), 'SPSR')));
    const bit = (at: number): I32 => and(shrU(from, i32(at)), i32(1));
    const el = fb.let(and(shrU(from, i32(SPSR.el)), i32(3)));
    // Illegal: AArch32 (not implemented), a higher or missing EL, the reserved bit 1, EL0 with SP_ELx, EL1 where EL2
    // has taken over for it. DDI0487 D1.3.4.
    const isMissing = hasEl2
      ? or(gtU(el, field32('EL')), and(eq(el, i32(1)), hcrBit(HCR.TGE)))
      : gtU(el, i32(1));
    const isIllegal = fb.let(
      or(or(bit(SPSR.aarch32), ne(and(from, i32(2)), i32(0))), or(isMissing, and(eqz(el), bit(SPSR.sp)))),
    );
    const ss = fb.temp('i32');
    fb.set(ss, i32(0));
    fb.if(and(field32('DEBUG_REQUEST'), i32(DEBUG_REQUEST.step)), () => {
      // From where debug exceptions are disabled to where they are enabled. DDI0487 D2.12.4 (software step).
      const isEnabledHere = call(isDebugEnabledFrom, field32('EL'), shrU(field32('DAIF'), i32(3)));
      const isEnabledThere = call(
        isDebugEnabledFrom,
        select(isIllegal, field32('EL'), el),
        bit(SPSR.daif + 3),
      );
      fb.set(ss, and(and(eqz(isEnabledHere), isEnabledThere), bit(SPSR.ss)));
    });
    setField64(fb, 'PC', bankedValue(fb, field32('EL'), 'ELR'));
    setField64(fb, 'FLAG_A', extU(shrU(from, i32(SPSR.nzcv))));
    setField32(fb, 'FLAG_KIND', i32(2));
    setField32(fb, 'DAIF', and(shrU(from, i32(SPSR.daif)), i32(0xf)));
    setField32(fb, 'IL_SS', or(or(bit(SPSR.il), isIllegal), shl(fb.get(ss), i32(1))));
    if (hasFeature(model, 'PAN')) setField32(fb, 'PAN', bit(SPSR.pan));
    if (hasUao) setField32(fb, 'UAO', bit(SPSR.uao));
    if (ditSsbs(model) !== 0) setField32(fb, 'DIT_SSBS', and(from, i32(ditSsbs(model))));
    setField32(fb, 'EXCLUSIVE_SIZE', i32(0));
    setField32(fb, 'EVENT', i32(1));
    fb.if(eqz(isIllegal), () => {
      saveSp(fb);
      setField32(fb, 'EL', el);
      setField32(fb, 'SPSEL', bit(SPSR.sp));
      loadSp(fb);
    });
    fb.call(pstateChanged);
  });

  const selectStackPointer = mb.function('selectStackPointer', ['i32'], 'none', (fb) => {
    saveSp(fb);
    setField32(fb, 'SPSEL', fb.get(fb.param(0, 'i32')));
    loadSp(fb);
  });

  return {
    raise,
    raiseDebug,
    trapToEl2,
    trapSimdAccess,
    takeInterrupt,
    exceptionReturn,
    stateChanged,
    packFlags,
    selectStackPointer,
  };
}
