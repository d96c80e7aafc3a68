/**
 * Console device (VIRTIO 1.2 5.3): a console, which is port 0, and any number of ports with names beside it.
 *
 * What the guest sends goes to the port's output at once. What comes from outside waits there until the driver has
 * buffers for it and, where it knows of ports, has opened the port: earlier the driver would throw it away.
 */
import type { AccessSize, ByteReceiver, ByteSink } from '../../bus/index.js';
import type { Chain } from './chain.js';
import type { VirtioOptions, VirtioPorts } from './virtio-device.js';
import { VirtioDevice } from './virtio-device.js';
import type { Virtqueue } from './virtqueue.js';

const DEVICE_ID = 3;
const DATA_QUEUE_SIZE = 128;
const CONTROL_QUEUE_SIZE = 32;

/** 5.3.2: queues of port 0, of control messages, of port 1 and so on; each to the driver and from it. */
const CONTROL_RECEIVE = 2;
const CONTROL_TRANSMIT = 3;
const receiveQueueOf = (port: number): number => (port === 0 ? 0 : 2 + 2 * port);

/** 5.3.3 */
const F = { SIZE: 1n << 0n, MULTIPORT: 1n << 1n, EMERG_WRITE: 1n << 2n } as const;

/** Offsets of 5.3.4. */
const CONFIG = { cols: 0, rows: 2, max_nr_ports: 4, emerg_wr: 8 } as const;
const CONFIG_BYTES = 12;

/** 5.3.6.2 */
const EVENT = {
  DEVICE_READY: 0, DEVICE_ADD: 1, PORT_READY: 3, CONSOLE_PORT: 4, RESIZE: 5, PORT_OPEN: 6, PORT_NAME: 7,
} as const; // prettier-ignore
/** Port, event, value. */
const CONTROL_BYTES = 8;

/** Bytes and chains taken before the guest gets its turn again. */
const PIECE_BYTES = 4096;
const TURN_BYTES = 16 * PIECE_BYTES;
const TURN_CHAINS = 128;
/** Control messages that wait for the driver; while there are so many, none of the driver's are taken. */
const MAX_WAITING_MESSAGES = 32;

export interface ConsoleSize {
  /** Characters, up to 65535 each. */
  readonly columns: number;
  readonly rows: number;
}

/** A port from outside. */
export interface ConsolePortOptions {
  /** What the guest finds it by: ASCII. The console, which is the first port, needs none. */
  readonly name?: string;
  readonly output: ByteSink;
}

export interface VirtioConsoleOptions extends VirtioOptions {
  /** Of the terminal that the console is shown on. Left out: not known. */
  readonly size?: ConsoleSize;
}

interface ConsoleState {
  readonly ports: readonly {
    readonly isReady: boolean;
    readonly isOpen: boolean;
    /** Bytes sent on of a chain that the device has. */
    readonly sentBytes: number;
  }[];
  readonly messages: readonly Uint8Array[];
}

/** What the device knows of a port. */
class Port implements ByteReceiver {
  readonly index: number;
  readonly name: string | undefined;
  readonly output: ByteSink;
  readonly #take: (port: Port, bytes: Uint8Array) => number;
  onReceiveRoom: (() => void) | undefined = undefined;
  /** The driver knows the port, and has it open. */
  isReady = false;
  isOpen = false;
  /** A chain with data that were not all sent on. */
  sending: { readonly chain: Chain; sentBytes: number } | undefined;

  constructor(
    index: number,
    { name, output }: ConsolePortOptions,
    take: (port: Port, bytes: Uint8Array) => number,
  ) {
    this.index = index;
    this.name = name;
    this.output = output;
    this.#take = take;
  }

  receive(bytes: Uint8Array): number {
    return this.#take(this, bytes);
  }

  reset(): void {
    this.isReady = false;
    this.isOpen = false;
    this.sending = undefined;
  }
}

export class VirtioConsole extends VirtioDevice<ConsoleState> {
  readonly #ports: readonly Port[];
  readonly #hasSize: boolean;
  /** For the driver, in order. */
  #messages: Uint8Array[] = [];

