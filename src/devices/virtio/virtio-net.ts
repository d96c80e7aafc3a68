/**
 * Network card (VIRTIO 1.2 5.1): one pair of queues, and one for control.
 *
 * Work is saved where both sides can: checksums are left to the other side (CSUM, GUEST_CSUM), and many segments of a TCP
 * connection travel as one frame of up to 64 KiB (HOST_TSO4, GUEST_TSO4), in merged buffers where the driver takes them
 * (MRG_RXBUF). A frame is taken from the network when there is a buffer for it, so nothing is lost between the two: the
 * network is what holds back.
 *
 * @deviation VLAN filters, several queue pairs, hashes and segmentation of UDP and of TCP over IPv6 are not offered.
 */
import { LARGE_FRAME_BYTES, ETHERNET_FRAME_BYTES } from '../../bus/index.js';
import type { NetworkFrame, NetworkPort } from '../../bus/index.js';
import type { Chain } from './chain.js';
import type { VirtioOptions, VirtioPorts } from './virtio-device.js';
import { VirtioDevice } from './virtio-device.js';
import type { Virtqueue } from './virtqueue.js';

const DEVICE_ID = 1;
/** 5.1.2. The third is for control. */
const RECEIVE = 0;
const TRANSMIT = 1;
const QUEUE_SIZES = [256, 256, 16];

/** 5.1.3 */
const F = {
  CSUM: 1n << 0n,
  GUEST_CSUM: 1n << 1n,
  CTRL_GUEST_OFFLOADS: 1n << 2n,
  MAC: 1n << 5n,
  GUEST_TSO4: 1n << 7n,
  HOST_TSO4: 1n << 11n,
  MRG_RXBUF: 1n << 15n,
  STATUS: 1n << 16n,
  CTRL_VQ: 1n << 17n,
  CTRL_RX: 1n << 18n,
  CTRL_RX_EXTRA: 1n << 20n,
  CTRL_MAC_ADDR: 1n << 23n,
} as const;
/** What CTRL_GUEST_OFFLOADS can switch (5.1.6.5.6.1): its bits are the features'. */
const GUEST_OFFLOADS = F.GUEST_CSUM | F.GUEST_TSO4;

/** Offsets of 5.1.4. */
const CONFIG = { mac: 0, status: 6 } as const;
const CONFIG_BYTES = 8;
const STATUS_LINK_UP = 1;
const MAC_BYTES = 6;

/** 5.1.6; `num_buffers` is not there for legacy drivers without merged buffers (5.1.6.1). */
const HEADER = {
  flags: 0,
  gso_type: 1,
  hdr_len: 2,
  gso_size: 4,
  csum_start: 6,
  csum_offset: 8,
  num_buffers: 10,
} as const;
const HEADER_BYTES = 12;
const SHORT_HEADER_BYTES = 10;
const NEEDS_CSUM = 1;
const GSO = { NONE: 0, TCPV4: 1, ECN: 0x80 } as const;

/** 5.1.6.5 */
const CLASS = { RX: 0, MAC: 1, GUEST_OFFLOADS: 5 } as const;
const RX_MODES = [
  'promiscuous',
  'allMulticast',
  'allUnicast',
  'noMulticast',
  'noUnicast',
  'noBroadcast',
] as const;
const MAC_COMMAND = { TABLE_SET: 0, ADDR_SET: 1 } as const;
const ACK = { OK: 0, ERR: 1 } as const;
/** Longer commands name more addresses than anybody has. */
const MAX_COMMAND_BYTES = 4096;

/** Frames and bytes in one turn; the guest goes on in between. */
const TURN_FRAMES = 128;
const TURN_BYTES = 2 * 1024 * 1024;

/** What the driver wants to get (5.1.6.5.1, 5.1.6.5.2). */
interface ReceiveFilter {
  readonly modes: Readonly<Record<(typeof RX_MODES)[number], boolean>>;
  /** Addresses in hexadecimal, beside the card's own. */
  readonly unicast: readonly string[];
  readonly multicast: readonly string[];
}

