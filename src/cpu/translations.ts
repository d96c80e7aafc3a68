/**
 * The translated code of a machine: has hot code translated, puts it into the module's table of functions and into the
 * handler tables, and takes it out again.
 */
import { MIB, invariant } from '../base/index.js';
import type { WasmModule } from '../wasm/host.js';
import { webAssembly } from '../wasm/host.js';
import type { GuestMemory } from './guest-memory.js';
import type { HandlerTables } from './handler-tables.js';
import { pageOf } from './handler-tables.js';
import type { HandlerFinder, HandlerIndex } from './handler-finder.js';
import { HANDLER } from './handler-finder.js';
import type { CoreExports } from './interpreter.js';
import { ERASED, PAGE_SIZE, SIDE_TRANSLATED, SLOWLY_HOT, STATE, earlierJumpsTo } from './layout.js';
import type { CpuModel } from './models.js';
import { DROPPED } from './translated-code.js';
import type { RegionChoice, RegionChooser, TranslationPolicy } from './translation-policy.js';
import { HOT_WITHIN, SLOWLY_HOT_INSTRUCTIONS, translatesWhatIsHot } from './translation-policy.js';
import type { TranslatedOrders, TranslationOrder, TranslationService } from './translation-service.js';
import type { Region, RegionRequest } from './translator.js';
import { Translator } from './translator.js';

/** What is hot is translated in pieces of so many at the most. */
const BATCH = 32;
/** Entries by which the table of functions grows. */
const TABLE_STEP = 256;
/** WebAssembly that is kept at the most; compiled, it takes several times as much. When more is made, all is dropped. */
const MAX_TRANSLATED_BYTES = 24 * MIB;

const EVERYTHING: RegionChooser = (start) => [{ start, isWanted: () => true }];

/** What translated code belongs to. */
export interface TranslatedMachine {
  readonly memory: GuestMemory;
  readonly model: CpuModel;
  readonly core: CoreExports;
  readonly index: HandlerIndex;
  readonly finder: HandlerFinder;
  readonly tables: HandlerTables;
  /** Functions get names. */
  readonly isProfiled: boolean;
  /** Pages with breakpoints aren't translated. */
  hasBreakpoints(hostPage: number): boolean;
  /** Who translates hot code where the policy is `async`. */
  readonly service?: TranslationService | undefined;
}

/** Translated code in use. */
interface Installed {
  readonly entries: readonly number[];
  readonly words: ReadonlySet<number>;
  readonly handler: number;
  /** Of WebAssembly. */
  readonly sizeBytes: number;
}

export class Translations {
  readonly #machine: TranslatedMachine;
  readonly #view: DataView<ArrayBuffer>;
  readonly #tables: HandlerTables;
  readonly #isHotTranslated: boolean;
  readonly #choose: RegionChooser | undefined;
  readonly #translator: Translator;
  /** By host page. */
  readonly #installed = new Map<number, Installed[]>();
  #sizeBytes = 0;
  /** Instructions executed when jumps are to be counted anew. */
  #countAnewAt = HOT_WITHIN;
  /** Free entries of the module's table. */
  readonly #freeFunctions: number[] = [];
  /** Host addresses of hot code that waits for its translation, and how many instructions it may have. */
  readonly #hot = new Map<number, number | undefined>();
  /** Undefined where hot code is translated between slices. */
  #service: TranslationService | undefined;
  /** What the service is translating. */
  #orders: readonly TranslationOrder[] = [];

