/**
 * Self-hosted debug, generated: breakpoints, watchpoints, software step. DDI0487 D2.
 *
 * A machine pays for it where it is used. A word that a breakpoint is on has a handler of its own, which looks whether it
 * is hit; pages that a watchpoint may be on are out of bounds for plain accesses; instructions that are stepped, and those
 * in reach of a breakpoint on a context, are looked at one by one where `run` begins anew. Nothing else asks.
 *
 * Where the architecture leaves a choice, values that are reserved or contradict each other do what QEMU makes of them:
 * MASK overrides BAS, the lowest contiguous bytes of BAS count, reserved combinations of HMC, SSC and PAC are taken
 * literally, a breakpoint that isn't context-aware or enabled links to nothing. DDI0487 K1.2.
 */
import { DEBUG_RESOURCES } from '../isa/system-registers.js';
import type { I32, I64 } from '../wasm/expr.js';
import {
  add, and, callIndirect, ctz, eq, eqz, extU, geS, i32, i64, leS, load, ltS, ltU, ne, not, or, select, shl, shrU, sub, wrap, xor,
} from '../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call } from '../wasm/function-ref.js';
import type { ModuleBuilder } from '../wasm/module-builder.js';
import type { ExceptionFunctions } from './exceptions.js';
import { EC, isDebugOfEl2, syndrome } from './exceptions.js';
import { CODE_TLB, DEBUG_REQUEST, PAGE_SIZE } from './layout.js';
import type { CpuModel } from './models.js';
import { hasFeature } from './models.js';
import { codeTlbEntry, field32, field64, setField32, setField64, sysreg } from './state.js';

/** Fields that DBGBCR<n>_EL1 and DBGWCR<n>_EL1 share, and those of each: their lowest bits. */
const CONTROL = {
  E: 0,
  PxC: 1,
  LSC: 3,
  BAS: 5,
  HMC: 13,
  SSC: 14,
  LBN: 16,
  LINKED: 20,
  BT: 20,
  MASK: 24,
} as const;
/** Bits of BT: a VMID or CONTEXTIDR_EL2 in the high half; a context in the low one. An address has neither. */
const BT = { high: 8, second: 4, context: 2 } as const;

const MDSCR = { KDE: 13, MDE: 15 } as const;
const OSLSR_OSLK = 1;

/** PSTATE in the IL_SS cell. */
const IL_SS_IL = 1;
const IL_SS_SS = 2;

/** ISS of a Software Step exception: ISV, and the place of EX. */
const STEP_ISV = 1 << 24;
const STEP_EX = 6;

/** DFSC and IFSC of debug exceptions. */
const FSC_DEBUG = 0x22;

/** Addresses are compared up to bit 48. */
const IGNORED_ADDRESS_BITS = 64 - 49;

const BREAKPOINTS = Array.from({ length: DEBUG_RESOURCES.breakpoints }, (_, n) => n);
const WATCHPOINTS = Array.from({ length: DEBUG_RESOURCES.watchpoints }, (_, n) => n);
/** The highest-numbered ones are context-aware. */
const FIRST_CONTEXT_AWARE = DEBUG_RESOURCES.breakpoints - DEBUG_RESOURCES.contextAware;

const bit32 = (value: I32, at: number): I32 => and(shrU(value, i32(at)), i32(1));
const control = (kind: 'B' | 'W', n: number): I32 => wrap(sysreg(`DBG${kind}CR${n}_EL1`));
const value = (kind: 'B' | 'W', n: number): I64 => sysreg(`DBG${kind}VR${n}_EL1`);
/** A breakpoint on a context is enabled as well where it is linked to; `isOnAddress` tells it apart. */
const isOnAddress = (bcr: I32): I32 =>
  eq(and(bcr, i32(((BT.high | BT.second | BT.context) << CONTROL.BT) | 1)), i32(1));
const isOnContext = (bcr: I32): I32 =>
  and(ne(and(bcr, i32((BT.high | BT.context) << CONTROL.BT)), i32(0)), and(bcr, i32(1)));
/** `a` is less than `b`, as distances between addresses. */
const isNearer = (a: I64, b: I64): I32 =>
  ltU(shl(a, i64(IGNORED_ADDRESS_BITS)), shl(b, i64(IGNORED_ADDRESS_BITS)));

