import { deepCopy, type Trace } from '../base/index.js';
import type { ByteReceiver, ByteSink, Clock, IrqLine, Snapshottable, Timer } from '../bus/index.js';

/** What the state of every UART has. */
interface ReceiverState {
  /** The receive FIFO, oldest first. */
  rx: unknown[];
  /** When the receive timeout comes, in guest time, where one is running. */
  rxTimeoutNs: number | null;
}

export interface UartPorts {
  /** Level-sensitive, high. */
  readonly irq: IrqLine;
  readonly clock: Clock;
  readonly output: ByteSink;
  readonly trace: Trace;
}

/**
 * What UARTs have in common: a receiver that is filled from outside where it has room, a timeout for characters that
 * nobody reads, and an interrupt line that follows from the state.
 */
export abstract class Uart<State extends ReceiverState> implements Snapshottable<State>, ByteReceiver {
  readonly name: string;
  onReceiveRoom: (() => void) | undefined;
  protected state: State;
  protected readonly ports: UartPorts;
  readonly #initialState: () => State;
  readonly #rxTimeout: Timer;

  constructor(name: string, ports: UartPorts, initialState: () => State) {
    this.name = name;
    this.ports = ports;
    this.#initialState = initialState;
    this.state = initialState();
    this.#rxTimeout = ports.clock.timer(`${name} receive timeout`, () => {
      this.state.rxTimeoutNs = null;
      this.onRxTimeout();
      this.#updateIrq();
    });
  }

  reset(): void {
    this.restoreState(this.#initialState());
  }

  saveState(): State {
    return deepCopy(this.state);
  }

  restoreState(state: State): void {
    this.act(() => {
      this.state = deepCopy(state);
      this.setRxTimeout(this.state.rxTimeoutNs);
    });
  }

  receive(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.length && this.#hasRoom()) {
      this.takeByte(bytes[taken] ?? 0);
      taken++;
    }
    if (taken > 0) this.#updateIrq();
    return taken;
  }

  /** Does something that may change the state, then what follows from it outside. */
  protected act<T>(action: () => T): T {
    const hadRoom = this.#hasRoom();
    const result = action();
    this.#updateIrq();
    if (!hadRoom && this.#hasRoom()) this.onReceiveRoom?.();
    return result;
  }

  protected setRxTimeout(deadlineNs: number | null): void {
    this.state.rxTimeoutNs = deadlineNs;
    if (deadlineNs === null) this.#rxTimeout.cancel();
    else this.#rxTimeout.arm(deadlineNs);
  }

  /** Characters that the receiver holds. */
  protected abstract depth(): number;
  protected abstract isLoopback(): boolean;
  protected abstract isInterrupting(): boolean;
  /** A byte from outside, for which there is room. */
  protected abstract takeByte(byte: number): void;
  protected abstract onRxTimeout(): void;

  #updateIrq(): void {
    this.ports.irq.set(this.isInterrupting());
  }

  /** Loopback cuts the receiver off from the outside. */
  #hasRoom(): boolean {
    return this.state.rx.length < this.depth() && !this.isLoopback();
  }
}
