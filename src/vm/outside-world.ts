/**
 * What reaches a machine from outside other than its console: answers of sockets and of other slow things of the host.
 * They come between slices, when the host's event loop has its turn.
 */
export class OutsideWorld {
  #wake: (() => void) | undefined;
  #tell: ((line: string) => void) | undefined;
  readonly #sources: (() => boolean)[] = [];

  /**
   * `wake` is called whenever something has come in: a machine that waits goes on. `tell` is called with what the user
   * should know. Once.
   */
  connect(wake: () => void, tell: (line: string) => void): void {
    this.#wake = wake;
    this.#tell = tell;
  }

  /**
   * Adds a source. While `isExpecting` says that an answer may come at any time, a waiting guest waits as long as the
   * host does, with either clock: otherwise the guest's timeouts would pass before any host can answer.
   */
  add(isExpecting: () => boolean): void {
    this.#sources.push(isExpecting);
  }

  get isExpecting(): boolean {
    return this.#sources.some((isExpecting) => isExpecting());
  }

  /** Something came in, and devices have been told. */
  readonly notify = (): void => {
    this.#wake?.();
  };

  /** The host failed, the guest goes on, and the user should know: one line. */
  readonly report = (line: string): void => {
    this.#tell?.(line);
  };
}
