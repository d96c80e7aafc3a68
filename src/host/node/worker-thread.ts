/** A thread of Node's. What it sends is fetched when somebody looks, so that it needs no turn of the event loop. */
import { MessageChannel, Worker, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';

/** What a thread is given by `WorkerThread`. */
interface ThreadData {
  readonly port: MessagePort;
  readonly data: unknown;
}

export class WorkerThread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  #isClosed = false;

  /**
   * Runs the module at `url`, which finds a copy of `data` by `serveMessages`. `onEnd` is called, from the event loop, when
   * the thread ends without having been closed. It doesn't keep the process alive.
   */
  constructor(url: URL, data: unknown, onEnd: (reason: string) => void) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const threadData: ThreadData = { port: port2, data };
    this.#worker = new Worker(url, { workerData: threadData, transferList: [port2] });
    this.#worker.unref();
    const end = (reason: string): void => {
      if (this.#isClosed) return;
      this.close();
      onEnd(reason);
    };
    this.#worker.on('error', (error: unknown) => {
      end(error instanceof Error ? error.message : String(error));
    });
    this.#worker.on('exit', (status) => {
      end(`it ended with status ${status}`);
    });
  }

  send(message: unknown): void {
    this.#port.postMessage(message);
  }

  /** The oldest message that the thread has sent; undefined where there is none. */
  receive(): { readonly message: unknown } | undefined {
    return receiveMessageOnPort(this.#port);
  }

  close(): void {
    this.#isClosed = true;
    this.#port.close();
    void this.#worker.terminate();
  }
}

/** In a module that `WorkerThread` runs: `serve` is given its data, and returns what answers a message. */
export function serveMessages(serve: (data: unknown) => (message: unknown) => unknown): void {
  const { port, data } = workerData as ThreadData;
  const answer = serve(data);
  port.on('message', (message: unknown) => {
    port.postMessage(answer(message));
  });
}
