/**
 * The core module: the interpreter's one function, the MMU and exceptions, as WebAssembly.
 *
 * Dispatch is a `br_table` on a 16-bit handler index kept beside each code word (docs/ARCHITECTURE.md, "From a row to a
 * handler"). Index 0 decodes the word and stores its handler; index 1 stands behind the last word of a page.
 */
import { invariant } from '../base/index.js';
import type { Decoder } from '../isa/decoder.js';
import { helperFunctions } from '../isa/helper.js';
import type { Row } from '../isa/row.js';
import type { I32 } from '../wasm/expr.js';
import {
  add,
  and,
  callIndirect,
  eq,
  eqz,
  extU,
  geU,
  i32,
  i64,
  leS,
  load,
  ltU,
  ne,
  not,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
} from '../wasm/expr.js';
import { FunctionBuilder } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call } from '../wasm/function-ref.js';
import type { WasmTable } from '../wasm/host.js';
import { ModuleBuilder } from '../wasm/module-builder.js';
import { defineDebug, defineDebugEnable, defineStepping } from './debug.js';
import { EC, defineExceptions, syndrome, virtualPending } from './exceptions.js';
import type { HandlerGroup, HandlerIndex } from './handler-finder.js';
import { HANDLER, groupKey, helperExport, named } from './handler-finder.js';
import { HOT_HANDLERS } from './hot-handlers.js';
import type { CoreFunctions, HotFrame, Variant } from './interpreter-stage.js';
import { InterpreterStage, LookupTables, NEXT } from './interpreter-stage.js';
import {
  CODE_TLB,
  EARLIER_JUMPS,
  EXIT,
  HANDLER_COUNTS,
  JUMP_COUNTS,
  PAGE_MAP_BASE,
  PAGE_SIZE,
  SIDE_TABLE,
  SLOWLY_HOT,
  STATE,
} from './layout.js';
import { defineMmu } from './mmu.js';
import { defineTranslatedCode } from './translated-code.js';
import type { CpuModel } from './models.js';
import { hasFeature, implementsRow } from './models.js';
import { codeTlbEntry, field32, field64, handlerAt, isElsewhere, offsetInCodePage, orSysreg, setField32, setField64, sysreg } from './state.js'; // prettier-ignore
import { HOT_JUMPS, HOT_JUMPS_EVER } from './translation-policy.js';

const ROWLESS = Object.keys(HANDLER).length;

const PLAIN: Variant = { is31: new Set(), isFar: false };

/** What is imported from TypeScript. i64 values travel through the EXCHANGE cell. */
export interface HostImports {
  /** Stores the handler index of the word at host address `p`. */
  decode(p: number): void;
  deviceRead(address: number, bytes: number): number;
  deviceWrite(address: number, bytes: number): number;
  makeCodePage(hostPage: number): number;
  /** The code at host address `p` is hot. */
  hot(p: number): void;
  /** Translated code that covers these bytes is outdated. */
  dropTranslations(hostAddress: number, bytes: number): void;
  /** Index of a handler of the word at host address `p` that is a function, or that of undefined words. */
  coldHandler(p: number): number;
  /** From now on the word at host address `p` has the handler of breakpoints. */
  markBreakpoint(p: number): void;
  /** No word has it any more. */
  clearBreakpoints(): void;
  externalRead(index: number): number;
  externalWrite(index: number): number;
  firmwareCall(conduit: number, immediate: number): number;
  traceException(vector: number): void;
  levelChanged(): void;
}

interface Handler {
  readonly row: Row;
  readonly statics: Readonly<Record<string, number>>;
  readonly splits: Readonly<Record<string, number>>;
  readonly variant: Variant;
  readonly isHot: boolean;
}

/** Handlers of a group on their way to a `HandlerGroup`. */
interface Group {
  readonly row: Row;
  /** Among those of the row. */
  readonly key: string;
  readonly registers: readonly string[];
  readonly label: string | undefined;
  /** In the order of variants; those that are not hot share one that can do them all. */
  readonly handlers: readonly Handler[];
  /** One that isn't hot. */
  readonly cold: Handler;
  readonly mustBeCold: boolean;
  readonly endsWithStore: boolean;
  readonly overwrites: readonly string[];
}