/**
 * `(exception level, D)`: whether debug exceptions other than BRK's are taken from there. DDI0487 D2.3, D2.4.
 */
export function defineDebugEnable(mb: ModuleBuilder, model: CpuModel): FunctionRef<'i32'> {
  return mb.function('isDebugEnabledFrom', ['i32', 'i32'], 'i32', (fb) => {
    const el = fb.get(fb.param(0, 'i32'));
    const isMasked = fb.get(fb.param(1, 'i32'));
    // The OS Lock; the OS Double Lock, unless DBGPRCR_EL1.CORENPDRQ keeps it open.
    const doubleLock = wrap(and(sysreg('OSDLR_EL1'), not(sysreg('DBGPRCR_EL1'))));
    fb.if(or(bit32(wrap(sysreg('OSLSR_EL1')), OSLSR_OSLK), and(doubleLock, i32(1))), () => {
      fb.return(i32(0));
    });
    const target = hasFeature(model, 'EL2') ? fb.let(select(isDebugOfEl2(), i32(2), i32(1))) : i32(1);
    const isAllowedToItself = and(bit32(wrap(sysreg('MDSCR_EL1')), MDSCR.KDE), eqz(isMasked));
    fb.return(select(eq(el, target), isAllowedToItself, ltS(el, target)));
    fb.unreachable();
  });
}

/** The syndrome of a debug exception, whose class depends on where it goes. */
function debugSyndromeOf(model: CpuModel): (ec: number, iss: I32) => I32 {
  return (ec, iss) => {
    const goesUp = hasFeature(model, 'EL2') ? and(eq(field32('EL'), i32(1)), isDebugOfEl2()) : i32(0);
    const isSame = and(ne(field32('EL'), i32(0)), eqz(goesUp));
    return add(syndrome(ec, iss), shl(isSame, i32(26)));
  };
}

/** SSAdvance: the instruction being stepped is complete, from now on the step is pending. */
export function advanceStep(fb: FunctionBuilder): void {
  const step = and(field32('DEBUG_REQUEST'), i32(DEBUG_REQUEST.step));
  setField32(fb, 'IL_SS', and(field32('IL_SS'), not(shl(step, i32(Math.log2(IL_SS_SS))))));
}

/** Accesses of DC instructions, for watchpoints: DC ZVA; DC IVAC, which counts as a store. */
export const DC_ACCESS = { zero: 1, maintenance: 2 } as const;

export interface DebugFunctions {
  /** `(va)`: whether a watchpoint is on the 4 KiB page at `va`. */
  readonly isWatchedPage: FunctionRef<'i32'>;
  /**
   * `(va, bytes, isWrite, isOfEl0, pc, kind, operand)`: raises a Watchpoint exception if one is hit: non-zero then. `kind`
   * is 0 or one of `DC_ACCESS`; `operand` is that of the DC instruction.
   */
  readonly checkWatchpoints: FunctionRef<'i32'>;
  /** `(va, host page)`: asks for handlers at the words of the page that breakpoints are on. */
  readonly markBreakpoints: FunctionRef<'none'>;
  /** Derives DEBUG_REQUEST, BREAKPOINTS and WATCHPOINTS from the registers. */
  readonly debugChanged: FunctionRef<'none'>;
  /** `(pc)`: raises a Breakpoint exception if one is hit: non-zero then. */
  readonly checkBreakpoints: FunctionRef<'i32'>;
}

