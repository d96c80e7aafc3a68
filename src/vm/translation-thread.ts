/** Translates on a thread of the host's. */
import type {
  TranslatedOrders,
  TranslationOrder,
  TranslationService,
  TranslationTarget,
} from '../cpu/translation-service.js';
import { WorkerThread } from '../host/node/worker-thread.js';

/** In the folder of the compiled modules, and beside the command in one file (scripts/bundle.ts). */
const WORKER = new URL('./translation-worker.js', import.meta.url);

export class TranslationThread implements TranslationService {
  readonly #target: TranslationTarget;
  readonly #report: (line: string) => void;
  readonly #url: URL;
  /** Started with the first batch: what is switched on and off needs none. */
  #thread: WorkerThread | undefined;
  #state: 'open' | 'failed' | 'closed' = 'open';

  /** `report` is told when the thread has failed, in a line for the user. */
  constructor(target: TranslationTarget, report: (line: string) => void, url = WORKER) {
    this.#target = target;
    this.#report = report;
    this.#url = url;
  }

  submit(orders: readonly TranslationOrder[]): void {
    try {
      this.#thread ??= new WorkerThread(this.#url, this.#target, (reason) => {
        this.#fail(reason);
      });
      this.#thread.send(orders);
    } catch (error) {
      // The guest executes.
      setImmediate(() => {
        this.#fail(error instanceof Error ? error.message : String(error));
      });
    }
  }

  poll(): TranslatedOrders | 'nothing' | 'failed' | undefined {
    if (this.#state === 'failed') return 'failed';
    return this.#thread?.receive()?.message as TranslatedOrders | 'nothing' | undefined;
  }

  #fail(reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'failed';
    this.#report(`the thread that translates has failed, code is translated without it: ${reason}`);
  }

  close(): void {
    this.#state = 'closed';
    this.#thread?.close();
  }
}