/** All combinations of values below the given counts. */
function* combinations(counts: readonly number[]): Generator<number[]> {
  const values = counts.map(() => 0);
  for (;;) {
    yield [...values];
    let i = values.length - 1;
    for (; i >= 0; i--) {
      const value = (values[i] ?? 0) + 1;
      if (value < (counts[i] ?? 0)) {
        values[i] = value;
        break;
      }
      values[i] = 0;
    }
    if (i < 0) return;
  }
}

function enumerateGroups(
  rows: readonly Row[],
  core: CoreFunctions,
  lookups: LookupTables,
  { hot, isCounting }: Required<CoreOptions>,
): Group[] {
  const groups: Group[] = [];
  const unused = new Set(hot);
  for (const row of rows) {
    if (!implementsRow(core.model, row)) continue;
    for (const staticValues of combinations(row.staticFields.map((field) => 2 ** field.width))) {
      const statics = named(row.staticFields, staticValues);
      if (!row.isAllocated(statics)) continue;
      for (const splitValues of combinations(row.splits.map((split) => split.count))) {
        const splits = named(row.splits, splitValues);
        const key = groupKey(staticValues, splitValues);
        // A trial run shows which register fields are written or may be the stack pointer.
        const trial = new InterpreterStage(
          new FunctionBuilder(['i32'], ['i32']),
          core,
          lookups,
          row,
          PLAIN,
          undefined,
        );
        trial.generate(statics, splits);
        const registers = row.fields
          .map((field) => field.name)
          .filter((name) => trial.written.has(name) || trial.stackPointerFields.has(name));
        const label = trial.usesLabel ? row.fields.find((field) => field.kind === 'label')?.name : undefined;
        const cold: Handler = { row, statics, splits, variant: PLAIN, isHot: false };
        const handlers: Handler[] = [];
        for (let variant = 0; variant < 2 ** (registers.length + (label === undefined ? 0 : 1)); variant++) {
          const name = handlerName(row, key, variant);
          if (!unused.delete(name)) {
            // A handler of its own is what makes a variant countable.
            handlers.push(isCounting ? { ...cold } : cold);
            continue;
          }
          handlers.push({
            row,
            statics,
            splits,
            variant: {
              is31: new Set(registers.filter((_, i) => ((variant >> i) & 1) === 1)),
              isFar: variant >> registers.length === 1,
            },
            isHot: true,
          });
        }
        const { mustBeCold, endsWithStore, overwrites } = trial;
        groups.push({ row, key, registers, label, handlers, cold, mustBeCold, endsWithStore, overwrites: [...overwrites] }); // prettier-ignore
      }
    }
  }
  for (const name of unused) invariant(false, `no handler ${name}: measure hot handlers anew`);
  return groups;
}

/** Name of a handler in a profile: its group, and which variant of it. */
function handlerName(row: Row, key: string, variant: number): string {
  return `${row.name}/${key}#${variant}`;
}

/** The core module and what TypeScript must know of it. Plain data: it can be made when v8a is built. */
export interface CoreImage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly handlers: HandlerIndex;
}

/** What the module exports, besides the functions for translated code. */
export interface CoreExports {
  /** The cold handlers, in the order of their indices, and behind them translated code. */
  readonly handlers: WasmTable;
  /** Executes about `budget` instructions; the EXIT cell says why it came back. */
  run(budget: number): void;
  selectAddressSpace(): void;
  flushAll(): void;
  flushEveryCpu(): void;
  dropWriteTags(hostPage: number): void;
  stateChanged(): void;
  /** Begins to count jumps anew, and makes hot what was jumped to often enough by now. */
  countAnew(): void;
}

export interface CoreOptions {
  /** Names of the handlers that become part of the interpreter's one function. Default `HOT_HANDLERS`. */
  readonly hot?: readonly string[];
  /** Counts executions, of each variant of a handler for itself, at `HANDLER_COUNTS`. For measuring what is hot. */
  readonly isCounting?: boolean;
}

/** Generates the core module for the instructions of `decoder` and the CPU `model`. */
export function generateCore(decoder: Decoder, model: CpuModel, options: CoreOptions = {}): CoreImage {
  return generate(decoder, model, { hot: HOT_HANDLERS, isCounting: false, ...options }).image;
}

