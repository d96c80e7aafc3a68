/**
 * What the core module does for translated code: goes from region to region, and the slow paths that would be long if
 * each access had them. A region is `(p, n) → NEXT`: the host address where it is entered, and the instructions that it
 * may execute; what is left of them is in BUDGET when it comes back, and the address to go on at in PC.
 */
import type { I32, I64 } from '../wasm/expr.js';
import { add, and, callIndirect, eq, eqz, extU, geU, i32, i64, leS, load, ltU, ne, select, shl, sub, wrap } from '../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder, Label, Local } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call } from '../wasm/function-ref.js';
import type { ModuleBuilder } from '../wasm/module-builder.js';
import { NEXT } from './interpreter-stage.js';
import { CODE_TLB, PAGE_SIZE } from './layout.js';
import type { MmuFunctions } from './mmu.js';
import { codeTlbEntry, field32, field64, handlerAt, isElsewhere, offsetInCodePage, setField32, setField64 } from './state.js'; // prettier-ignore

/**
 * How a region's locals have the condition flags: a value of FLAG_KIND, where operands of 32 bits are zero-extended
 * instead of shifted to the top, or not at all.
 */
export const LOCAL_FLAGS = { kind: 3, narrow: 4, inMemory: 8 } as const;

/** Calls that are calls of WebAssembly one in the other. A deeper one makes all of them return, and goes on as a jump does. */
const MAX_CALL_DEPTH = 64;

/** In CALL_DEPTH: translations were dropped, and who called may be one of them. */
export const DROPPED = 0x1_0000;

/** Added to the address of an instruction whose slow store is the last thing that it does. */
export const ENDS_WITH_STORE = 1;

export interface TranslatedCodeFunctions {
  /** `(handler, p)`: calls a handler that is a function. BUDGET and flags are in memory. */
  readonly callCold: FunctionRef<'i32'>;
  /** `(handler, p, n)`: executes regions for as long as one leads to the next. Returns what the last one did. */
  readonly runTranslated: FunctionRef<'i32'>;
  /**
   * `(target, link, n)`, with the flags in memory: executes regions from `target` until one jumps to `link`.
   * `NEXT.instruction` if the caller can go on there, with what is in BUDGET, which is more than 0, and with a DELTA of its
   * own to be set; else what the caller has to return.
   */
  readonly callTranslated: FunctionRef<'i32'>;
  /** `(kind, a, b)`: `putFlags`. */
  readonly spillFlags: FunctionRef<'none'>;
  /** `(va, request, host address of the instruction, budget, kind, a, b)`: what `slowLoad` returns. */
  readonly loadSlowly: FunctionRef<'i64'>;
  /** `(va, request, value, host address of the instruction, budget, kind, a, b)`: a value of NEXT. */
  readonly storeSlowly: FunctionRef<'i32'>;
}

/** The type of regions. */
export const REGION_PARAMS = ['i32', 'i32'] as const;

/** Puts the flags that locals have where the rest of the machine finds them. */
export function putFlags(fb: FunctionBuilder, kind: I32, a: I64, b: I64): void {
  const put = (): void => {
    // 32, if they are narrow.
    const shift = fb.let(extU(shl(and(kind, i32(LOCAL_FLAGS.narrow)), i32(3))));
    setField64(fb, 'FLAG_A', shl(a, shift));
    setField64(fb, 'FLAG_B', shl(b, shift));
    setField32(fb, 'FLAG_KIND', and(kind, i32(LOCAL_FLAGS.kind)));
  };
  fb.if(eqz(and(kind, i32(LOCAL_FLAGS.inMemory))), put);
}