export function defineDebug(
  mb: ModuleBuilder,
  model: CpuModel,
  isDebugEnabledFrom: FunctionRef<'i32'>,
  exceptions: ExceptionFunctions,
  markBreakpoint: FunctionRef<'none'>,
): DebugFunctions {
  const hasEl2 = hasFeature(model, 'EL2');

  /** Monitor debug events are on and taken from here. */
  const isMonitoring = (): I32 =>
    and(
      bit32(wrap(sysreg('MDSCR_EL1')), MDSCR.MDE),
      call(isDebugEnabledFrom, field32('EL'), shrU(field32('DAIF'), i32(3))),
    );

  /** `(control, value)`: whether the context is that of a context breakpoint. DDI0487 D2.8.3. */
  const isInContext = mb.function('isInContext', ['i32', 'i64'], 'i32', (fb) => {
    const bt = fb.let(and(shrU(fb.get(fb.param(0, 'i32')), i32(CONTROL.BT)), i32(15)));
    const bvr = fb.get(fb.param(1, 'i64'));
    const low = wrap(bvr);
    const isOfEl1 = fb.let(eq(low, wrap(sysreg('CONTEXTIDR_EL1'))));
    if (!hasEl2) {
      fb.return(isOfEl1);
      fb.unreachable();
      return;
    }
    const isOfEl2 = eq(low, wrap(sysreg('CONTEXTIDR_EL2')));
    const isGuest = fb.let(and(ltU(field32('EL'), i32(2)), eqz(field32('HOST'))));
    const hasBits = (mask: number, wanted: number): I32 => eq(and(bt, i32(mask)), i32(wanted));
    fb.if(
      hasBits(BT.high | BT.second | BT.context, BT.context),
      () => {
        fb.return(select(field32('HOST'), isOfEl2, and(isGuest, isOfEl1)));
      },
      () => {
        fb.if(and(hasBits(BT.context, BT.context), eqz(and(isGuest, isOfEl1))), () => {
          fb.return(i32(0));
        });
      },
    );
    const high = wrap(shrU(bvr, i64(32)));
    fb.if(hasBits(BT.high | BT.second, BT.high), () => {
      const vmid = wrap(and(shrU(sysreg('VTTBR_EL2'), i64(48)), i64(0xff)));
      fb.return(and(isGuest, eq(and(high, i32(0xff)), vmid)));
    });
    fb.if(hasBits(BT.high | BT.second, BT.high | BT.second), () => {
      fb.return(eq(high, wrap(sysreg('CONTEXTIDR_EL2'))));
    });
    fb.return(i32(1));
    fb.unreachable();
  });

  /** `(control, exception level)`: whether level and linked context are those that the control register wants. */
  const isInState = mb.function('isInState', ['i32', 'i32'], 'i32', (fb) => {
    const cr = fb.get(fb.param(0, 'i32'));
    const el = fb.get(fb.param(1, 'i32'));
    const ofLevel = select(
      eqz(el),
      bit32(cr, CONTROL.PxC + 1),
      select(eq(el, i32(1)), bit32(cr, CONTROL.PxC), bit32(cr, CONTROL.HMC)),
    );
    // SSC 2 is Secure state alone.
    const isSecure = eq(and(shrU(cr, i32(CONTROL.SSC)), i32(3)), i32(2));
    fb.if(or(eqz(ofLevel), isSecure), () => {
      fb.return(i32(0));
    });
    fb.if(eqz(bit32(cr, CONTROL.LINKED)), () => {
      fb.return(i32(1));
    });
    const lbn = fb.let(and(shrU(cr, i32(CONTROL.LBN)), i32(15)));
    for (const n of BREAKPOINTS.slice(FIRST_CONTEXT_AWARE))
      fb.if(eq(lbn, i32(n)), () => {
        const bcr = fb.let(control('B', n));
        const isLinked = and(isOnContext(bcr), bit32(bcr, CONTROL.LINKED));
        fb.return(and(isLinked, call(isInContext, bcr, value('B', n))));
      });
    fb.return(i32(0));
    fb.unreachable();
  });

  const debugSyndrome = debugSyndromeOf(model);

  const checkBreakpoints = mb.function('checkBreakpoints', ['i64'], 'i32', (fb) => {
    const pc = fb.get(fb.param(0, 'i64'));
    fb.if(eqz(isMonitoring()), () => {
      fb.return(i32(0));
    });
    for (const n of BREAKPOINTS) {
      const bcr = fb.let(control('B', n));
      const isAddress = eqz(shl(shrU(xor(pc, value('B', n)), i64(2)), i64(IGNORED_ADDRESS_BITS + 2)));
      const isHit = fb.temp('i32');
      fb.set(isHit, and(isOnAddress(bcr), isAddress));
      if (n >= FIRST_CONTEXT_AWARE)
        fb.if(and(isOnContext(bcr), eqz(bit32(bcr, CONTROL.LINKED))), () => {
          fb.set(isHit, call(isInContext, bcr, value('B', n)));
        });
      fb.if(fb.get(isHit), () => {
        fb.if(call(isInState, bcr, field32('EL')), () => {
          fb.call(exceptions.raiseDebug, debugSyndrome(EC.breakpoint, i32(FSC_DEBUG)), i64(0), i32(0), pc);
          fb.return(i32(1));
        });
      });
    }
    fb.return(i32(0));
    fb.unreachable();
  });

  /** `(control, value, va, bytes)`: distance from `va` to the first byte that is watched, negative where none is. */
  const distanceToWatched = mb.function('distanceToWatched', ['i32', 'i64', 'i64', 'i64'], 'i64', (fb) => {
    const wcr = fb.get(fb.param(0, 'i32'));
    const wvr = fb.get(fb.param(1, 'i64'));
    const va = fb.get(fb.param(2, 'i64'));
    const bytes = fb.get(fb.param(3, 'i64'));
    const none = (): void => {
      fb.return(i64(-1));
    };
    const mask = fb.let(and(shrU(wcr, i32(CONTROL.MASK)), i32(31)));
    // Reserved values of MASK watch nothing.
    fb.if(or(eqz(and(wcr, i32(1))), eq(shrU(add(mask, i32(1)), i32(1)), i32(1))), none);
    const start = fb.temp('i64');
    const length = fb.temp('i64');
    fb.if(
      mask,
      () => {
        fb.set(length, shl(i64(1), extU(mask)));
        fb.set(start, and(wvr, sub(i64(0), fb.get(length))));
      },
      () => {
        // A word's address: the high half of BAS is ignored.
        const width = select(wrap(and(wvr, i64(4))), i32(0xf), i32(0xff));
        const bas = fb.let(and(shrU(wcr, i32(CONTROL.BAS)), width));
        fb.if(eqz(bas), none);
        fb.set(length, extU(ctz(not(shrU(bas, ctz(bas))))));
        fb.set(start, add(and(wvr, i64(-4)), extU(ctz(bas))));
      },
    );
    fb.if(isNearer(sub(va, fb.get(start)), fb.get(length)), () => {
      fb.return(i64(0));
    });
    const distance = fb.let(sub(fb.get(start), va));
    fb.if(isNearer(distance, bytes), () => {
      fb.return(shrU(shl(distance, i64(IGNORED_ADDRESS_BITS)), i64(IGNORED_ADDRESS_BITS)));
    });
    none();
    fb.unreachable();
  });

  const isWatchedPage = mb.function('isWatchedPage', ['i64'], 'i32', (fb) => {
    const page = fb.let(and(fb.get(fb.param(0, 'i64')), i64(-PAGE_SIZE)));
    for (const n of WATCHPOINTS) {
      const distance = call(distanceToWatched, control('W', n), value('W', n), page, i64(PAGE_SIZE));
      fb.if(geS(distance, i64(0)), () => {
        fb.return(i32(1));
      });
    }
    fb.return(i32(0));
    fb.unreachable();
  });

  const checkWatchpoints = mb.function(
    'checkWatchpoints',
    ['i64', 'i32', 'i32', 'i32', 'i64', 'i32', 'i64'],
    'i32',
    (fb) => {
      const va = fb.get(fb.param(0, 'i64'));
      const bytes = fb.get(fb.param(1, 'i32'));
      const isWrite = fb.get(fb.param(2, 'i32'));
      const isOfEl0 = fb.get(fb.param(3, 'i32'));
      const pc = fb.get(fb.param(4, 'i64'));
      const kind = fb.get(fb.param(5, 'i32'));
      const operand = fb.get(fb.param(6, 'i64'));
      fb.if(eqz(isMonitoring()), () => {
        fb.return(i32(0));
      });
      const el = fb.let(select(isOfEl0, i32(0), field32('EL')));
      for (const n of WATCHPOINTS) {
        const wcr = fb.let(control('W', n));
        // LSC: bit 0 loads, bit 1 stores.
        fb.if(and(shrU(wcr, add(i32(CONTROL.LSC), isWrite)), i32(1)), () => {
          const distance = fb.let(call(distanceToWatched, wcr, value('W', n), va, extU(bytes)));
          fb.if(geS(distance, i64(0)), () => {
            fb.if(call(isInState, wcr, el), () => {
              const cm = eq(kind, i32(DC_ACCESS.maintenance));
              const iss = or(or(i32(FSC_DEBUG), shl(isWrite, i32(6))), shl(cm, i32(8)));
              // DC instructions report their operand, others the first byte that is watched. DDI0487 D19.2 (FAR_EL1).
              const far = select(kind, operand, add(va, distance));
              fb.call(exceptions.raiseDebug, debugSyndrome(EC.watchpoint, iss), far, i32(1), pc);
              fb.return(i32(1));
            });
          });
        });
      }
      fb.return(i32(0));
      fb.unreachable();
    },
  );

  const markBreakpoints = mb.function('markBreakpoints', ['i64', 'i32'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const page = fb.get(fb.param(1, 'i32'));
    for (const n of BREAKPOINTS) {
      const isHere = isNearer(sub(value('B', n), and(va, i64(-PAGE_SIZE))), i64(PAGE_SIZE));
      fb.if(and(isOnAddress(control('B', n)), isHere), () => {
        fb.call(markBreakpoint, add(page, and(wrap(value('B', n)), i32(PAGE_SIZE - 4))));
      });
    }
  });

  const debugChanged = mb.function('debugChanged', [], 'none', (fb) => {
    const some = (conditions: readonly I32[]): I32 => conditions.reduce((all, one) => or(all, one));
    const contexts = BREAKPOINTS.slice(FIRST_CONTEXT_AWARE).map((n) =>
      and(isOnContext(control('B', n)), eqz(bit32(control('B', n), CONTROL.LINKED))),
    );
    const step = and(wrap(sysreg('MDSCR_EL1')), i32(DEBUG_REQUEST.step));
    setField32(fb, 'DEBUG_REQUEST', or(step, select(some(contexts), i32(DEBUG_REQUEST.context), i32(0))));
    setField32(fb, 'BREAKPOINTS', some(BREAKPOINTS.map((n) => isOnAddress(control('B', n)))));
    setField32(fb, 'WATCHPOINTS', some(WATCHPOINTS.map((n) => and(control('W', n), i32(1)))));
  });

  return { isWatchedPage, checkWatchpoints, markBreakpoints, debugChanged, checkBreakpoints };
}