/** Drivers that know nothing of filters get everything. */
const NO_FILTER: ReceiveFilter = {
  modes: {
    promiscuous: true,
    allMulticast: false,
    allUnicast: false,
    noMulticast: false,
    noUnicast: false,
    noBroadcast: false,
  },
  unicast: [],
  multicast: [],
};

export interface VirtioNetState {
  readonly filter: ReceiveFilter;
  readonly disabledOffloads: bigint;
  /** Taken from the network, and waiting for buffers. */
  readonly waiting: NetworkFrame | undefined;
}

export interface VirtioNetPorts extends VirtioPorts {
  readonly network: NetworkPort;
}

export class VirtioNet extends VirtioDevice<VirtioNetState> {
  readonly #network: NetworkPort;
  readonly #mac: Uint8Array;
  #filter = NO_FILTER;
  /** Receive offloads that were agreed on and are switched off. */
  #disabledOffloads = 0n;
  /** Receive buffers taken, and a frame that they have no room for yet. */
  #buffers: Chain[] = [];
  #bufferedBytes = 0;
  #waiting: NetworkFrame | undefined;
  /** The network is being sent to or asked: what it has will be looked at. */
  #isBusy = false;

  /** `mac` has six bytes. */
  constructor(name: string, mac: Uint8Array, { network, ...ports }: VirtioNetPorts, options?: VirtioOptions) {
    super(
      {
        name,
        deviceId: DEVICE_ID,
        features:
          F.CSUM |
          F.GUEST_CSUM |
          F.CTRL_GUEST_OFFLOADS |
          F.MAC |
          F.GUEST_TSO4 |
          F.HOST_TSO4 |
          F.MRG_RXBUF |
          F.STATUS |
          F.CTRL_VQ |
          F.CTRL_RX |
          F.CTRL_RX_EXTRA |
          F.CTRL_MAC_ADDR,
        queueSizes: QUEUE_SIZES,
        configBytes: CONFIG_BYTES,
      },
      ports,
      options,
    );
    this.#network = network;
    this.#mac = mac.slice();
    this.#resetConfig();
    network.connect(() => {
      // What else the host has at this moment comes along: a frame of many segments rather than one of each.
      if (!this.#isBusy) this.serveLater(this.queues[RECEIVE]!);
    });
  }

  protected serve(queue: Virtqueue): 'done' | 'more' {
    switch (queue.index) {
      case RECEIVE: {
        this.#isBusy = true;
        const result = this.#receive();
        this.#isBusy = false;
        return result;
      }
      case TRANSMIT: {
        this.#isBusy = true;
        const result = this.#transmit(queue);
        this.#isBusy = false;
        // A burst is answered as a whole.
        this.poke(this.queues[RECEIVE]!);
        return result;
      }
      default:
        return this.#control(queue);
    }
  }

  /** 5.1.4: legacy drivers may write their address. */
  protected override configWritten(offset: number, size: number, value: number): boolean {
    if (!this.isLegacy || offset + size > MAC_BYTES) return false;
    for (let i = 0; i < size; i++) this.config.setUint8(CONFIG.mac + offset + i, (value >>> (8 * i)) & 0xff);
    return true;
  }

  protected stopped(): void {
    this.#filter = NO_FILTER;
    this.#disabledOffloads = 0n;
    this.#waiting = undefined;
    this.#dropBuffers();
    this.#resetConfig();
  }

  protected override queueStopped(queue: Virtqueue): void {
    if (queue.index === RECEIVE) this.#dropBuffers();
  }

  protected saveOwn(): VirtioNetState {
    return { filter: this.#filter, disabledOffloads: this.#disabledOffloads, waiting: this.#waiting };
  }

  protected restoreOwn(own: VirtioNetState, chains: readonly (readonly Chain[])[]): void {
    this.#filter = own.filter;
    this.#disabledOffloads = own.disabledOffloads;
    this.#waiting = own.waiting;
    this.#dropBuffers();
    for (const chain of chains[RECEIVE] ?? []) this.#keep(chain);
  }

  get #headerBytes(): number {
    return this.isLegacy && !this.hasFeature(F.MRG_RXBUF) ? SHORT_HEADER_BYTES : HEADER_BYTES;
  }

  #resetConfig(): void {
    this.#mac.forEach((byte, index) => this.config.setUint8(CONFIG.mac + index, byte));
    this.config.setUint16(CONFIG.status, STATUS_LINK_UP, true);
  }