export function defineTranslatedCode(
  mb: ModuleBuilder,
  { slowLoad, slowStore }: Pick<MmuFunctions, 'slowLoad' | 'slowStore'>,
  firstCold: number,
  firstTranslated: number,
): TranslatedCodeFunctions {
  const callCold = mb.function('callCold', ['i32', 'i32'], 'i32', (fb) => {
    const handler = sub(fb.get(fb.param(0, 'i32')), i32(firstCold));
    fb.return(callIndirect('i32', mb.typeIndex(['i32'], 'i32'), handler, [fb.get(fb.param(1, 'i32'))]));
    fb.unreachable();
  });

  const spillFlags = mb.function('spillFlags', ['i32', 'i64', 'i64'], 'none', (fb) => {
    putFlags(fb, fb.get(fb.param(0, 'i32')), fb.get(fb.param(1, 'i64')), fb.get(fb.param(2, 'i64')));
  });

  const spill = (fb: FunctionBuilder, budget: number): void => {
    setField32(fb, 'BUDGET', fb.get(fb.param(budget, 'i32')));
    fb.call(
      spillFlags,
      fb.get(fb.param(budget + 1, 'i32')),
      fb.get(fb.param(budget + 2, 'i64')),
      fb.get(fb.param(budget + 3, 'i64')),
    );
  };
  const pcOf = (at: I32): I64 => add(field64('DELTA'), extU(at));

  const loadSlowly = mb.function(
    'loadSlowly',
    ['i64', 'i32', 'i32', 'i32', 'i32', 'i64', 'i64'],
    'i64',
    (fb) => {
      spill(fb, 3);
      const at = fb.get(fb.param(2, 'i32'));
      fb.return(call(slowLoad, fb.get(fb.param(0, 'i64')), fb.get(fb.param(1, 'i32')), pcOf(at)));
      fb.unreachable();
    },
  );

  const storeSlowly = mb.function(
    'storeSlowly',
    ['i64', 'i32', 'i64', 'i32', 'i32', 'i32', 'i64', 'i64'],
    'i32',
    (fb) => {
      spill(fb, 4);
      const at = fb.get(fb.param(3, 'i32'));
      const pc = fb.let(pcOf(and(at, i32(~ENDS_WITH_STORE))));
      const [va, request, value] = [fb.param(0, 'i64'), fb.param(1, 'i32'), fb.param(2, 'i64')];
      fb.call(slowStore, fb.get(va), fb.get(request), fb.get(value), pc);
      fb.if(field32('FAULT'), () => {
        fb.return(i32(NEXT.refetch));
      });
      // It may have changed the code that the region was made of.
      fb.if(and(and(at, i32(ENDS_WITH_STORE)), ne(field32('STALE'), i32(0))), () => {
        setField32(fb, 'STALE', i32(0));
        setField64(fb, 'PC', add(pc, i64(4)));
        // As where a region is left without a branch.
        const isLastOfPage = eq(and(at, i32(PAGE_SIZE - 4)), i32(PAGE_SIZE - 4));
        fb.return(select(isLastOfPage, i32(NEXT.jump), i32(NEXT.fallThrough)));
      });
      fb.return(i32(NEXT.instruction));
      fb.unreachable();
    },
  );

  /** Locals of what goes from region to region. */
  const chainOf = (fb: FunctionBuilder, n: Local<'i32'>) => {
    const handler = fb.local('i32');
    const p = fb.local('i32');
    const entry = fb.local('i32');
    const offset = fb.local('i64');
    const target = fb.local('i64');
    const result = fb.local('i32');
    const type = mb.typeIndex(REGION_PARAMS, 'i32');
    /** Executes the region of `handler`. Ends, with a result, where it doesn't lead to `target`. */
    const execute = (end: Label): void => {
      const index = sub(fb.get(handler), i32(firstCold));
      fb.set(result, callIndirect('i32', type, index, [fb.get(p), fb.get(n)]));
      fb.brIf(end, ltU(fb.get(result), i32(NEXT.jump)), 'not taken');
      fb.set(n, field32('BUDGET'));
      const atEnd = (): void => {
        fb.brIf(end, eq(fb.get(result), i32(NEXT.jump)));
      };
      fb.if(leS(fb.get(n), i32(0)), atEnd, undefined, 'not taken');
      fb.set(target, field64('PC'));
    };
    /** Looks for the handler at `target`. Ends where it is no region. */
    const find = (end: Label): void => {
      fb.set(entry, codeTlbEntry(field32('TLB'), fb.get(target)));
      fb.set(offset, offsetInCodePage(fb.get(target), fb.get(entry)));
      fb.brIf(end, isElsewhere(fb.get(offset)), 'not taken');
      fb.set(p, add(load('i32', fb.get(entry), CODE_TLB.host), wrap(fb.get(offset))));
      const side = load('i32', fb.get(entry), CODE_TLB.side);
      fb.set(handler, handlerAt(fb.get(p), side));
      fb.brIf(end, ltU(fb.get(handler), i32(firstTranslated)), 'not taken');
      setField64(fb, 'DELTA', sub(fb.get(target), extU(fb.get(p))));
    };
    return { handler, p, target, result, execute, find };
  };

  const runTranslated = mb.function('runTranslated', ['i32', 'i32', 'i32'], 'i32', (fb) => {
    const { handler, p, result, execute, find } = chainOf(fb, fb.param(2, 'i32'));
    fb.set(handler, fb.get(fb.param(0, 'i32')));
    fb.set(p, fb.get(fb.param(1, 'i32')));
    fb.block('end', (end) => {
      fb.loop('region', (next) => {
        // Who called one another has returned.
        setField32(fb, 'CALL_DEPTH', i32(0));
        execute(end);
        find(end);
        fb.br(next);
      });
    });
    fb.return(fb.get(result));
    fb.unreachable();
  });

  const callTranslated = mb.function('callTranslated', ['i64', 'i64', 'i32'], 'i32', (fb) => {
    const [first, link, n] = [fb.param(0, 'i64'), fb.param(1, 'i64'), fb.param(2, 'i32')];
    const { target, result, execute, find } = chainOf(fb, n);
    const depth = fb.let(field32('CALL_DEPTH'));
    fb.block('jump', (jump) => {
      fb.brIf(jump, geU(depth, i32(MAX_CALL_DEPTH)), 'not taken');
      fb.set(target, fb.get(first));
      find(jump);
      setField32(fb, 'CALL_DEPTH', add(depth, i32(1)));
      fb.block('end', (end) => {
        fb.block('return', (back) => {
          // Most functions are one region, and a loop would ask for the stack's end each time.
          execute(end);
          fb.brIf(back, eq(fb.get(target), fb.get(link)), 'taken');
          fb.loop('region', (next) => {
            find(end);
            execute(end);
            fb.brIf(next, ne(fb.get(target), fb.get(link)));
          });
        });
        const left = fb.let(sub(field32('CALL_DEPTH'), i32(1)));
        setField32(fb, 'CALL_DEPTH', left);
        // The caller may have been dropped. PC and BUDGET are as after a jump.
        fb.return(select(ltU(left, i32(DROPPED)), i32(NEXT.instruction), i32(NEXT.jump)));
      });
      setField32(fb, 'CALL_DEPTH', sub(field32('CALL_DEPTH'), i32(1)));
      fb.return(fb.get(result));
    });
    setField64(fb, 'PC', fb.get(first));
    setField32(fb, 'BUDGET', fb.get(n));
    fb.return(i32(NEXT.jump));
    fb.unreachable();
  });
  return { callCold, runTranslated, callTranslated, spillFlags, loadSlowly, storeSlowly };
}