/** A Load-Exclusive: ISS.EX of a Software Step exception. */
function isLoadExclusive(word: I32): I32 {
  const is = (mask: number, match: number): I32 => eq(and(word, i32(mask)), i32(match));
  return or(is(0x3fe0_0000, 0x0840_0000), is(0xbfe0_0000 | 0, 0x8860_0000 | 0));
}

const ERET = 0xd69f_03e0 | 0;

export interface SteppingOptions {
  /** What cold handlers return, and `beforeInstruction` too: its `instruction` means that nothing is in the way. */
  readonly next: { readonly instruction: number; readonly refetch: number; readonly exit: number };
  /** EXIT's value where a run ends for another reason than waiting. */
  readonly exitOfBudget: number;
  /** `(host address)`: index of a handler of the word that is a function; less than `firstCold` where it is undefined. */
  readonly coldHandler: FunctionRef<'i32'>;
  readonly coldType: number;
  readonly firstCold: number;
  /** `(target)`: fills the code TLB, or raises an exception and returns 0. */
  readonly fetch: FunctionRef<'i32'>;
  /** `(target)`: without its tag. */
  readonly branchAddress: FunctionRef<'i64'>;
}

export interface SteppingFunctions {
  /** A cold handler: that of a word with a breakpoint on it. */
  readonly breakpoint: FunctionRef<'i32'>;
  /** What debug does before the instruction at PC. BUDGET is in memory. Returns a value of `next`. */
  readonly beforeInstruction: FunctionRef<'i32'>;
}