  /** `consolePorts`: the console, and what is beside it. */
  constructor(
    name: string,
    consolePorts: readonly ConsolePortOptions[],
    ports: VirtioPorts,
    options: VirtioConsoleOptions = {},
  ) {
    super(
      {
        name,
        deviceId: DEVICE_ID,
        features: F.MULTIPORT | F.EMERG_WRITE | (options.size ? F.SIZE : 0n),
        queueSizes: Array.from({ length: 2 + 2 * consolePorts.length }, (_, queue) =>
          queue === CONTROL_RECEIVE || queue === CONTROL_TRANSMIT ? CONTROL_QUEUE_SIZE : DATA_QUEUE_SIZE,
        ),
        configBytes: CONFIG_BYTES,
      },
      ports,
      options,
    );
    this.#ports = consolePorts.map(
      (port, index) => new Port(index, port, (to, bytes) => this.#receive(to, bytes)),
    );
    this.#hasSize = options.size !== undefined;
    this.config.setUint32(CONFIG.max_nr_ports, consolePorts.length, true);
    if (options.size) writeSize(this.config, options.size);
  }

  /** Where what comes from outside goes, for each port. */
  get inputs(): readonly ByteReceiver[] {
    return this.#ports;
  }

  /** The console's terminal has another size. Nothing happens where none was given at the start. */
  resize(size: ConsoleSize): void {
    if (!this.#hasSize) return;
    this.changeConfig((config) => {
      writeSize(config, size);
    });
    if (!this.hasFeature(F.SIZE) || this.#ports[0]?.isReady !== true) return;
    this.#messages = this.#messages.filter((message) => eventOf(message) !== EVENT.RESIZE);
    this.#messages.push(this.#resizeMessage());
    this.#sendMessages();
    this.queues[CONTROL_RECEIVE]?.flush();
  }

  protected serve(queue: Virtqueue): 'done' | 'more' {
    if (queue.index === CONTROL_RECEIVE) return this.#serveControlReceive();
    if (queue.index === CONTROL_TRANSMIT) return this.#serveControlTransmit(queue);
    const port = this.#ports.find(({ index }) => receiveQueueOf(index) === (queue.index & ~1))!;
    if ((queue.index & 1) !== 0) return this.#serveTransmit(port, queue);
    port.onReceiveRoom?.();
    return 'done';
  }

  /** 5.3.4: a character for the console, at any time, from whoever has no queues. */
  protected override configWritten(offset: number, _size: AccessSize, value: number): boolean {
    if (offset !== CONFIG.emerg_wr) return false;
    this.#ports[0]?.output.write(value & 0xff);
    return true;
  }

  protected stopped(): void {
    this.#messages = [];
    for (const port of this.#ports) port.reset();
  }

  protected override queueStopped(queue: Virtqueue): void {
    for (const port of this.#ports)
      if (receiveQueueOf(port.index) + 1 === queue.index) port.sending = undefined;
  }

  protected saveOwn(): ConsoleState {
    return {
      ports: this.#ports.map(({ isReady, isOpen, sending }) => ({
        isReady,
        isOpen,
        sentBytes: sending?.sentBytes ?? 0,
      })),
      messages: this.#messages,
    };
  }

  protected restoreOwn({ ports, messages }: ConsoleState, chains: readonly (readonly Chain[])[]): void {
    this.#messages = [...messages];
    for (const port of this.#ports) {
      const { isReady, isOpen, sentBytes } = ports[port.index]!;
      const queue = receiveQueueOf(port.index) + 1;
      const [chain] = chains[queue] ?? [];
      Object.assign(port, { isReady, isOpen, sending: chain && { chain, sentBytes } });
      if (chain) this.serveLater(this.queues[queue]!);
    }
  }

  /** Bytes from outside for the driver: as many as it has room for. */
  #receive(port: Port, bytes: Uint8Array): number {
    if (!this.isLive || (this.hasFeature(F.MULTIPORT) && !port.isOpen)) return 0;
    const queue = this.queues[receiveQueueOf(port.index)]!;
    let taken = 0;
    while (taken < bytes.length) {
      const chain = queue.next();
      if (!chain) break;
      const part = bytes.subarray(taken, taken + chain.writableBytes);
      if (!chain.write(0, part)) break;
      chain.complete(part.length);
      taken += part.length;
    }
    queue.flush();
    return taken;
  }