  // To the network (5.1.6.2).

  #transmit(queue: Virtqueue): 'done' | 'more' {
    let bytes = 0;
    for (let count = 0; count < TURN_FRAMES && bytes < TURN_BYTES; count++) {
      const chain = queue.next();
      if (!chain) return 'done';
      if (chain.readableBytes < this.#headerBytes) {
        this.fail('frame without header');
        return 'done';
      }
      bytes += Math.min(chain.readableBytes, TURN_BYTES);
      const frame = this.#outgoing(chain);
      if (frame === undefined) return 'done';
      if (frame) this.#network.send(frame);
      chain.complete(0);
    }
    return 'more';
  }

  /** Null for what is no frame: too long, or with a header that says what wasn't agreed on. Undefined: no memory. */
  #outgoing(chain: Chain): NetworkFrame | null | undefined {
    const length = chain.readableBytes - this.#headerBytes;
    const header = new DataView(new ArrayBuffer(SHORT_HEADER_BYTES));
    if (!chain.read(0, new Uint8Array(header.buffer))) return undefined;
    const isPartial = (header.getUint8(HEADER.flags) & NEEDS_CSUM) !== 0;
    const gsoType = header.getUint8(HEADER.gso_type) & ~GSO.ECN;
    const segmentBytes = header.getUint16(HEADER.gso_size, true);
    const isLarge = gsoType === GSO.TCPV4 && this.hasFeature(F.HOST_TSO4) && segmentBytes > 0;
    if (gsoType !== GSO.NONE && !isLarge) return null;
    if (length > (isLarge ? LARGE_FRAME_BYTES : ETHERNET_FRAME_BYTES)) return null;
    const start = header.getUint16(HEADER.csum_start, true);
    const offset = header.getUint16(HEADER.csum_offset, true);
    if (isPartial && (!this.hasFeature(F.CSUM) || start + offset + 2 > length)) return null;
    const bytes = new Uint8Array(length);
    if (!chain.read(this.#headerBytes, bytes)) return undefined;
    return {
      bytes,
      ...(isPartial ? { checksum: { start, offset } } : {}),
      ...(isLarge ? { segmentBytes } : {}),
    };
  }

  // From the network (5.1.6.3, 5.1.6.4).

  #receive(): 'done' | 'more' {
    let bytes = 0;
    for (let count = 0; count < TURN_FRAMES && bytes < TURN_BYTES; count++) {
      // Without a buffer the driver has to be asked for one, whatever the network has.
      if (this.#buffers.length === 0 && !this.#takeBuffer()) return 'done';
      this.#waiting ??= this.#nextFrame();
      if (!this.#waiting) return 'done';
      bytes += this.#waiting.bytes.length;
      const isDelivered = this.hasFeature(F.MRG_RXBUF)
        ? this.#deliverMerged(this.#waiting)
        : this.#deliver(this.#waiting);
      if (!isDelivered) return 'done';
      this.#waiting = undefined;
    }
    return 'more';
  }

  /** The next frame that the driver wants. */
  #nextFrame(): NetworkFrame | undefined {
    const maxBytes = this.#takesLargeFrames ? LARGE_FRAME_BYTES : ETHERNET_FRAME_BYTES;
    for (let count = 0; count < TURN_FRAMES; count++) {
      const frame = this.#network.receive(maxBytes);
      if (!frame || this.#wants(frame)) return frame;
    }
    return undefined;
  }

  /** Frames may be several in one, which includes that checksums may be missing. */
  get #takesLargeFrames(): boolean {
    return this.#hasOffload(F.GUEST_CSUM) && this.#hasOffload(F.GUEST_TSO4);
  }

  #hasOffload(offload: bigint): boolean {
    return this.hasFeature(offload) && (this.#disabledOffloads & offload) === 0n;
  }

  /** Whether the driver's filter lets a frame through (5.1.6.5.1, 5.1.6.5.2). */
  #wants({ bytes }: NetworkFrame): boolean {
    const { modes, unicast, multicast } = this.#filter;
    if (modes.promiscuous) return true;
    const address = bytes.subarray(0, MAC_BYTES);
    if (address.every((byte) => byte === 0xff)) return !modes.noBroadcast;
    const isGroup = (address[0]! & 1) !== 0;
    if (isGroup ? modes.noMulticast : modes.noUnicast) return false;
    if (isGroup ? modes.allMulticast : modes.allUnicast) return true;
    if (isGroup) return multicast.includes(hexOf(address));
    return (
      address.every((byte, index) => byte === this.config.getUint8(CONFIG.mac + index)) ||
      unicast.includes(hexOf(address))
    );
  }

  #takeBuffer(): boolean {
    const chain = this.queues[RECEIVE]!.next();
    if (chain) this.#keep(chain);
    return chain !== undefined;
  }

  #keep(chain: Chain): void {
    this.#buffers.push(chain);
    this.#bufferedBytes += chain.writableBytes;
  }

  #dropBuffers(): void {
    this.#buffers = [];
    this.#bufferedBytes = 0;
  }

  /** Into one buffer, which drivers make large enough (5.1.6.3.1). */
  #deliver(frame: NetworkFrame): boolean {
    const chain = this.#buffers[0]!;
    const header = this.#headerOf(frame, 1);
    const length = header.length + frame.bytes.length;
    if (chain.writableBytes < length) {
      this.fail(`buffer of ${chain.writableBytes} bytes for a frame of ${length}`);
      return false;
    }
    this.#dropBuffers();
    if (!chain.write(0, header) || !chain.write(header.length, frame.bytes)) return false;
    chain.complete(length);
    return true;
  }

  /** Into as many buffers as it takes; false while there are too few (5.1.6.4). */
  #deliverMerged(frame: NetworkFrame): boolean {
    const length = this.#headerBytes + frame.bytes.length;
    while (this.#bufferedBytes < length) {
      if (this.#takeBuffer()) continue;
      // More there can't be: the frame has no place, and is lost.
      return this.#buffers.length >= this.queues[RECEIVE]!.registers.size;
    }
    if (this.#buffers[0]!.writableBytes < this.#headerBytes) {
      this.fail('receive buffer without room for the header');
      return false;
    }
    const chains: Chain[] = [];
    for (let room = 0; room < length;) {
      const chain = this.#buffers.shift()!;
      chains.push(chain);
      room += chain.writableBytes;
      this.#bufferedBytes -= chain.writableBytes;
    }
    const header = this.#headerOf(frame, chains.length);
    if (!chains[0]!.write(0, header)) return false;
    let offset = 0;
    for (const [index, chain] of chains.entries()) {
      const at = index === 0 ? header.length : 0;
      const piece = frame.bytes.subarray(offset, offset + chain.writableBytes - at);
      if (!chain.write(at, piece)) return false;
      chain.complete(at + piece.length);
      offset += piece.length;
    }
    return true;
  }

  /** What the driver is told of a frame. What it hasn't agreed to do is done in the frame. */
  #headerOf({ bytes, checksum, segmentBytes }: NetworkFrame, buffers: number): Uint8Array {
    const header = new Uint8Array(this.#headerBytes);
    const view = new DataView(header.buffer);
    if (checksum && this.#hasOffload(F.GUEST_CSUM)) {
      view.setUint8(HEADER.flags, NEEDS_CSUM);
      view.setUint16(HEADER.csum_start, checksum.start, true);
      view.setUint16(HEADER.csum_offset, checksum.offset, true);
    } else if (checksum) {
      const at = checksum.start + checksum.offset;
      const sum = complementSum(bytes.subarray(checksum.start));
      bytes[at] = sum >> 8;
      bytes[at + 1] = sum & 0xff;
    }
    if (segmentBytes !== undefined) {
      view.setUint8(HEADER.gso_type, GSO.TCPV4);
      view.setUint16(HEADER.gso_size, segmentBytes, true);
      // Ethernet, IPv4 and TCP without options, of which large frames have none.
      view.setUint16(HEADER.hdr_len, 54, true);
    }
    if (header.length === HEADER_BYTES) view.setUint16(HEADER.num_buffers, buffers, true);
    return header;
  }

  // Control (5.1.6.5).

  #control(queue: Virtqueue): 'done' | 'more' {
    for (let count = 0; count < TURN_FRAMES; count++) {
      const chain = queue.next();
      if (!chain) return 'done';
      const length = Math.min(chain.readableBytes, MAX_COMMAND_BYTES);
      const command = new Uint8Array(length);
      if (length < 2 || chain.writableBytes < 1) {
        this.fail('command without class, command or acknowledgment');
        return 'done';
      }
      if (!chain.read(0, command)) return 'done';
      const [commandClass = 0, code = 0] = command;
      const isDone = this.#obey(commandClass, code, command.subarray(2));
      if (!chain.write(0, Uint8Array.of(isDone ? ACK.OK : ACK.ERR))) return 'done';
      chain.complete(1);
    }
    return 'more';
  }

  #obey(commandClass: number, code: number, data: Uint8Array): boolean {
    switch (commandClass) {
      case CLASS.RX: {
        const mode = RX_MODES[code];
        if (!this.hasFeature(F.CTRL_RX) || mode === undefined || data.length < 1) return false;
        this.#filter = { ...this.#filter, modes: { ...this.#filter.modes, [mode]: data[0] !== 0 } };
        return true;
      }
      case CLASS.MAC:
        return code === MAC_COMMAND.ADDR_SET
          ? this.#setAddress(data)
          : code === MAC_COMMAND.TABLE_SET && this.#setTables(data);
      case CLASS.GUEST_OFFLOADS: {
        if (!this.hasFeature(F.CTRL_GUEST_OFFLOADS) || code !== 0 || data.length < 8) return false;
        const wanted = new DataView(data.buffer, data.byteOffset).getBigUint64(0, true);
        if ((wanted & ~(this.driverFeatures & GUEST_OFFLOADS)) !== 0n) return false;
        this.#disabledOffloads = GUEST_OFFLOADS & ~wanted;
        return true;
      }
      default:
        return false;
    }
  }

  #setAddress(data: Uint8Array): boolean {
    if (!this.hasFeature(F.CTRL_MAC_ADDR) || data.length < MAC_BYTES) return false;
    for (let i = 0; i < MAC_BYTES; i++) this.config.setUint8(CONFIG.mac + i, data[i]!);
    return true;
  }

  /** Two tables of addresses, each behind the number of its entries. */
  #setTables(data: Uint8Array): boolean {
    if (!this.hasFeature(F.CTRL_RX)) return false;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const tables: string[][] = [];
    let at = 0;
    for (let table = 0; table < 2; table++) {
      if (at + 4 > data.length) return false;
      const end = at + 4 + view.getUint32(at, true) * MAC_BYTES;
      if (end > data.length) return false;
      const addresses: string[] = [];
      for (at += 4; at < end; at += MAC_BYTES) addresses.push(hexOf(data.subarray(at, at + MAC_BYTES)));
      tables.push(addresses);
    }
    const [unicast = [], multicast = []] = tables;
    this.#filter = { ...this.#filter, unicast, multicast };
    return true;
  }
}

function hexOf(address: Uint8Array): string {
  return Array.from(address, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The Internet checksum (RFC 1071). */
function complementSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += bytes[i]! << (i % 2 === 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return 0xffff - sum;
}
