/**
 * Translates hot code to WebAssembly: a _region_ is code of one page, found by following its branches from one address, and
 * becomes a function. It is called as a handler of the words where it may be entered, and comes back with the address
 * where to go on. It knows host addresses only, so that one translation serves every virtual address of its page.
 *
 * Control flow is structured where it can be: forward branches leave blocks, loops that are entered at their head alone are
 * loops. Whatever else there is (entries in the middle, returns, backward branches into other loops' bodies) goes through
 * a `br_table` at the start of the function.
 */
import { invariant, regionName } from '../base/index.js';
import { signedFieldValue } from '../isa/row.js';
import type { I64, ValType } from '../wasm/expr.js';
import { add, and, eq, eqz, i32, i64, leS, ltU, shrU, sub, wrap } from '../wasm/expr.js';
import type { Label, Local } from '../wasm/function-builder.js';
import { FunctionBuilder } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call as callFunction } from '../wasm/function-ref.js';
import type { Helper } from '../isa/helper.js';
import { ModuleBuilder } from '../wasm/module-builder.js';
import type { CoreFunctions } from './interpreter-stage.js';
import { LookupTables, NEXT } from './interpreter-stage.js';
import type { DecodedInstruction, HandlerFinder, Signature } from './handler-finder.js';
import { helperExport } from './handler-finder.js';
import { PAGE_SIZE } from './layout.js';
import type { CpuModel } from './models.js';
import { field32, field64, setField32, setField64 } from './state.js';
import type { TranslatedCodeFunctions } from './translated-code.js';
import { REGION_PARAMS, putFlags } from './translated-code.js';
import type { CallTarget, RegionFrame } from './translator-stage.js';
import { RegionLocals, TranslatorStage, overwrittenBehind } from './translator-stage.js';

/** Instructions of a region at the most. */
const MAX_INSTRUCTIONS = 400;
/** With so many ways in or fewer, comparisons are foreseen better than a jump through a table. */
const FEW_ENTRIES = 4;
/** Instruction words that are kept decoded at the most. */
const MAX_KNOWN = 0x1_0000;

/** After these comes nothing that isn't reached from elsewhere. */
const ENDS: ReadonlySet<string> = new Set(['B', 'BL', 'BR', 'BLR', 'RET', 'ERET', 'SVC', 'HVC', 'SMC', 'BRK', 'HLT', 'UDF']); // prettier-ignore
/** Calls: what is behind them is entered when they return. */
const CALLS: ReadonlySet<string> = new Set(['BL', 'BLR']);
/** Jumps whose targets don't stand in the code: tables of a `switch`, interpreters. */
const JUMP = 'BR';

interface Instruction extends DecodedInstruction {
  /** Words to the target of a direct branch. */
  readonly distance: number | undefined;
  /** Nothing that follows is reached from here. */
  readonly isEnd: boolean;
}

/** Instructions one after the other; only the first is a target, only the last branches. */
interface Block {
  /** Index of the first word in the page. */
  readonly first: number;
  readonly instructions: readonly Instruction[];
  /** The word that it branches to directly, where that is in the region. */
  readonly target: number | undefined;
  readonly fallsThrough: boolean;
}

/** Blocks `from` to `to`, with a head that is the only way in. */
interface Loop {
  readonly from: number;
  readonly to: number;
}

/** Code to translate: what is reached from the word `start` of a page. */
export interface RegionRequest {
  /** Host address of the page. */
  readonly page: number;
  /** What the page holds. */
  readonly words: Uint32Array;
  readonly start: number;
  /** Whether a word is worth translating. Where a region leads to one that isn't, it is left. */
  readonly isWanted: (word: number) => boolean;
  /** `MAX_INSTRUCTIONS`, where undefined. */
  readonly maxInstructions?: number | undefined;
}

/** Translated pieces of code. */
export interface RegionModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Functions of the core module that it imports, in order. */
  readonly imports: readonly string[];
  readonly regions: readonly Region[];
}

export interface Region {
  readonly request: RegionRequest;
  /** The name that its function is exported by. */
  readonly name: string;
  /** Words of the page where it may be entered. */
  readonly entries: readonly number[];
  /** The words of the page that it is made of. */
  readonly words: readonly number[];
}

