/**
 * The core module: the interpreter's one function, the MMU and exceptions, as WebAssembly.
 *
 * Dispatch is a `br_table` on a 16-bit handler index kept beside each code word (docs/ARCHITECTURE.md, "From a row to a
 * handler"). Index 0 decodes the word and stores its handler; index 1 stands behind the last word of a page.
 */
import { invariant } from '../base/index.js';
import type { Decoder } from '../isa/decoder.js';
import type { FieldLayout, Row } from '../isa/row.js';
import { fieldValue } from '../isa/row.js';
import type { I32 } from '../wasm/expr.js';
import {
  add,
  and,
  eqz,
  extU,
  i32,
  i64,
  leS,
  load,
  ne,
  not,
  select,
  shrU,
  sub,
  wrap,
  xor,
} from '../wasm/expr.js';
import { FunctionBuilder } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/module-builder.js';
import { ModuleBuilder, call } from '../wasm/module-builder.js';
import { EC, VECTOR, defineExceptions, syndrome } from './exceptions.js';
import type { CoreFunctions, HotFrame, Variant } from './interpreter-stage.js';
import { InterpreterStage, LookupTables, NEXT } from './interpreter-stage.js';
import { CODE_TLB, CODE_TLB_OFFSET, PAGE_SHIFT, PAGE_SIZE, SIDE_TABLE } from './layout.js';
import { defineMmu } from './mmu.js';
import type { CpuModel } from './models.js';
import { field32, field64, setField32, setField64 } from './state.js';

/** Handlers that belong to no row. */
export const HANDLER = { decode: 0, pageEnd: 1, undefined: 2 } as const;
const FIRST_ROW_HANDLER = 3;

const PLAIN: Variant = { is31: new Set(), isFar: false };

/** What is imported from TypeScript. i64 values travel through the EXCHANGE cell. */
export interface HostImports {
  /** Stores the handler index of the word at host address `p`. */
  decode(p: number): void;
  deviceRead(address: number, bytes: number): number;
  deviceWrite(address: number, bytes: number): number;
  makeCodePage(hostPage: number): number;
  externalRead(index: number): number;
  externalWrite(index: number): number;
  firmwareCall(conduit: number, immediate: number): number;
  traceException(vector: number): void;
}

interface Handler {
  readonly row: Row;
  readonly statics: Readonly<Record<string, number>>;
  readonly splits: Readonly<Record<string, number>>;
  readonly variant: Variant;
  readonly isHot: boolean;
}

/** Which fields make variants of a hot row's handlers. */
interface VariantFields {
  /** Register fields for which 31 is a handler of its own. */
  readonly registers: readonly FieldLayout[];
  readonly label: FieldLayout | undefined;
}

/** Everything about handlers that decoding needs. */
export class HandlerTable {
  readonly #decoder: Decoder;
  /** By row, static fields and splits: the fields that choose among the handlers. */
  readonly #groups = new Map<string, VariantFields>();
  readonly #index = new Map<string, number>();

  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  addGroup(row: Row, statics: readonly number[], splits: readonly number[], fields: VariantFields): void {
    this.#groups.set(groupKey(row, statics, splits), fields);
  }

  add(handler: Handler, index: number): void {
    const { row, statics, splits, variant } = handler;
    this.#index.set(variantKey(groupKey(row, Object.values(statics), Object.values(splits)), variant), index);
  }

  /** Row and handler of `word` at `offset` bytes into its page. */
  find(word: number, offset: number): { readonly row: Row | undefined; readonly handler: number } {
    const row = this.#decoder.decode(word);
    if (!row || row.status === 'unimplemented') return { row, handler: HANDLER.undefined };
    const key = groupKey(
      row,
      row.staticFields.map((field) => fieldValue(word, field)),
      row.splitValues(word),
    );
    const fields = this.#groups.get(key);
    invariant(fields !== undefined, `${row.name} has no handler for 0x${word.toString(16)}`);
    const is31 = fields.registers
      .filter((field) => fieldValue(word, field) === 31)
      .map((field) => field.name);
    let isFar = false;
    if (fields.label) {
      const shift = 32 - fields.label.width;
      const destination = offset + ((fieldValue(word, fields.label) << shift) >> shift) * 4;
      isFar = destination < 0 || destination >= PAGE_SIZE;
    }
    const handler = this.#index.get(variantKey(key, { is31: new Set(is31), isFar }));
    invariant(handler !== undefined, `${row.name} has no handler for 0x${word.toString(16)}`);
    return { row, handler };
  }
}

function groupKey(row: Row, statics: readonly number[], splits: readonly number[]): string {
  return `${row.name}/${statics.join()}/${splits.join()}`;
}

