/** Translation beside the execution of the guest: what goes to another thread, and what comes back. Plain data. */
import { A64 } from '../isa/a64.js';
import type { WasmModule } from '../wasm/host.js';
import { webAssembly } from '../wasm/host.js';
import type { HandlerIndex } from './handler-finder.js';
import { HandlerFinder } from './handler-finder.js';
import type { CpuModel } from './models.js';
import type { Region } from './translator.js';
import { Translator } from './translator.js';

/** Code to translate, as it was when it was found to be hot. */
export interface TranslationOrder {
  /** Host address of the page. */
  readonly page: number;
  /** What the page held: a copy. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly start: number;
  /** By word of the page: 1 where it is worth translating. */
  readonly wanted: Uint8Array<ArrayBuffer>;
  readonly maxInstructions?: number | undefined;
}

/** What has become of orders: a compiled module. */
export interface TranslatedOrders {
  readonly module: WasmModule;
  /** Of WebAssembly. */
  readonly sizeBytes: number;
  /** Functions of the core module that it imports, in order. */
  readonly imports: readonly string[];
  readonly regions: readonly (Pick<Region, 'name' | 'entries' | 'words'> & {
    /** The order that it carries out, by index. */
    readonly order: number;
  })[];
}

/** Translates on a thread of its own. Nobody waits for it. */
export interface TranslationService {
  /** Begins to translate: one batch at a time, the next when `poll` has told of this one. */
  submit(orders: readonly TranslationOrder[]): void;
  /**
   * What has become of the batch; undefined until that is known. `nothing`: there is no instruction in it. `failed`: the
   * service has come to its end, and isn't asked again.
   */
  poll(): TranslatedOrders | 'nothing' | 'failed' | undefined;
}

/** What translated code is for. */
export interface TranslationTarget {
  readonly model: CpuModel;
  readonly index: HandlerIndex;
  /** Functions of regions get names, for profilers. */
  readonly hasNames: boolean;
}

/** What a service does on its thread. `compiling` is called to make a module, and may do something about it. */
export function orderTranslator(
  { model, index, hasNames }: TranslationTarget,
  compiling = (compile: () => WasmModule): WasmModule => compile(),
): (orders: readonly TranslationOrder[]) => TranslatedOrders | 'nothing' {
  const finder = new HandlerFinder(A64, model, index);
  const translator = new Translator(finder, model, index.functions, hasNames);
  return (orders) => {
    const requests = orders.map(({ wanted, ...order }) => ({
      ...order,
      isWanted: (word: number) => wanted[word] === 1,
    }));
    const translated = translator.translate(requests);
    if (!translated) return 'nothing';
    const { bytes, imports, regions } = translated;
    return {
      module: compiling(() => new webAssembly.Module(bytes)),
      sizeBytes: bytes.length,
      imports,
      regions: regions.map(({ request, name, entries, words }) => ({
        order: requests.findIndex((own) => own === request),
        ...{ name, entries, words },
      })),
    };
  };
}