/** References to functions of the core module, imported when they are first asked for. */
class Imports {
  readonly names: string[] = [];
  readonly #refs = new Map<string, FunctionRef>();
  readonly #signatures: Readonly<Record<string, Signature>>;

  constructor(signatures: Readonly<Record<string, Signature>>) {
    this.#signatures = signatures;
  }

  ref<R extends ValType | 'none'>(name: string): FunctionRef<R> {
    let f = this.#refs.get(name);
    if (!f) {
      const signature = this.#signatures[name];
      invariant(signature !== undefined, `the core module exports ${name}`);
      f = { name, index: this.names.length, ...signature };
      this.#refs.set(name, f);
      this.names.push(name);
    }
    return f as FunctionRef<R>;
  }

  /** Functions by name, as the core's own code has them. */
  functions<T extends object>(): T {
    return new Proxy({}, { get: (_, name) => this.ref(String(name)) }) as T;
  }
}

/** Instructions that call out of the core module aren't translated: their handlers are called. */
function onlyHandlersCall(name: string): never {
  invariant(false, `translated code has no ${name}`);
}

export class Translator {
  readonly #finder: HandlerFinder;
  readonly #model: CpuModel;
  readonly #signatures: Readonly<Record<string, Signature>>;
  readonly #hasNames: boolean;
  readonly #lookups = new LookupTables();
  /** By their words, signed: code repeats itself. */
  readonly #instructions = new Map<number, Instruction>();

  /** `hasNames`: functions of regions are called by `regionName`, for profilers. */
  constructor(
    finder: HandlerFinder,
    model: CpuModel,
    signatures: Readonly<Record<string, Signature>>,
    hasNames = false,
  ) {
    this.#finder = finder;
    this.#model = model;
    this.#signatures = signatures;
    this.#hasNames = hasNames;
  }