/** A core that counts, and the names of the handlers that may be hot by their indices. */
export function generateCountingCore(
  decoder: Decoder,
  model: CpuModel,
): { readonly image: CoreImage; readonly names: ReadonlyMap<number, string> } {
  const { image, groups, indexOf } = generate(decoder, model, { hot: [], isCounting: true });
  const names = new Map<number, string>();
  for (const { row, key, mustBeCold, handlers } of groups) {
    if (mustBeCold) continue;
    handlers.forEach((handler, variant) => names.set(indexOf(handler), handlerName(row, key, variant)));
  }
  return { image, names };
}

function generate(
  decoder: Decoder,
  model: CpuModel,
  options: Required<CoreOptions>,
): {
  readonly image: CoreImage;
  readonly groups: readonly Group[];
  readonly indexOf: (handler: Handler) => number;
} {
  const mb = new ModuleBuilder();
  mb.importMemory('env', 'memory', Math.ceil(PAGE_MAP_BASE / 0x1_0000));
  const imported = <R extends 'i32' | 'none'>(
    name: keyof HostImports,
    params: readonly ('i32' | 'f64')[],
    result: R,
  ): FunctionRef<R> => mb.importFunction('env', name, params, result);
  const decode = imported('decode', ['i32'], 'none');
  const deviceRead = imported('deviceRead', ['f64', 'i32'], 'i32');
  const deviceWrite = imported('deviceWrite', ['f64', 'i32'], 'i32');
  const makeCodePage = imported('makeCodePage', ['i32'], 'i32');
  const hot = imported('hot', ['i32'], 'none');
  const dropTranslations = imported('dropTranslations', ['i32', 'i32'], 'none');
  const coldHandler = imported('coldHandler', ['i32'], 'i32');
  const markBreakpoint = imported('markBreakpoint', ['i32'], 'none');
  const clearBreakpoints = imported('clearBreakpoints', [], 'none');
  const externalRead = imported('externalRead', ['i32'], 'i32');
  const externalWrite = imported('externalWrite', ['i32'], 'i32');
  const firmwareCall = imported('firmwareCall', ['i32', 'i32'], 'i32');
  const traceException = imported('traceException', ['i32'], 'none');
  const levelChanged = imported('levelChanged', [], 'none');

  const isDebugEnabledFrom = defineDebugEnable(mb, model);
  const exceptions = defineExceptions(mb, model, isDebugEnabledFrom, traceException);
  const debug = defineDebug(mb, model, isDebugEnabledFrom, exceptions, markBreakpoint);
  const mmu = defineMmu(mb, model, exceptions, debug, {
    deviceRead,
    deviceWrite,
    makeCodePage,
    dropTranslations,
  });
  const helperOf = helperFunctions(mb, (fb) => ({
    fpcr: () => wrap(sysreg('FPCR')),
    fpsr: () => wrap(sysreg('FPSR')),
    orFpsr: (bits) => {
      orSysreg(fb, 'FPSR', bits);
    },
  }));
  /** What translated code calls. */
  const shared = new Map<string, FunctionRef>();
  const core: CoreFunctions = {
    exceptions,
    mmu,
    debug,
    clearBreakpoints,
    externalRead,
    externalWrite,
    firmwareCall,
    model,
    helper: (helper) => {
      const f = helperOf(helper);
      shared.set(helperExport(helper.name), f);
      return f;
    },
  };
  const lookups = new LookupTables();
  const groups = enumerateGroups(decoder.rows, core, lookups, options);
  /** Handler index of each handler. */
  const indices = new Map<Handler, number>();

  // Cold handlers are functions of their own, in the module's table; hot ones come inside `run`.
  const coldType = mb.typeIndex(['i32'], 'i32');
  const all = new Set(groups.flatMap(({ handlers, cold }) => [...handlers, cold]));
  const coldHandlers = [...all].filter(({ isHot }) => !isHot);
  const firstCold = ROWLESS + all.size - coldHandlers.length;
  for (const handler of coldHandlers)
    mb.addToTable(
      mb.function(handler.row.name.replace(/[^\x20-\x7e]/g, '?'), ['i32'], 'i32', (fb) => {
        new InterpreterStage(fb, core, lookups, handler.row, handler.variant, undefined).generate(
          handler.statics,
          handler.splits,
        );
        fb.unreachable();
      }),
    );

  const { breakpoint, beforeInstruction } = defineStepping(mb, model, isDebugEnabledFrom, exceptions, debug, {
    next: NEXT,
    exitOfBudget: EXIT.budget,
    coldHandler,
    coldType,
    firstCold,
    fetch: mmu.fetch,
    branchAddress: mmu.branchAddress,
  });
  const breakpointHandler = firstCold + mb.addToTable(breakpoint);
  const firstTranslated = breakpointHandler + 1;
  const { runTranslated, ...forTranslatedCode } = defineTranslatedCode(mb, mmu, firstCold, firstTranslated);
  const { raise, raiseDebug, trapToEl2, trapSimdAccess, packFlags } = exceptions;
  const { checkAtomic, checkStore, zeroBlock } = mmu;
  const ofCore = {
    ...{ raise, raiseDebug, trapSimdAccess, packFlags, checkAtomic, checkStore, zeroBlock },
    ...(trapToEl2 && { trapToEl2 }),
  };
  for (const [name, f] of Object.entries({ ...ofCore, ...forTranslatedCode })) shared.set(name, f);

  const countAnew = mb.function('countAnew', [], 'none', (fb) => {
    const { at, words } = JUMP_COUNTS;
    /** Bytes into the counts. */
    const place = fb.local('i32');
    const end = fb.local('i32');
    const total = fb.local('i32');
    const one = (): void => {
      const earlier = fb.let(shl(fb.get(place), i32(1)));
      fb.set(total, load('i32', earlier, EARLIER_JUMPS));
      fb.set(total, select(eq(fb.get(total), i32(SLOWLY_HOT)), i32(0), fb.get(total)));
      fb.set(total, add(fb.get(total), load('i32_16u', fb.get(place), at)));
      const isHot = fb.let(geU(fb.get(total), i32(HOT_JUMPS_EVER)));
      fb.store('i32', earlier, EARLIER_JUMPS, select(isHot, i32(SLOWLY_HOT), fb.get(total)));
      fb.store('i32_16', fb.get(place), at, select(isHot, i32(HOT_JUMPS - 1), i32(0)));
    };
    fb.loop('four', (next) => {
      fb.set(end, add(fb.get(place), i32(8)));
      const four = (): void => {
        fb.loop('one', (again) => {
          one();
          fb.set(place, add(fb.get(place), i32(2)));
          fb.brIf(again, ltU(fb.get(place), fb.get(end)));
        });
      };
      // Nearly all are zero.
      fb.if(ne(load('i64', fb.get(place), at), i64(0)), four);
      fb.set(place, fb.get(end));
      fb.brIf(next, ltU(fb.get(place), i32(words * 2)));
    });
  });

  const run = mb.function('run', ['i32'], 'none', (fb) => {
    const n = fb.param(0, 'i32');
    const p = fb.local('i32');
    const side = fb.local('i32');
    const tlb = fb.local('i32');
    const word = fb.local('i32');
    const entry = fb.local('i32');
    const index = fb.local('i32');
    /** Going to `target` is no branch. */
    const isNoBranch = fb.local('i32');
    const flagA = fb.local('i64');
    const flagB = fb.local('i64');
    const target = fb.local('i64');
    const offset = fb.local('i64');
    /** Counts going to `p`. */
    const countJump = (): void => {
      const { at, words } = JUMP_COUNTS;
      fb.set(entry, and(shrU(fb.get(p), i32(1)), i32((words - 1) * 2)));
      fb.set(index, add(load('i32_16u', fb.get(entry), at), i32(1)));
      fb.store('i32_16', fb.get(entry), at, fb.get(index));
      const report = (): void => {
        fb.store('i32_16', fb.get(entry), at, i32(0));
        fb.call(hot, fb.get(p));
      };
      fb.if(eq(fb.get(index), i32(HOT_JUMPS)), report, undefined, 'not taken');
    };
    const isOutOfBudget = (): I32 => leS(fb.get(n), i32(0));
    const spillFlags = (): void => {
      setField64(fb, 'FLAG_A', fb.get(flagA));
      setField64(fb, 'FLAG_B', fb.get(flagB));
    };
    const reloadFlags = (): void => {
      fb.set(flagA, field64('FLAG_A'));
      fb.set(flagB, field64('FLAG_B'));
    };

    const mayInterrupt = hasFeature(model, 'EL2')
      ? or(field32('PENDING'), virtualPending())
      : and(field32('PENDING'), not(field32('DAIF')));

    fb.block('exit', (exit) => {
      fb.loop('refetch', (refetch) => {
        setField32(fb, 'FAULT', i32(0));
        fb.set(isNoBranch, i32(0));
        // Every change of the exception level comes by here.
        fb.if(field32('LEVEL_WATCH'), () => {
          const level = add(field32('EL'), i32(1));
          fb.if(ne(field32('LEVEL_WATCH'), level), () => {
            setField32(fb, 'LEVEL_WATCH', level);
            setField32(fb, 'BUDGET', fb.get(n));
            fb.call(levelChanged);
            fb.set(n, field32('BUDGET'));
          });
        });
        fb.if(mayInterrupt, () => {
          // A branch that used up the budget may have left its target's tag.
          setField64(fb, 'PC', call(mmu.branchAddress, field64('PC')));
          fb.brIf(refetch, call(exceptions.takeInterrupt));
        });
        // Illegal state, software step, breakpoints on contexts.
        fb.if(ne(load('i64', i32(0), STATE.IL_SS.at), i64(0)), () => {
          setField32(fb, 'BUDGET', fb.get(n));
          fb.set(index, call(beforeInstruction));
          fb.set(n, field32('BUDGET'));
          fb.brIf(refetch, eq(fb.get(index), i32(NEXT.refetch)));
          fb.brIf(exit, eq(fb.get(index), i32(NEXT.exit)));
        });
        reloadFlags();
        fb.set(tlb, field32('TLB'));
        fb.set(target, field64('PC'));
        fb.loop('jump', (jump) => {
          fb.if(and(isOutOfBudget(), eqz(fb.get(isNoBranch))), () => {
            setField64(fb, 'PC', fb.get(target));
            spillFlags();
            setField32(fb, 'EXIT', i32(EXIT.budget));
            fb.br(exit);
          });
          fb.set(entry, codeTlbEntry(fb.get(tlb), fb.get(target)));
          fb.set(offset, offsetInCodePage(fb.get(target), fb.get(entry)));
          fb.if(isElsewhere(fb.get(offset)), () => {
            setField64(fb, 'PC', fb.get(target));
            setField32(fb, 'BUDGET', fb.get(n));
            spillFlags();
            fb.if(eqz(call(mmu.fetch, fb.get(target))), () => {
              // Counted, so that vectors which can't be fetched use up the budget.
              fb.set(n, sub(fb.get(n), i32(1)));
              fb.br(refetch);
            });
            // Without a tag, where the top byte is ignored.
            fb.set(target, field64('PC'));
            fb.br(jump);
          });
          fb.set(isNoBranch, i32(0));
          fb.set(p, add(load('i32', fb.get(entry), CODE_TLB.host), wrap(fb.get(offset))));
          fb.set(side, load('i32', fb.get(entry), CODE_TLB.side));
          setField64(fb, 'DELTA', sub(fb.get(target), extU(fb.get(p))));
          countJump();
          fb.block('outOfBudget', (outOfBudget) => {
            fb.loop('dispatch', (dispatch) => {
              fb.set(n, sub(fb.get(n), i32(1)));
              fb.block('loopBack', (loopBack) => {
                const frame: HotFrame = {
                  p,
                  n,
                  tlb,
                  word,
                  flagA,
                  flagB,
                  target,
                  dispatch,
                  loopBack,
                  jump,
                  refetch,
                  outOfBudget,
                };
                const notAnInstruction = (): void => {
                  fb.set(n, add(fb.get(n), i32(1)));
                };
                const cases: (() => void)[] = [
                  () => {
                    notAnInstruction();
                    fb.call(decode, fb.get(p));
                    fb.br(dispatch);
                  },
                  () => {
                    notAnInstruction();
                    fb.set(target, add(field64('DELTA'), extU(fb.get(p))));
                    fb.br(jump);
                  },
                  () => {
                    spillFlags();
                    fb.call(
                      exceptions.raise,
                      syndrome(EC.unknown),
                      i64(0),
                      i32(0),
                      add(field64('DELTA'), extU(fb.get(p))),
                    );
                    fb.br(refetch);
                  },
                ];
                for (const handler of all) {
                  if (!handler.isHot) continue;
                  indices.set(handler, cases.length);
                  cases.push(() => {
                    fb.scope(() => {
                      new InterpreterStage(fb, core, lookups, handler.row, handler.variant, frame).generate(
                        handler.statics,
                        handler.splits,
                      );
                    });
                  });
                }
                // All others: a call through the table.
                invariant(cases.length === firstCold, 'hot handlers come first');
                coldHandlers.forEach((handler, position) => indices.set(handler, firstCold + position));
                cases.push(() => {
                  spillFlags();
                  fb.if(
                    ltU(fb.get(index), i32(firstTranslated)),
                    () => {
                      setField32(fb, 'BUDGET', fb.get(n));
                      const handler = sub(fb.get(index), i32(firstCold));
                      fb.set(index, callIndirect('i32', coldType, handler, [fb.get(p)]));
                    },
                    () => {
                      // It counts its first instruction, too.
                      const budget = add(fb.get(n), i32(1));
                      fb.set(index, call(runTranslated, fb.get(index), fb.get(p), budget));
                    },
                  );
                  fb.set(n, field32('BUDGET'));
                  fb.if(fb.get(index), () => {
                    fb.brIf(refetch, eq(fb.get(index), i32(NEXT.refetch)));
                    fb.brIf(exit, eq(fb.get(index), i32(NEXT.exit)));
                    reloadFlags();
                    fb.set(target, field64('PC'));
                    fb.set(isNoBranch, eq(fb.get(index), i32(NEXT.fallThrough)));
                    fb.br(jump);
                  });
                  reloadFlags();
                  fb.set(p, add(fb.get(p), i32(4)));
                  fb.br(dispatch);
                });
                fb.set(index, handlerAt(fb.get(p), fb.get(side)));
                if (options.isCounting) {
                  const counter = shl(fb.get(index), i32(2));
                  const { at } = HANDLER_COUNTS;
                  fb.store('i32', counter, at, add(load('i32', counter, at), i32(1)));
                }
                fb.switch(fb.get(index), cases);
              });
              countJump();
              fb.br(dispatch);
            });
          });
          setField64(fb, 'PC', add(field64('DELTA'), extU(fb.get(p))));
          spillFlags();
          setField32(fb, 'EXIT', i32(EXIT.budget));
          fb.br(exit);
        });
      });
    });
    setField32(fb, 'BUDGET', fb.get(n));
  });

  mb.export('run', run);
  mb.export('countAnew', countAnew);
  mb.export('selectAddressSpace', mmu.selectAddressSpace);
  mb.export('flushAll', mmu.flushAll);
  mb.export('flushEveryCpu', mmu.flushEveryCpu);
  mb.export('dropWriteTags', mmu.dropWriteTags);
  mb.export('stateChanged', exceptions.stateChanged);
  mb.exportTable('handlers');
  for (const [name, f] of shared) mb.export(name, f);
  for (const { at, values } of lookups.tables) mb.addData(at, new Uint8Array(values.buffer));
  invariant(breakpointHandler < HANDLER_COUNTS.capacity, 'handler indices have 16 bits');
  const indexOf = (handler: Handler): number => indices.get(handler) ?? HANDLER.undefined;
  const byRow: Record<string, Record<string, HandlerGroup>> = {};
  for (const { row, key, registers, label, handlers, cold, mustBeCold, endsWithStore, overwrites } of groups)
    (byRow[row.name] ??= {})[key] = {
      cold: indexOf(cold),
      ...(mustBeCold ? { mustBeCold } : {}),
      ...(endsWithStore ? { endsWithStore } : {}),
      ...(overwrites.length > 0 ? { overwrites } : {}),
      ...(handlers.every((handler) => handler === cold)
        ? {}
        : {
            variants: {
              registers,
              ...(label === undefined ? {} : { label }),
              handlers: handlers.map(indexOf),
            },
          }),
    };
  const functions = Object.fromEntries(
    [...shared].map(([name, { params, result }]) => [name, { params, result }]),
  );
  const handlers: HandlerIndex = {
    groups: byRow,
    breakpoint: breakpointHandler,
    ...{ firstCold, firstTranslated, functions },
  };
  return { image: { bytes: mb.build(), handlers }, groups, indexOf };
}

invariant(SIDE_TABLE.words * 4 === PAGE_SIZE, 'a handler table covers a page');