  /** What the driver sends through a port. */
  #serveTransmit(port: Port, queue: Virtqueue): 'done' | 'more' {
    let budget = TURN_BYTES;
    for (let count = 0; count < TURN_CHAINS && budget > 0; count++) {
      let { sending } = port;
      if (!sending) {
        const chain = queue.next();
        if (!chain) return 'done';
        sending = port.sending = { chain, sentBytes: 0 };
      }
      const { chain } = sending;
      while (sending.sentBytes < chain.readableBytes && budget > 0) {
        const piece = new Uint8Array(Math.min(PIECE_BYTES, chain.readableBytes - sending.sentBytes));
        if (!chain.read(sending.sentBytes, piece)) {
          port.sending = undefined;
          return 'done';
        }
        for (const byte of piece) port.output.write(byte);
        sending.sentBytes += piece.length;
        budget -= piece.length;
      }
      if (sending.sentBytes < chain.readableBytes) break;
      port.sending = undefined;
      chain.complete(0);
    }
    return 'more';
  }

  #serveControlReceive(): 'done' {
    this.#sendMessages();
    // Those of the driver's that were left because of too many answers.
    this.poke(this.queues[CONTROL_TRANSMIT]!);
    return 'done';
  }

  #serveControlTransmit(queue: Virtqueue): 'done' | 'more' {
    for (let count = 0; count < CONTROL_QUEUE_SIZE; count++) {
      if (this.#messages.length >= MAX_WAITING_MESSAGES) return 'done';
      const chain = queue.next();
      if (!chain) return 'done';
      const message = new DataView(new ArrayBuffer(CONTROL_BYTES));
      if (chain.readableBytes >= CONTROL_BYTES) {
        if (!chain.read(0, new Uint8Array(message.buffer))) return 'done';
        this.#control(message.getUint32(0, true), message.getUint16(4, true), message.getUint16(6, true));
      }
      chain.complete(0);
      this.#sendMessages();
      this.queues[CONTROL_RECEIVE]!.flush();
    }
    return 'more';
  }

  /** A message of the driver's (5.3.6.2). */
  #control(id: number, event: number, value: number): void {
    if (event === EVENT.DEVICE_READY && value === 1) {
      for (const { index } of this.#ports) this.#messages.push(messageOf(index, EVENT.DEVICE_ADD, 0));
    }
    const port = this.#ports[id];
    if (!port) return;
    if (event === EVENT.PORT_READY && value === 1) {
      port.isReady = true;
      if (port.index === 0) {
        this.#messages.push(messageOf(0, EVENT.CONSOLE_PORT, 1));
        if (this.hasFeature(F.SIZE)) this.#messages.push(this.#resizeMessage());
      }
      if (port.name !== undefined) {
        this.#messages.push(messageOf(port.index, EVENT.PORT_NAME, 0, asciiOf(port.name)));
      }
      this.#messages.push(messageOf(port.index, EVENT.PORT_OPEN, 1));
    } else if (event === EVENT.PORT_OPEN) {
      port.isOpen = value === 1;
      if (port.isOpen) port.onReceiveRoom?.();
    }
  }

  /** Puts messages into the driver's buffers, as long as there are both. */
  #sendMessages(): void {
    const queue = this.queues[CONTROL_RECEIVE]!;
    for (;;) {
      const [message] = this.#messages;
      const chain = message && queue.next();
      if (!chain) return;
      const part = message.subarray(0, chain.writableBytes);
      if (!chain.write(0, part)) return;
      chain.complete(part.length);
      this.#messages.shift();
    }
  }

  #resizeMessage(): Uint8Array {
    // Columns and rows, as in the configuration. Some versions of Linux take the first for the rows.
    return messageOf(
      0,
      EVENT.RESIZE,
      0,
      new Uint8Array(this.config.buffer.slice(CONFIG.cols, CONFIG.max_nr_ports)),
    );
  }
}

function writeSize(config: DataView, { columns, rows }: ConsoleSize): void {
  config.setUint16(CONFIG.cols, columns, true);
  config.setUint16(CONFIG.rows, rows, true);
}

function messageOf(
  id: number,
  event: number,
  value: number,
  more: Uint8Array = new Uint8Array(),
): Uint8Array {
  const message = new Uint8Array(CONTROL_BYTES + more.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, id, true);
  view.setUint16(4, event, true);
  view.setUint16(6, value, true);
  message.set(more, CONTROL_BYTES);
  return message;
}

function asciiOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function eventOf(message: Uint8Array): number {
  return message[4]! + message[5]! * 256;
}