  /**
   * Translates pieces of code, from low addresses to high ones. Those that begin with no instruction are left out, and
   * those that begin in another: code is mostly entered where it begins, and what is entered elsewhere will be hot again.
   */
  translate(requests: readonly RegionRequest[]): RegionModule | undefined {
    const imports = new Imports(this.#signatures);
    const core = this.#coreFunctions(imports);
    const regions: Region[] = [];
    const functions: FunctionBuilder[] = [];
    /** Host addresses. */
    const translated = new Set<number>();
    const addressOf = ({ page, start }: RegionRequest): number => page + start * 4;
    for (const request of [...requests].sort((a, b) => addressOf(a) - addressOf(b))) {
      const { page } = request;
      if (translated.has(addressOf(request))) continue;
      const { blocks, entries } = this.#explore(request);
      if (blocks.length === 0) continue;
      const words = blocks.flatMap(({ first, instructions }) => instructions.map((_, i) => first + i));
      for (const word of words) translated.add(page + word * 4);
      const fb = new FunctionBuilder(REGION_PARAMS, ['i32']);
      new RegionFunction(fb, core, this.#lookups, imports, page, blocks, entries).generate();
      regions.push({
        request,
        name: `${functions.length}`,
        entries: [...entries],
        words,
      });
      functions.push(fb);
    }
    if (regions.length === 0) return undefined;
    const mb = new ModuleBuilder();
    mb.importMemory('env', 'memory', 1);
    for (const name of imports.names) {
      const f = imports.ref(name);
      mb.importFunction('env', name, f.params, f.result);
    }
    regions.forEach(({ request, name }, i) => {
      mb.export(name, mb.add(regionName(request.page + request.start * 4), functions[i]!, 'i32'));
    });
    return { bytes: mb.build({ names: this.#hasNames }), imports: imports.names, regions };
  }

  #coreFunctions(imports: Imports): CoreFunctions {
    return {
      exceptions: imports.functions(),
      mmu: imports.functions(),
      debug: imports.functions(),
      get clearBreakpoints() {
        return onlyHandlersCall('clearBreakpoints');
      },
      get externalRead() {
        return onlyHandlersCall('externalRead');
      },
      get externalWrite() {
        return onlyHandlersCall('externalWrite');
      },
      get firmwareCall() {
        return onlyHandlersCall('firmwareCall');
      },
      model: this.#model,
      helper: <R extends ValType>(helper: Helper<R>) => imports.ref<R>(helperExport(helper.name)),
    };
  }

  #instruction(word: number): Instruction | undefined {
    const key = word | 0;
    const known = this.#instructions.get(key);
    if (known) return known;
    const decoded = this.#finder.instruction(word);
    if (!decoded) return undefined;
    const { row } = decoded;
    const label = row.fields.find(({ kind }) => kind === 'label');
    const instruction: Instruction = {
      ...decoded,
      distance: label && signedFieldValue(word, label),
      isEnd: ENDS.has(row.name),
    };
    if (this.#instructions.size >= MAX_KNOWN) this.#instructions.clear();
    this.#instructions.set(key, instruction);
    return instruction;
  }

  #explore({ words, start, isWanted, maxInstructions = MAX_INSTRUCTIONS }: RegionRequest): {
    blocks: Block[];
    entries: Set<number>;
  } {
    const instructions = new Map<number, Instruction>();
    const leaders = new Set<number>([start]);
    const entries = new Set<number>([start]);
    const labelOf = new Map<number, number>();
    const queue = [start];
    /** What follows an end is likely one of a jump's targets; nothing else leads there. */
    const afterEnds: number[] = [];
    let jumps = false;
    while (queue.length > 0 || (jumps && afterEnds.length > 0)) {
      let at = queue.shift();
      if (at === undefined) {
        at = afterEnds.shift() ?? start;
        if (instructions.has(at)) continue;
        leaders.add(at);
        entries.add(at);
      }
      while (at < words.length && !instructions.has(at) && instructions.size < maxInstructions) {
        const instruction = at === start || isWanted(at) ? this.#instruction(words[at] ?? 0) : undefined;
        if (!instruction) break;
        instructions.set(at, instruction);
        const { row, distance, isEnd } = instruction;
        if (distance !== undefined) {
          const target = at + distance;
          if (target >= 0 && target < words.length) {
            labelOf.set(at, target);
            leaders.add(target);
            queue.push(target);
          }
          leaders.add(at + 1);
        }
        if (isEnd) {
          if (CALLS.has(row.name) && at + 1 < words.length) {
            leaders.add(at + 1);
            entries.add(at + 1);
            queue.push(at + 1);
          } else if (at + 1 < words.length) {
            jumps ||= row.name === JUMP;
            afterEnds.push(at + 1);
          }
          break;
        }
        at++;
      }
    }
    const blocks: Block[] = [];
    const sorted = [...instructions.keys()].sort((a, b) => a - b);
    for (let i = 0; i < sorted.length;) {
      const first = sorted[i] ?? 0;
      const own: Instruction[] = [];
      let at = first;
      let isEnd = false;
      let target: number | undefined;
      for (;;) {
        const instruction = instructions.get(at);
        if (!instruction || (at !== first && leaders.has(at))) break;
        own.push(instruction);
        isEnd = instruction.isEnd;
        target = labelOf.get(at);
        at++;
        i++;
        if (isEnd || target !== undefined) break;
      }
      blocks.push({
        first,
        instructions: own,
        target: target !== undefined && instructions.has(target) ? target : undefined,
        fallsThrough: !isEnd,
      });
    }
    return { blocks, entries: new Set([...entries].filter((at) => instructions.has(at))) };
  }
}

/** What code of blocks is generated with. */
interface Code {
  readonly frame: RegionFrame;
  readonly locals: RegionLocals;
}

/** Generates the function of a region. */
class RegionFunction {
  readonly #fb: FunctionBuilder;
  readonly #core: CoreFunctions;
  readonly #lookups: LookupTables;
  readonly #imports: Imports;
  readonly #page: number;
  readonly #blocks: readonly Block[];
  readonly #entries: ReadonlySet<number>;
  /** Block by its first word. */
  readonly #blockAt: ReadonlyMap<number, number>;
  /** Direct branches from block to block, by index. */
  readonly #edges: readonly (readonly [from: number, to: number])[];
  readonly #loops: readonly Loop[];
  /** Labels in front of blocks, open ones: where branches to the block's first word go. */
  readonly #labels = new Map<number, Label>();
  /** Heads of loops that are open. */
  readonly #heads = new Map<number, Label>();
  /** Words that the table at the start leads to. */
  readonly #dispatched: Set<number>;
  /** Blocks that something other than the block before leads to. */
  readonly #targets: Set<number>;
  /** It calls code of its own. */
  readonly #hasCalls: boolean;
  /** It is entered at several words, or comes back to what is reached in no other way. */
  readonly #needsTable: boolean;

  constructor(
    fb: FunctionBuilder,
    core: CoreFunctions,
    lookups: LookupTables,
    imports: Imports,
    page: number,
    blocks: readonly Block[],
    entries: ReadonlySet<number>,
  ) {
    this.#fb = fb;
    this.#core = core;
    this.#lookups = lookups;
    this.#imports = imports;
    this.#page = page;
    this.#blocks = blocks;
    this.#entries = entries;
    this.#blockAt = new Map(blocks.map(({ first }, index) => [first, index]));
    this.#edges = blocks.flatMap(({ target }, from) => {
      const to = target === undefined ? undefined : this.#blockAt.get(target);
      return to === undefined ? [] : [[from, to] as const];
    });
    this.#loops = this.#findLoops();
    this.#dispatched = new Set(entries);
    const isInLoop = (from: number, to: number): boolean =>
      this.#loops.some((loop) => loop.from === to && from <= loop.to);
    const backward = this.#edges.filter(([from, to]) => to <= from && !isInLoop(from, to));
    for (const [, to] of backward) this.#dispatched.add(blocks[to]?.first ?? -1);
    this.#hasCalls = blocks.some(({ instructions, target }) => target !== undefined && CALLS.has(instructions.at(-1)?.row.name ?? '')); // prettier-ignore
    const jumps = blocks.some(({ instructions }) => instructions.at(-1)?.row.name === JUMP);
    this.#needsTable = this.#dispatched.size > 1 || backward.length > 0 || jumps || this.#hasCalls;
    this.#targets = new Set(this.#edges.map(([, to]) => to));
    for (const word of this.#dispatched) this.#targets.add(this.#blockAt.get(word) ?? -1);
  }

  /** Loops that can be structured, outer ones first. */
  #findLoops(): Loop[] {
    const ends = new Map<number, number>();
    for (const [from, to] of this.#edges) if (to <= from) ends.set(to, Math.max(ends.get(to) ?? from, from));
    let loops = [...ends]
      .map(([from, to]) => ({ from, to }))
      .sort((a, b) => (a.from === b.from ? b.to - a.to : a.from - b.from));
    const isEnteredInside = ({ from, to }: Loop): boolean => {
      for (let i = from + 1; i <= to; i++) if (this.#entries.has(this.#blocks[i]?.first ?? -1)) return true;
      for (const [source, target] of this.#edges)
        if (target > from && target <= to && (source < from || source > to)) return true;
      return false;
    };
    loops = loops.filter((loop) => !isEnteredInside(loop));
    // A backward branch within a loop to a head that isn't structured would need the table, which is outside.
    for (;;) {
      const isHead = (block: number, from: number): boolean =>
        loops.some((loop) => loop.from === block && from <= loop.to);
      const kept = loops.filter(
        (loop) =>
          !this.#edges.some(
            ([from, to]) => to <= from && to > loop.from && to <= loop.to && !isHead(to, from),
          ) && !loops.some((other) => other.from < loop.from && loop.from <= other.to && other.to < loop.to),
      );
      if (kept.length === loops.length) return loops;
      loops = kept;
    }
  }

  generate(): void {
    const fb = this.#fb;
    const p = fb.param(0, 'i32');
    const n = fb.param(1, 'i32');
    const tlb = fb.local('i32');
    /** Word of the page that the table leads to, from `first` on. */
    const next = fb.local('i32');
    const pc = fb.local('i64');
    const result = fb.local('i32');
    const locals = new RegionLocals(fb);
    const first = Math.min(...this.#dispatched);
    const span = Math.max(...this.#dispatched) - first + 1;
    const functions = this.#imports.functions<TranslatedCodeFunctions>();
    fb.set(result, i32(NEXT.jump));
    fb.set(tlb, field32('TLB'));
    locals.flagsAreInMemory();
    fb.block('leave', (leave) => {
      const generate = (table: Label | undefined): void => {
        const leaveTo = (target: I64): void => {
          fb.set(pc, target);
          fb.br(leave);
        };
        const addressOf = (at: number): I64 => add(field64('DELTA'), i64(at));
        const goTo = (at: number): void => {
          const word = (at - this.#page) / 4;
          const label = this.#labelOf(word);
          const isDispatched = this.#dispatched.has(word);
          if (!label && !isDispatched) {
            leaveTo(addressOf(at));
            return;
          }
          const leaveAt = (): void => {
            leaveTo(addressOf(at));
          };
          fb.if(leS(fb.get(n), i32(0)), leaveAt, undefined, 'not taken');
          if (label) {
            fb.br(label);
          } else {
            invariant(table !== undefined, 'there is a table for what cannot be reached otherwise');
            fb.set(next, i32(word - first));
            fb.br(table);
          }
        };
        const goToAddress = (target: I64, isReturn: boolean): void => {
          fb.set(pc, target);
          if (table && (!isReturn || this.#hasCalls)) {
            fb.brIf(leave, leS(fb.get(n), i32(0)), 'not taken');
            const distance = fb.let(sub(fb.get(pc), addressOf(this.#page + first * 4)));
            fb.if(and(ltU(distance, i64(span * 4)), eqz(and(wrap(distance), i32(3)))), () => {
              fb.set(next, shrU(wrap(distance), i32(2)));
              fb.br(table);
            });
          }
          fb.br(leave);
        };
        const call = (at: number, target: CallTarget, link: I64): void => {
          if ('host' in target && this.#isWithin(target.host)) {
            goTo(target.host);
            return;
          }
          fb.set(pc, 'host' in target ? addressOf(target.host) : target.address);
          fb.brIf(leave, leS(fb.get(n), i32(0)), 'not taken');
          const { callTranslated } = functions;
          locals.flagsToMemory();
          const what = fb.let(callFunction(callTranslated, fb.get(pc), link, fb.get(n)));
          const leaveNow = (): void => {
            fb.return(what);
          };
          fb.if(what, leaveNow, undefined, 'not taken');
          fb.set(n, field32('BUDGET'));
          setField64(fb, 'DELTA', sub(link, i64(at + 4)));
          const label = this.#labelOf((at + 4 - this.#page) / 4);
          if (label) fb.br(label);
          else fb.return(i32(NEXT.jump));
        };
        const leaveBefore = (at: number): void => {
          // The interpreter looks at the budget where it comes to another page.
          if (at % PAGE_SIZE !== 0) fb.set(result, i32(NEXT.fallThrough));
          leaveTo(addressOf(at));
        };
        const frame: RegionFrame = { n, tlb, functions, goTo, goToAddress, call, leaveBefore };
        this.#level(0, this.#blocks.length - 1, { frame, locals }, () => {
          if (!table) {
            const label = this.#labelOf(first);
            invariant(label !== undefined, 'the one way in has a label');
            fb.br(label);
            return;
          }
          this.#dispatch(next, first, span);
          // A return to where there is no entry; PC is known.
          fb.br(leave);
        });
      };
      if (this.#needsTable) {
        fb.set(next, sub(and(shrU(fb.get(p), i32(2)), i32(PAGE_SIZE / 4 - 1)), i32(first)));
        fb.loop('table', generate);
      } else {
        generate(undefined);
      }
    });
    putFlags(fb, ...locals.flags);
    setField32(fb, 'BUDGET', fb.get(n));
    setField64(fb, 'PC', fb.get(pc));
    fb.return(fb.get(result));
    fb.unreachable();
  }

  /** Goes where `next` says; goes on behind where it leads nowhere. */
  #dispatch(next: Local<'i32'>, first: number, span: number): void {
    const fb = this.#fb;
    if (this.#dispatched.size <= FEW_ENTRIES) {
      for (const word of this.#dispatched) {
        const label = this.#labelOf(word);
        if (label) fb.brIf(label, eq(fb.get(next), i32(word - first)));
      }
      return;
    }
    fb.block('nowhere', (nowhere) => {
      const labelOf = (word: number): Label | undefined =>
        this.#dispatched.has(word) ? this.#labelOf(word) : undefined;
      const labels = Array.from({ length: span }, (_, i) => labelOf(first + i) ?? nowhere);
      fb.brTable(fb.get(next), labels, nowhere);
    });
  }

  /** Whether a block of the region begins at this host address. */
  #isWithin(at: number): boolean {
    return this.#blockAt.has((at - this.#page) / 4);
  }

  /** Where a branch to a word of the page can go directly. */
  #labelOf(word: number): Label | undefined {
    const block = this.#blockAt.get(word);
    return block === undefined ? undefined : (this.#heads.get(block) ?? this.#labels.get(block));
  }

  /** Blocks `from` to `to`, of which loops within are one item each. `begin` comes before them. */
  #level(from: number, to: number, code: Code, begin: () => void): void {
    const fb = this.#fb;
    const items: { readonly block: number; readonly loop: Loop | undefined }[] = [];
    for (let block = from; block <= to;) {
      const loop = this.#loops.find((l) => l.from === block && !this.#heads.has(block));
      items.push({ block, loop });
      block = (loop?.to ?? block) + 1;
    }
    const generate = (index: number): void => {
      const item = items[index];
      if (item?.loop) this.#loop(item.loop, code);
      else if (item) this.#block(item.block, code);
    };
    // What stands before an item is inside of the block that its label ends.
    const before = (index: number): void => {
      const inside = (): void => {
        if (index === 0) {
          begin();
        } else {
          before(index - 1);
          generate(index - 1);
        }
      };
      const block = items[index]?.block ?? from;
      if (!this.#targets.has(block) || this.#heads.has(block)) {
        inside();
        return;
      }
      fb.block('target', (label) => {
        this.#labels.set(block, label);
        inside();
        this.#labels.delete(block);
      });
    };
    before(items.length - 1);
    generate(items.length - 1);
  }

  #loop(loop: Loop, code: Code): void {
    this.#fb.loop('loop', (head) => {
      this.#heads.set(loop.from, head);
      this.#level(loop.from, loop.to, code, () => undefined);
      this.#heads.delete(loop.from);
    });
  }

  #block(index: number, code: Code): void {
    const { frame, locals } = code;
    const fb = this.#fb;
    const block = this.#blocks[index];
    invariant(block !== undefined, 'the block exists');
    // Nothing else leads to a block that follows on a branch which wasn't taken.
    if (this.#targets.has(index) || !this.#followsOn(index)) locals.forget();
    const overwritten = overwrittenBehind(block.instructions);
    block.instructions.forEach((instruction, i) => {
      const at = this.#page + (block.first + i) * 4;
      locals.overwritten = overwritten[i] ?? 0;
      locals.uncounted++;
      fb.scope(() => {
        if (instruction.mustBeCold) {
          this.#callHandler(instruction, at, code);
          return;
        }
        const { row, word, endsWithStore, statics, splits } = instruction;
        new TranslatorStage(
          fb,
          this.#core,
          this.#lookups,
          row,
          word,
          at,
          endsWithStore,
          frame,
          locals,
        ).generate(statics, splits);
      });
    });
    if (locals.uncounted > 0) fb.set(frame.n, sub(fb.get(frame.n), i32(locals.uncounted)));
    locals.uncounted = 0;
    const end = block.first + block.instructions.length;
    if (block.fallsThrough && this.#blocks[index + 1]?.first !== end) frame.leaveBefore(this.#page + end * 4);
  }

  #followsOn(index: number): boolean {
    const before = this.#blocks[index - 1];
    const first = this.#blocks[index]?.first;
    return before?.fallsThrough === true && before.first + before.instructions.length === first;
  }

  /** An instruction whose handler is called, as it may change any state. */
  #callHandler({ cold }: Instruction, at: number, { frame, locals }: Code): void {
    const fb = this.#fb;
    const { n, tlb, functions } = frame;
    locals.flagsToMemory();
    setField32(fb, 'BUDGET', sub(fb.get(n), i32(locals.uncounted)));
    const what = fb.let(callFunction(functions.callCold, i32(cold), i32(at)));
    const leave = (): void => {
      fb.return(what);
    };
    fb.if(what, leave, undefined, 'not taken');
    fb.set(n, field32('BUDGET'));
    locals.uncounted = 0;
    fb.set(tlb, field32('TLB'));
    const leaveStale = (): void => {
      setField32(fb, 'STALE', i32(0));
      frame.leaveBefore(at + 4);
    };
    fb.if(field32('STALE'), leaveStale, undefined, 'not taken');
    locals.forget();
  }
}