function variantKey(group: string, variant: Variant): string {
  return `${group}/${[...variant.is31].sort().join()}${variant.isFar ? '/far' : ''}`;
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

function named(
  names: readonly { readonly name: string }[],
  values: readonly number[],
): Record<string, number> {
  return Object.fromEntries(names.map(({ name }, i) => [name, values[i] ?? 0]));
}

function enumerateHandlers(
  rows: readonly Row[],
  core: CoreFunctions,
  lookups: LookupTables,
  table: HandlerTable,
): Handler[] {
  const handlers: Handler[] = [];
  for (const row of rows) {
    if (row.status === 'unimplemented') continue;
    for (const staticValues of combinations(row.staticFields.map((field) => 2 ** field.width))) {
      const statics = named(row.staticFields, staticValues);
      if (!row.isAllocated(statics)) continue;
      for (const splitValues of combinations(row.splits.map((split) => split.count))) {
        const splits = named(row.splits, splitValues);
        if (!row.isHot(statics)) {
          table.addGroup(row, staticValues, splitValues, { registers: [], label: undefined });
          handlers.push({ row, statics, splits, variant: PLAIN, isHot: false });
          continue;
        }
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
        const registers = row.fields.filter(
          (field) => trial.written.has(field.name) || trial.stackPointerFields.has(field.name),
        );
        const label = trial.usesLabel ? row.fields.find((field) => field.kind === 'label') : undefined;
        table.addGroup(row, staticValues, splitValues, { registers, label });
        for (const [far = 0, ...is31] of combinations([label ? 2 : 1, ...registers.map(() => 2)])) {
          const names = registers.filter((_, i) => is31[i] === 1).map((field) => field.name);
          handlers.push({
            row,
            statics,
            splits,
            variant: { is31: new Set(names), isFar: far === 1 },
            isHot: true,
          });
        }
      }
    }
  }
  return handlers;
}

export interface CoreModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly handlers: HandlerTable;
  readonly lookups: LookupTables;
  /** Number of handlers, for statistics. */
  readonly handlerCount: { readonly hot: number; readonly cold: number };
}

/** Functions that the module exports. */
export interface CoreExports {
  /** Executes about `budget` instructions; the EXIT cell says why it came back. */
  run(budget: number): void;
  flushAll(): void;
  pstateChanged(): void;
}