export function defineStepping(
  mb: ModuleBuilder,
  model: CpuModel,
  isDebugEnabledFrom: FunctionRef<'i32'>,
  exceptions: ExceptionFunctions,
  { checkBreakpoints }: DebugFunctions,
  { next, exitOfBudget, coldHandler, coldType, firstCold, fetch, branchAddress }: SteppingOptions,
): SteppingFunctions {
  const debugSyndrome = debugSyndromeOf(model);
  const raiseUndefined = (fb: FunctionBuilder, pc: I64): void => {
    fb.call(exceptions.raise, syndrome(EC.unknown), i64(0), i32(0), pc);
    fb.return(i32(next.refetch));
  };

  const breakpoint = mb.function('breakpoint', ['i32'], 'i32', (fb) => {
    const p = fb.get(fb.param(0, 'i32'));
    const pc = fb.let(add(field64('DELTA'), extU(p)));
    fb.if(call(checkBreakpoints, pc), () => {
      // Nothing was executed.
      setField32(fb, 'BUDGET', add(field32('BUDGET'), i32(1)));
      fb.return(i32(next.refetch));
    });
    const handler = fb.let(call(coldHandler, p));
    fb.if(ltS(handler, i32(firstCold)), () => {
      raiseUndefined(fb, pc);
    });
    fb.return(callIndirect('i32', coldType, sub(handler, i32(firstCold)), [p]));
    fb.unreachable();
  });

  const beforeInstruction = mb.function('beforeInstruction', [], 'i32', (fb) => {
    const isStepEnabled = (): I32 =>
      and(
        and(field32('DEBUG_REQUEST'), i32(DEBUG_REQUEST.step)),
        call(isDebugEnabledFrom, field32('EL'), shrU(field32('DAIF'), i32(3))),
      );
    const ss = (): I32 => and(field32('IL_SS'), i32(IL_SS_SS));
    const raiseStep = (iss: I32): void => {
      const esr = debugSyndrome(EC.softwareStep, or(iss, i32(FSC_DEBUG)));
      fb.call(exceptions.raiseDebug, esr, i64(0), i32(0), field64('PC'));
      fb.return(i32(next.refetch));
    };
    const countOne = (): void => {
      setField32(fb, 'BUDGET', sub(field32('BUDGET'), i32(1)));
    };
    const isStepping = fb.let(isStepEnabled());
    // Active-pending.
    fb.if(and(isStepping, eqz(ss())), () => {
      raiseStep(i32(0));
    });
    // PC alignment faults and instruction aborts come first, then breakpoints. DDI0487 D1.3.6 (prioritization).
    fb.if(eqz(call(fetch, field64('PC'))), () => {
      countOne();
      fb.return(i32(next.refetch));
    });
    const pc = fb.let(field64('PC'));
    fb.if(call(checkBreakpoints, pc), () => {
      fb.return(i32(next.refetch));
    });
    fb.if(and(field32('IL_SS'), i32(IL_SS_IL)), () => {
      // Counted, as other instructions that are not executed.
      countOne();
      fb.call(exceptions.raise, syndrome(EC.illegalState), i64(0), i32(0), pc);
      fb.return(i32(next.refetch));
    });
    fb.if(eqz(isStepping), () => {
      fb.return(i32(next.instruction));
    });

    // Active-not-pending: execute one instruction.
    setField32(fb, 'EXIT', i32(exitOfBudget));
    fb.if(leS(field32('BUDGET'), i32(0)), () => {
      fb.return(i32(next.exit));
    });
    countOne();
    const entry = fb.let(codeTlbEntry(field32('TLB'), pc));
    const p = fb.let(add(load('i32', entry, CODE_TLB.host), and(wrap(pc), i32(PAGE_SIZE - 1))));
    setField64(fb, 'DELTA', sub(pc, extU(p)));
    const word = fb.let(load('i32', p));
    const handler = fb.let(call(coldHandler, p));
    fb.if(ltS(handler, i32(firstCold)), () => {
      raiseUndefined(fb, pc);
    });
    const result = fb.let(callIndirect('i32', coldType, sub(handler, i32(firstCold)), [p]));
    fb.if(field32('FAULT'), () => {
      fb.return(i32(next.refetch));
    });
    fb.if(eq(result, i32(next.instruction)), () => {
      setField64(fb, 'PC', add(pc, i64(4)));
    });
    // The CPU was switched off or the machine stopped. Waits end at once: they may, for no reason.
    fb.if(and(eq(result, i32(next.exit)), eq(field32('EXIT'), i32(exitOfBudget))), () => {
      fb.return(i32(next.exit));
    });
    setField64(fb, 'PC', call(branchAddress, field64('PC')));
    // A firmware call has advanced already, as those return by an exception return: the step is pending after it.
    const isComplete = fb.let(or(ss(), eq(word, i32(ERET))));
    advanceStep(fb);
    fb.if(and(ne(isComplete, i32(0)), isStepEnabled()), () => {
      raiseStep(or(i32(STEP_ISV), shl(isLoadExclusive(word), i32(STEP_EX))));
    });
    fb.return(i32(next.refetch));
    fb.unreachable();
  });

  return { breakpoint, beforeInstruction };
}