  constructor(machine: TranslatedMachine, policy: TranslationPolicy | RegionChooser) {
    this.#machine = machine;
    this.#view = machine.memory.view;
    this.#tables = machine.tables;
    this.#isHotTranslated = translatesWhatIsHot(policy);
    invariant(policy !== 'async' || machine.service !== undefined, 'a service for --jit async');
    if (policy === 'async') this.#service = machine.service;
    this.#choose = policy === 'always' ? EVERYTHING : typeof policy === 'function' ? policy : undefined;
    this.#translator = new Translator(
      machine.finder,
      machine.model,
      machine.index.functions,
      machine.isProfiled,
    );
  }

  /** The code at host address `p` is to be translated when `translateHot` is called next. */
  addHot(p: number): void {
    if (!this.#isHotTranslated) return;
    const earlier = earlierJumpsTo(p);
    const isSlowly = this.#view.getInt32(earlier, true) === SLOWLY_HOT;
    if (isSlowly) this.#view.setInt32(earlier, 0, true);
    this.#hot.set(p, isSlowly ? SLOWLY_HOT_INSTRUCTIONS : undefined);
  }

  /**
   * Translates what has become hot, or has it translated, and installs what is ready; not while the guest executes, which
   * has executed so many instructions.
   */
  translateHot(executed: number): void {
    if (executed >= this.#countAnewAt) {
      this.#countAnewAt = executed + HOT_WITHIN;
      this.#machine.core.countAnew();
    }
    if (this.#orders.length > 0) this.#take();
    while (this.#hot.size > 0 && this.#orders.length === 0) this.#translateBatch();
  }

  /** Some of what is hot. */
  #translateBatch(): void {
    const choices: RegionChoice[] = [];
    for (const [start, maxInstructions] of this.#hot) {
      if (choices.length === BATCH) break;
      this.#hot.delete(start);
      const page = pageOf(start);
      // What was never executed will hardly be.
      const isWanted = (word: number): boolean =>
        this.#tables.handler(this.#tables.tableOf(page), word) !== HANDLER.decode;
      choices.push({ start, isWanted, maxInstructions });
    }
    if (this.#service) this.#order(this.#service, choices);
    else this.#translate(choices);
  }

  #order(service: TranslationService, choices: readonly RegionChoice[]): void {
    /** By page. */
    const copies = new Map<number, Pick<TranslationOrder, 'words' | 'wanted'>>();
    const orders = choices.flatMap((choice): TranslationOrder[] => {
      const request = this.#requestFor(choice);
      if (!request) return [];
      const { page, words, start, isWanted, maxInstructions } = request;
      let copy = copies.get(page);
      if (!copy) {
        copy = {
          words: words.slice(),
          wanted: Uint8Array.from(words, (_, word) => (isWanted(word) ? 1 : 0)),
        };
        copies.set(page, copy);
      }
      return [{ page, start, maxInstructions, ...copy }];
    });
    if (orders.length === 0) return;
    this.#orders = orders;
    service.submit(orders);
  }

  /** What the service has translated, if it is ready. */
  #take(): void {
    const outcome = this.#service?.poll();
    if (outcome === undefined) return;
    const orders = this.#orders;
    this.#orders = [];
    if (outcome === 'failed') {
      this.#service = undefined;
      for (const { page, start, maxInstructions } of orders) this.#hot.set(page + start * 4, maxInstructions);
    } else if (outcome !== 'nothing') {
      const regions = outcome.regions.map(({ order, ...region }) => ({ ...region, request: orders[order]! }));
      this.#put(
        outcome.module,
        outcome,
        regions.filter(({ request, words }) => this.#isCurrent(request, words)),
      );
    }
  }

  /** Nothing has happened since the order that would have dropped a translation of these words. */
  #isCurrent({ page, words: before }: TranslationOrder, words: readonly number[]): boolean {
    const now = this.#wordsOf(page);
    return now !== undefined && words.every((word) => now[word] === before[word]);
  }

  /** The word at host address `p` has been decoded, and is going to be executed. */
  onDecoded(p: number): void {
    if (this.#choose) this.#translate(this.#choose(p));
  }

  /** Drops translations of these bytes of a page. */
  drop(hostAddress: number, bytes: number): void {
    const page = pageOf(hostAddress);
    const first = (hostAddress - page) >> 2;
    const last = (hostAddress - page + bytes - 1) >> 2;
    this.#drop(page, ({ words }) => {
      for (let word = first; word <= last; word++) if (words.has(word)) return true;
      return false;
    });
  }

  dropPage(hostPage: number): void {
    this.#drop(hostPage, () => true);
  }

  dropAll(): void {
    for (const page of [...this.#installed.keys()]) this.dropPage(page);
  }

  #isRegion(handler: number): boolean {
    return handler >= this.#machine.index.firstTranslated;
  }

  #translate(choices: readonly RegionChoice[]): void {
    const requests = choices.flatMap((choice) => this.#requestFor(choice) ?? []);
    const translated = requests.length > 0 ? this.#translator.translate(requests) : undefined;
    if (!translated) return;
    const { bytes, imports, regions } = translated;
    this.#put(new webAssembly.Module(bytes), { imports, sizeBytes: bytes.length }, regions);
  }

  /** Puts regions of a module in their places. */
  #put(
    module: WasmModule,
    { imports, sizeBytes }: Pick<TranslatedOrders, 'imports' | 'sizeBytes'>,
    regions: readonly (Omit<Region, 'request'> & { readonly request: { readonly page: number } })[],
  ): void {
    if (regions.length === 0) return;
    if (this.#sizeBytes + sizeBytes > MAX_TRANSLATED_BYTES) this.dropAll();
    const { core, index, memory } = this.#machine;
    const env: Record<string, unknown> = { memory: memory.memory };
    for (const name of imports) env[name] = (core as unknown as Record<string, unknown>)[name];
    const { exports } = new webAssembly.Instance(module, { env });
    for (const { request, name, entries, words } of regions) {
      const place = this.#freeFunctions.pop() ?? this.#growTable();
      if (place === undefined) return;
      core.handlers.set(place, exports[name]);
      this.#install(request.page, {
        entries,
        words: new Set(words),
        handler: index.firstCold + place,
        sizeBytes: sizeBytes / regions.length,
      });
    }
  }

  /** Undefined where there is nothing to translate, or nothing any more. */
  #requestFor({ start: p, ...choice }: RegionChoice): RegionRequest | undefined {
    const page = pageOf(p);
    const words = this.#wordsOf(page);
    const start = (p - page) / 4;
    if (!words || this.#isRegion(this.#tables.handler(this.#tables.tableOf(page), start))) return undefined;
    return { ...choice, page, words, start };
  }

  /** What a page holds; undefined where its code isn't to be translated. */
  #wordsOf(page: number): Uint32Array<ArrayBuffer> | undefined {
    const table = this.#tables.tableOf(page);
    if (table === 0 || table === ERASED || this.#machine.hasBreakpoints(page)) return undefined;
    return new Uint32Array(this.#machine.memory.memory.buffer, page, PAGE_SIZE / 4);
  }

  #install(page: number, region: Installed): void {
    const table = this.#tables.tableOf(page);
    const entries = region.entries.filter((word) => !this.#isRegion(this.#tables.handler(table, word)));
    for (const word of entries) this.#tables.setHandler(table, word, region.handler);
    this.#view.setUint16(table + SIDE_TRANSLATED, 1, true);
    this.#sizeBytes += region.sizeBytes;
    this.#installed.set(page, [...(this.#installed.get(page) ?? []), { ...region, entries }]);
  }

  /** The first of new entries of the module's table; undefined where there are as many as handlers can name. */
  #growTable(): number | undefined {
    const { core, index } = this.#machine;
    if (index.firstCold + core.handlers.length + TABLE_STEP > 0x1_0000) return undefined;
    const first = core.handlers.grow(TABLE_STEP);
    for (let place = first + TABLE_STEP - 1; place > first; place--) this.#freeFunctions.push(place);
    return first;
  }

  /** Drops what `isOutdated` of a page's translations. */
  #drop(page: number, isOutdated: (region: Installed) => boolean): void {
    const outdated = this.#installed.get(page)?.filter(isOutdated) ?? [];
    if (outdated.length === 0) return;
    const { core, index } = this.#machine;
    const table = this.#tables.tableOf(page);
    for (const { entries, handler, sizeBytes } of outdated) {
      for (const word of entries)
        if (this.#tables.handler(table, word) === handler)
          this.#tables.setHandler(table, word, HANDLER.decode);
      core.handlers.set(handler - index.firstCold, null);
      this.#freeFunctions.push(handler - index.firstCold);
      this.#sizeBytes -= sizeBytes;
    }
    const kept = this.#installed.get(page)?.filter((region) => !outdated.includes(region)) ?? [];
    if (kept.length > 0) {
      this.#installed.set(page, kept);
    } else {
      this.#installed.delete(page);
      this.#view.setUint16(table + SIDE_TRANSLATED, 0, true);
    }
    // It may be executing.
    this.#view.setInt32(STATE.STALE.at, 1, true);
    this.#view.setInt32(STATE.CALL_DEPTH.at, this.#view.getInt32(STATE.CALL_DEPTH.at, true) | DROPPED, true);
  }
}
