/**
 * The translated code of a machine: has hot code translated, puts it into the module's table of functions and into the
 * handler tables, and takes it out again.
 */
import { MIB } from '../base/index.js';
import { webAssembly } from '../wasm/host.js';
import type { GuestMemory } from './guest-memory.js';
import type { HandlerTables } from './handler-tables.js';
import { pageOf } from './handler-tables.js';
import type { HandlerFinder, HandlerIndex } from './handler-finder.js';
import { HANDLER } from './handler-finder.js';
import type { CoreExports } from './interpreter.js';
import { ERASED, PAGE_SIZE, SIDE_TRANSLATED, STATE } from './layout.js';
import type { CpuModel } from './models.js';
import type { RegionChoice, RegionChooser, TranslationPolicy } from './translation-policy.js';
import type { RegionRequest } from './translator.js';
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
  /** Free entries of the module's table. */
  readonly #freeFunctions: number[] = [];
  /** Host addresses of hot code that waits for its translation. */
  #hot: number[] = [];

  constructor(machine: TranslatedMachine, policy: TranslationPolicy | RegionChooser) {
    this.#machine = machine;
    this.#view = machine.memory.view;
    this.#tables = machine.tables;
    this.#isHotTranslated = policy === 'sync';
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
    if (this.#isHotTranslated) this.#hot.push(p);
  }

  /** Translates what has become hot; not while the guest executes. */
  translateHot(): void {
    if (this.#hot.length === 0) return;
    const hot = [...new Set(this.#hot)].map((start): RegionChoice => {
      const page = pageOf(start);
      // What was never executed will hardly be.
      const isWanted = (word: number): boolean =>
        this.#tables.handler(this.#tables.tableOf(page), word) !== HANDLER.decode;
      return { start, isWanted };
    });
    this.#hot = [];
    for (let first = 0; first < hot.length; first += BATCH) this.#translate(hot.slice(first, first + BATCH));
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
    const module = requests.length > 0 ? this.#translator.translate(requests) : undefined;
    if (!module) return;
    const { bytes, imports, regions } = module;
    if (this.#sizeBytes + bytes.length > MAX_TRANSLATED_BYTES) this.dropAll();
    const { core, index, memory } = this.#machine;
    const env: Record<string, unknown> = { memory: memory.memory };
    for (const name of imports) env[name] = (core as unknown as Record<string, unknown>)[name];
    const { exports } = new webAssembly.Instance(new webAssembly.Module(bytes), { env });
    for (const { request, name, entries, words } of regions) {
      const place = this.#freeFunctions.pop() ?? this.#growTable();
      if (place === undefined) return;
      core.handlers.set(place, exports[name]);
      this.#install(request.page, {
        entries,
        words: new Set(words),
        handler: index.firstCold + place,
        sizeBytes: bytes.length / regions.length,
      });
    }
  }

  /** Undefined where there is nothing to translate, or nothing any more. */
  #requestFor({ start: p, isWanted }: RegionChoice): RegionRequest | undefined {
    const page = pageOf(p);
    const table = this.#tables.tableOf(page);
    if (table === 0 || table === ERASED || this.#machine.hasBreakpoints(page)) return undefined;
    const start = (p - page) / 4;
    if (this.#isRegion(this.#tables.handler(table, start))) return undefined;
    const words = new Uint32Array(this.#machine.memory.memory.buffer, page, PAGE_SIZE / 4);
    return { page, words, start, isWanted };
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
    this.#view.setInt32(STATE.DROPS.at, this.#view.getInt32(STATE.DROPS.at, true) + 1, true);
  }
}
