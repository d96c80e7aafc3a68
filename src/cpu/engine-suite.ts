/** What tests of the engine share. */
import { NO_TRACE, invariant } from '../base/index.js';
import { AddressSpace } from '../bus/index.js';
import type {
  TranslatedOrders, TranslationOrder, TranslationService, TranslationTarget,
} from './translation-service.js'; // prettier-ignore
import { orderTranslator } from './translation-service.js';
import type { EnginePorts } from './wasm-engine.js';

/** A machine without firmware and system registers of devices. */
export function bareEnginePorts(addressSpace = new AddressSpace(NO_TRACE)): EnginePorts {
  return {
    addressSpace,
    systemRegisterPort: () => undefined,
    firmwareCall: () => 'undefined',
    trace: NO_TRACE,
  };
}

/** A service without a thread: tells of a batch when it has been asked so often, or when a test says so. */
export class HeldTranslations implements TranslationService {
  /** Host addresses of the code in each batch. */
  readonly batches: (readonly number[])[] = [];
  readonly #translate: (orders: readonly TranslationOrder[]) => TranslatedOrders | 'nothing';
  readonly #polls: number;
  #outcome: TranslatedOrders | 'nothing' | 'failed' | undefined;
  #pollsLeft = 0;

  constructor(target: Omit<TranslationTarget, 'hasNames'>, polls = Infinity) {
    this.#translate = orderTranslator({ ...target, hasNames: false });
    this.#polls = polls;
  }

  submit(orders: readonly TranslationOrder[]): void {
    invariant(this.#outcome === undefined, 'one batch at a time');
    this.batches.push(orders.map(({ page, start }) => page + start * 4));
    this.#outcome = this.#translate(orders);
    this.#pollsLeft = this.#polls;
  }

  poll(): TranslatedOrders | 'nothing' | 'failed' | undefined {
    if (--this.#pollsLeft > 0) return undefined;
    const outcome = this.#outcome;
    this.#outcome = undefined;
    return outcome;
  }

  /** The engine is told of the batch when it asks next. */
  release(): void {
    this.#pollsLeft = 0;
  }

  /** And it is told that the service has failed. */
  fail(): void {
    this.#outcome = 'failed';
    this.release();
  }
}