/** Generates the core module for the instructions of `decoder` and the CPU `model`, with `memoryPages` of 64 KiB. */
export function generateCore(decoder: Decoder, model: CpuModel, memoryPages: number): CoreModule {
  const mb = new ModuleBuilder();
  mb.importMemory('env', 'memory', memoryPages);
  const imported = <R extends 'i32' | 'none'>(
    name: keyof HostImports,
    params: readonly ('i32' | 'f64')[],
    result: R,
  ): FunctionRef<R> => mb.importFunction('env', name, params, result);
  const decode = imported('decode', ['i32'], 'none');
  const deviceRead = imported('deviceRead', ['f64', 'i32'], 'i32');
  const deviceWrite = imported('deviceWrite', ['f64', 'i32'], 'i32');
  const makeCodePage = imported('makeCodePage', ['i32'], 'i32');
  const externalRead = imported('externalRead', ['i32'], 'i32');
  const externalWrite = imported('externalWrite', ['i32'], 'i32');
  const firmwareCall = imported('firmwareCall', ['i32', 'i32'], 'i32');
  const traceException = imported('traceException', ['i32'], 'none');

  const exceptions = defineExceptions(mb, traceException);
  const mmu = defineMmu(mb, exceptions, { deviceRead, deviceWrite, makeCodePage });
  const core: CoreFunctions = { exceptions, mmu, externalRead, externalWrite, firmwareCall, model };
  const lookups = new LookupTables();
  const table = new HandlerTable(decoder);
  const handlers = enumerateHandlers(decoder.rows, core, lookups, table);
  invariant(handlers.length + FIRST_ROW_HANDLER < 0x10000, 'handler indices have 16 bits');

  // Cold handlers with the same row and splits are functions; hot ones come inside `run`.
  const coldFunctions = new Map<Handler, FunctionRef<'i32'>>();
  for (const handler of handlers) {
    if (handler.isHot) continue;
    coldFunctions.set(
      handler,
      mb.function(handler.row.name.replace(/[^\x20-\x7e]/g, '?'), ['i32'], 'i32', (fb) => {
        new InterpreterStage(fb, core, lookups, handler.row, handler.variant, undefined).generate(
          handler.statics,
          handler.splits,
        );
        fb.unreachable();
      }),
    );
  }

  const run = mb.function('run', ['i32'], 'none', (fb) => {
    const n = fb.param(0, 'i32');
    const p = fb.local('i32');
    const side = fb.local('i32');
    const tlb = fb.local('i32');
    const word = fb.local('i32');
    const entry = fb.local('i32');
    const flagA = fb.local('i64');
    const flagB = fb.local('i64');
    const target = fb.local('i64');
    const offset = fb.local('i64');
    const isOutOfBudget = (): I32 => leS(fb.get(n), i32(0));
    const spillFlags = (): void => {
      setField64(fb, 'FLAG_A', fb.get(flagA));
      setField64(fb, 'FLAG_B', fb.get(flagB));
    };
    const reloadFlags = (): void => {
      fb.set(flagA, field64('FLAG_A'));
      fb.set(flagB, field64('FLAG_B'));
    };

    fb.block('exit', (exit) => {
      fb.loop('refetch', (refetch) => {
        setField32(fb, 'FAULT', i32(0));
        const pending = fb.let(and(field32('PENDING'), not(field32('DAIF'))));
        fb.if(and(pending, i32(7)), () => {
          // SError before FIQ before IRQ: the order among them is ours to choose. DDI0487 D1.3.5.
          fb.call(
            exceptions.interrupt.index,
            select(
              and(pending, i32(4)),
              i32(VECTOR.serror),
              select(and(pending, i32(1)), i32(VECTOR.fiq), i32(VECTOR.irq)),
            ),
          );
          fb.br(refetch);
        });
        fb.if(field32('IL'), () => {
          fb.call(exceptions.raise.index, syndrome(EC.illegalState), i64(0), i32(0), field64('PC'));
          fb.br(refetch);
        });
        reloadFlags();
        fb.set(tlb, field32('TLB'));
        fb.set(target, field64('PC'));
        fb.loop('jump', (jump) => {
          fb.if(isOutOfBudget(), () => {
            setField64(fb, 'PC', fb.get(target));
            spillFlags();
            setField32(fb, 'EXIT', i32(0));
            fb.br(exit);
          });
          fb.set(
            entry,
            add(
              add(fb.get(tlb), i32(CODE_TLB_OFFSET)),
              and(
                wrap(shrU(fb.get(target), i64(PAGE_SHIFT - 4))),
                i32((CODE_TLB.entries - 1) * CODE_TLB.stride),
              ),
            ),
          );
          fb.set(offset, xor(fb.get(target), load('i64', fb.get(entry), CODE_TLB.tag)));
          // Another page, or not a multiple of 4.
          fb.if(ne(and(fb.get(offset), i64(~0xffcn)), i64(0)), () => {
            setField64(fb, 'PC', fb.get(target));
            setField32(fb, 'BUDGET', fb.get(n));
            spillFlags();
            fb.brIf(refetch, eqz(call(mmu.fetch, fb.get(target))));
            fb.br(jump);
          });
          fb.set(p, add(load('i32', fb.get(entry), CODE_TLB.host), wrap(fb.get(offset))));
          fb.set(side, load('i32', fb.get(entry), CODE_TLB.side));
          setField64(fb, 'DELTA', sub(fb.get(target), extU(fb.get(p))));
          fb.block('outOfBudget', (outOfBudget) => {
            fb.loop('dispatch', (dispatch) => {
              fb.set(n, sub(fb.get(n), i32(1)));
              const frame: HotFrame = {
                p,
                n,
                tlb,
                word,
                flagA,
                flagB,
                target,
                dispatch,
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
                  fb.call(decode.index, fb.get(p));
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
                    exceptions.raise.index,
                    syndrome(EC.unknown),
                    i64(0),
                    i32(0),
                    add(field64('DELTA'), extU(fb.get(p))),
                  );
                  fb.br(refetch);
                },
              ];
              for (const handler of handlers) {
                table.add(handler, cases.length);
                const cold = coldFunctions.get(handler);
                cases.push(() => {
                  fb.scope(() => {
                    if (!cold) {
                      new InterpreterStage(fb, core, lookups, handler.row, handler.variant, frame).generate(
                        handler.statics,
                        handler.splits,
                      );
                      return;
                    }
                    setField32(fb, 'BUDGET', fb.get(n));
                    spillFlags();
                    const next = fb.let(call(cold, fb.get(p)));
                    fb.set(n, field32('BUDGET'));
                    fb.if(next, () => {
                      fb.brIf(refetch, eqz(sub(next, i32(NEXT.refetch))));
                      fb.br(exit);
                    });
                    reloadFlags();
                    fb.set(p, add(fb.get(p), i32(4)));
                    fb.br(dispatch);
                  });
                });
              }
              fb.switch(load('i32_16u', add(shrU(fb.get(p), i32(1)), fb.get(side))), cases);
            });
          });
          setField64(fb, 'PC', add(field64('DELTA'), extU(fb.get(p))));
          spillFlags();
          setField32(fb, 'EXIT', i32(0));
          fb.br(exit);
        });
      });
    });
    setField32(fb, 'BUDGET', fb.get(n));
  });

  mb.export('run', run);
  mb.export('flushAll', mmu.flushAll);
  mb.export('pstateChanged', exceptions.pstateChanged);
  const cold = coldFunctions.size;
  return {
    bytes: mb.build(),
    handlers: table,
    lookups,
    handlerCount: { hot: handlers.length - cold, cold },
  };
}

invariant(SIDE_TABLE.words * 4 === PAGE_SIZE, 'a handler table covers a page');
