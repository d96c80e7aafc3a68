/**
 * QEMU firmware configuration device (fw_cfg), memory-mapped, with DMA.
 *
 * QEMU docs/specs/fw_cfg.rst ("fw_cfg" below); keys from Linux include/uapi/linux/qemu_fw_cfg.h; what odd accesses
 * do was read off QEMU 7.2's `virt` machine. Named files, the items of a directly loaded kernel and the CPU count
 * are modelled.
 *
 * @deviation Files appear in the directory in the order in which they were added; QEMU sorts them by name. Guests
 * search by name.
 */
import { deepCopy, hex, UserError, type Trace } from '../base/index.js';
import {
  cells64,
  type AccessSize,
  type AcpiDevice,
  type DmaPort,
  type DtNode,
  type MmioDevice,
  type Snapshottable,
} from '../bus/index.js';

import { registerResources } from './acpi-resources.js';

/** fw_cfg "Register Locations", Arm. Selector and DMA address are big-endian, data keeps the order of bytes. */
const DATA = 0x00;
const SELECTOR = 0x08;
const DMA_HIGH = 0x10;
const DMA_LOW = 0x14;
const SIZE_BYTES = 0x18;

/** What the DMA address register reads as: `QEMU CFG`, first character at the lowest address. */
const DMA_SIGNATURE = 0x47464320_554d4551n;

/** Selector keys of the items that are not named files. */
const FW_CFG_KEY = {
  SIGNATURE: 0x00,
  ID: 0x01,
  NB_CPUS: 0x05,
  KERNEL_SIZE: 0x08,
  INITRD_SIZE: 0x0b,
  KERNEL_DATA: 0x11,
  INITRD_DATA: 0x12,
  CMDLINE_SIZE: 0x14,
  CMDLINE_DATA: 0x15,
  FILE_DIR: 0x19,
  FILE_FIRST: 0x20,
} as const;

/** Bit of a selector: the write channel selects the same items. */
const KEY_WRITE_CHANNEL = 0x4000;
const MAX_FILES = 0x3fff - FW_CFG_KEY.FILE_FIRST + 1;

/** Bits of `FW_CFG_ID`. */
const ID_TRADITIONAL = 1;
const ID_DMA = 2;

/** `FWCfgFile`: size, selector, reserved, name. */
const FILE_ENTRY_BYTES = 64;
const FILE_NAME_BYTES = 56;

/** `FWCfgDmaAccess`, all big-endian: control, length, address. */
const DMA_DESCRIPTOR_BYTES = 16;
const DMA_CONTROL = { ERROR: 1 << 0, READ: 1 << 1, SKIP: 1 << 2, SELECT: 1 << 3, WRITE: 1 << 4 } as const;

/** Zeros past the end of an item are written to the guest in pieces of this size: a length may be 4 GiB. */
const ZEROS = new Uint8Array(64 * 1024);

interface FwCfgPorts {
  readonly trace: Trace;
  readonly dma: DmaPort;
}

/** Called after the guest has changed `length` bytes of a writable file from `offset`; `data` is borrowed. */
export type FwCfgWriteListener = (data: Uint8Array, offset: number, length: number) => void;

/** File names to contents. */
type NamedFiles = ReadonlyMap<string, Uint8Array>;

interface Item {
  /** For traces, and in the directory if it is a file. */
  readonly name: string;
  /** As the host gave it; what the guest has written since is in the state. */
  readonly initialData: Uint8Array;
  /** Only set on items that the guest may write. */
  readonly onWrite: FwCfgWriteListener | undefined;
}

export interface FwCfgState {
  /** The selected item, without the write-channel bit. */
  key: number;
  /** Bytes of the item already passed; never more than it has. */
  offset: number;
  /** Upper half of the DMA address, waiting for the lower one. */
  dmaHigh: number;
  /** Contents of the files that the guest has written, by key. */
  written: Record<number, Uint8Array>;
}

function initialState(): FwCfgState {
  return { key: FW_CFG_KEY.SIGNATURE, offset: 0, dmaHigh: 0, written: {} };
}

export class FwCfg implements MmioDevice, Snapshottable<FwCfgState> {
  readonly name = 'fw-cfg';
  readonly sizeBytes = SIZE_BYTES;
  readonly maxAccess = 8;
  /** Since the machine was made. For statistics; no part of the guest's state. */
  readonly counters = { selects: 0, dataReads: 0, dmaOperations: 0 };

  readonly #ports: FwCfgPorts;
  readonly #items = new Map<number, Item>();
  readonly #files: { readonly name: string; readonly key: number; readonly sizeBytes: number }[] = [];
  /** What makes files that nobody has asked for yet. */
  readonly #makers: (() => NamedFiles)[] = [];
  #state = initialState();

  constructor(ports: FwCfgPorts, { cpuCount }: { readonly cpuCount: number }) {
    this.#ports = ports;
    this.#setItem(FW_CFG_KEY.SIGNATURE, 'signature', asciiBytes('QEMU'));
    this.#setItem(FW_CFG_KEY.ID, 'id', littleEndian(4, ID_TRADITIONAL | ID_DMA));
    this.#setItem(FW_CFG_KEY.NB_CPUS, 'nb-cpus', littleEndian(2, cpuCount));
    this.#setItem(FW_CFG_KEY.FILE_DIR, 'file-dir', this.#directory());
  }

  /**
   * Adds a named file. To be called before the guest runs. `data` is borrowed and never changed. With `onWrite` the
   * guest may change the bytes (not the size) by DMA. User errors: `fw-cfg-name`, `fw-cfg-full`.
   */
  addFile(name: string, data: Uint8Array, onWrite?: FwCfgWriteListener): void {
    if (!/^[\x20-\x7e]+$/.test(name) || name.length >= FILE_NAME_BYTES) {
      throw new UserError(
        'fw-cfg-name',
        `fw_cfg file name '${name}': give 1 to ${FILE_NAME_BYTES - 1} printable ASCII characters`,
      );
    }
    if (this.#files.some((file) => file.name === name)) {
      throw new UserError('fw-cfg-name', `fw_cfg file name '${name}' is already used`);
    }
    if (this.#files.length === MAX_FILES) {
      throw new UserError('fw-cfg-full', `fw_cfg file '${name}': there is room for ${MAX_FILES} files`);
    }
    const key = FW_CFG_KEY.FILE_FIRST + this.#files.length;
    this.#setItem(key, name, data, onWrite);
    this.#files.push({ name, key, sizeBytes: data.length });
    this.#setItem(FW_CFG_KEY.FILE_DIR, 'file-dir', this.#directory());
  }

  /**
   * Offers a kernel for firmware to start, with its initial RAM disk and command line. The arrays are
   * borrowed. User error: `fw-cfg-command-line`.
   */
  setKernel(kernel: Uint8Array, initrd: Uint8Array | undefined, commandLine: string): void {
    this.#setItem(FW_CFG_KEY.KERNEL_SIZE, 'kernel-size', littleEndian(4, kernel.length));
    this.#setItem(FW_CFG_KEY.KERNEL_DATA, 'kernel-data', kernel);
    if (initrd) {
      this.#setItem(FW_CFG_KEY.INITRD_SIZE, 'initrd-size', littleEndian(4, initrd.length));
      this.#setItem(FW_CFG_KEY.INITRD_DATA, 'initrd-data', initrd);
    }
    if (commandLine !== '') {
      if (!/^[\x20-\x7e]*$/.test(commandLine)) {
        throw new UserError(
          'fw-cfg-command-line',
          'kernel command line: only printable ASCII characters can be given',
        );
      }
      const bytes = asciiBytes(`${commandLine}\0`);
      this.#setItem(FW_CFG_KEY.CMDLINE_SIZE, 'cmdline-size', littleEndian(4, bytes.length));
      this.#setItem(FW_CFG_KEY.CMDLINE_DATA, 'cmdline-data', bytes);
    }
  }

  read(offset: number, size: AccessSize): number {
    if (offset === DATA) return Number(this.#readData(size));
    if (offset >= DMA_HIGH)
      return Number(BigInt.asUintN(8 * size, DMA_SIGNATURE >> BigInt(8 * (offset - DMA_HIGH))));
    this.#guestError('read', offset, size);
    return 0;
  }

  read64(offset: number): bigint {
    if (offset === DATA) return this.#readData(8);
    if (offset === DMA_HIGH) return DMA_SIGNATURE;
    this.#guestError('read', offset, 8);
    return 0n;
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (offset === SELECTOR && size === 2) {
      this.#select(((value & 0xff) << 8) | (value >>> 8));
    } else if (offset === DMA_HIGH && size === 4) {
      this.#state.dmaHigh = swap32(value);
    } else if (offset === DMA_LOW && size === 4) {
      this.#startDma(this.#state.dmaHigh, swap32(value));
    } else {
      this.#guestError('write', offset, size);
    }
  }

  write64(offset: number, value: bigint): void {
    if (offset !== DMA_HIGH) {
      this.#guestError('write', offset, 8);
      return;
    }
    this.#startDma(swap32(Number(value & 0xffff_ffffn)), swap32(Number(value >> 32n)));
  }

  /** What the guest has written into files stays, as it does in QEMU: it is told to the host, not to the device. */
  reset(): void {
    this.#state = { ...initialState(), written: this.#state.written };
  }

  saveState(): FwCfgState {
    return deepCopy(this.#state);
  }

  restoreState(state: FwCfgState): void {
    this.#state = deepCopy(state);
  }

  /** Linux Documentation/devicetree/bindings/firmware/qemu,fw-cfg-mmio.yaml. */
  describe(base: number): DtNode {
    return {
      name: `fw-cfg@${base.toString(16)}`,
      properties: {
        compatible: 'qemu,fw-cfg-mmio',
        reg: { cells: [...cells64(base), ...cells64(SIZE_BYTES)] },
        'dma-coherent': true,
      },
    };
  }

  /** fw_cfg "ACPI Interface": there and working, but not for users to see. */
  describeAcpi(base: number): AcpiDevice {
    const PRESENT_ENABLED_FUNCTIONING = 0b1011;
    return {
      name: 'FWCF',
      objects: {
        _HID: 'QEMU0002',
        _STA: PRESENT_ENABLED_FUNCTIONING,
        _CCA: 1,
        _CRS: registerResources(base, SIZE_BYTES),
      },
    };
  }

  /**
   * Adds files, behind those that are there, made when the guest first asks for the directory or a file: many guests never
   * do. Contents as with `addFile`.
   */
  addFilesWhenAsked(make: () => NamedFiles): void {
    this.#makers.push(make);
  }

  /** fw_cfg "Selector (Control) Register". */
  #select(selector: number): void {
    this.#state.key = selector & ~KEY_WRITE_CHANNEL;
    this.#state.offset = 0;
    this.counters.selects += 1;
    if (this.#ports.trace.on('fwcfg')) {
      this.#ports.trace.event('fwcfg', `select ${hex(selector)} ${this.#itemName()}`);
    }
  }

  /** fw_cfg "Data Register": the next `size` bytes, the first at the lowest address; zeros after the end. */
  #readData(size: AccessSize): bigint {
    const data = this.#data();
    const at = this.#state.offset;
    let value = 0n;
    for (let index = 0; index < size; index += 1) value |= BigInt(data[at + index] ?? 0) << BigInt(8 * index);
    this.#state.offset = Math.min(at + size, data.length);
    this.counters.dataReads += 1;
    return value;
  }

  /** fw_cfg "Guest-side DMA Interface". */
  #startDma(high: number, low: number): void {
    const descriptorAt = high * 2 ** 32 + low;
    this.#state.dmaHigh = 0;
    this.counters.dmaOperations += 1;
    const descriptor = new DataView(new ArrayBuffer(DMA_DESCRIPTOR_BYTES));
    let isDone = false;
    if (this.#ports.dma.read(descriptorAt, new Uint8Array(descriptor.buffer))) {
      const control = descriptor.getUint32(0);
      const length = descriptor.getUint32(4);
      const address = descriptor.getUint32(8) * 2 ** 32 + descriptor.getUint32(12);
      if ((control & DMA_CONTROL.SELECT) !== 0) this.#select(control >>> 16);
      isDone = this.#transfer(control, length, address);
    }
    descriptor.setUint32(0, isDone ? 0 : DMA_CONTROL.ERROR);
    this.#ports.dma.write(descriptorAt, new Uint8Array(descriptor.buffer, 0, 4));
    if (!isDone && this.#ports.trace.on('guest-errors')) {
      this.#ports.trace.event(
        'guest-errors',
        `fw-cfg: DMA at ${hex(descriptorAt)} on ${this.#itemName()} failed`,
      );
    }
  }

  /** Read wins over write and write over skip. False where the error bit is due. Nothing to transfer cannot fail. */
  #transfer(control: number, length: number, address: number): boolean {
    if (length === 0) return true;
    const data = this.#data();
    const at = this.#state.offset;
    const available = Math.min(length, data.length - at);
    const trace = (verb: string): void => {
      if (!this.#ports.trace.on('fwcfg')) return;
      this.#ports.trace.event(
        'fwcfg',
        `dma ${verb} ${this.#itemName()} offset ${hex(at)} length ${hex(length)} address ${hex(address)}`,
      );
    };

    if ((control & DMA_CONTROL.READ) !== 0) {
      trace('read');
      this.#state.offset = at + available;
      return this.#copyOut(data.subarray(at, at + available), length, address);
    }
    if ((control & DMA_CONTROL.WRITE) !== 0) {
      trace('write');
      const { key } = this.#state;
      const onWrite = this.#item()?.onWrite;
      if (!onWrite || available < length) return false;
      const bytes = new Uint8Array(length);
      if (!this.#ports.dma.read(address, bytes)) return false;
      const contents = (this.#state.written[key] ??= Uint8Array.from(data));
      contents.set(bytes, at);
      this.#state.offset = at + length;
      onWrite(contents, at, length);
      return true;
    }
    if ((control & DMA_CONTROL.SKIP) !== 0) {
      trace('skip');
      this.#state.offset = at + available;
    }
    return true;
  }

  /** Writes `bytes` to guest memory and then zeros until `length` bytes are written. */
  #copyOut(bytes: Uint8Array, length: number, address: number): boolean {
    if (bytes.length > 0 && !this.#ports.dma.write(address, bytes)) return false;
    for (let done = bytes.length; done < length;) {
      const piece = Math.min(ZEROS.length, length - done);
      if (!this.#ports.dma.write(address + done, ZEROS.subarray(0, piece))) return false;
      done += piece;
    }
    return true;
  }

  #data(): Uint8Array {
    const { key, written } = this.#state;
    return written[key] ?? this.#item()?.initialData ?? NO_DATA;
  }

  #itemName(): string {
    return this.#item()?.name ?? '(no item)';
  }

  /** The selected one. */
  #item(): Item | undefined {
    const { key } = this.#state;
    if (key >= FW_CFG_KEY.FILE_DIR)
      for (const make of this.#makers.splice(0)) for (const [name, data] of make()) this.addFile(name, data);
    return this.#items.get(key);
  }

  #setItem(key: number, name: string, initialData: Uint8Array, onWrite?: FwCfgWriteListener): void {
    this.#items.set(key, { name, initialData, onWrite });
  }

  /** fw_cfg "File Directory": `FWCfgFiles`, big-endian. */
  #directory(): Uint8Array {
    const view = new DataView(new ArrayBuffer(4 + FILE_ENTRY_BYTES * this.#files.length));
    view.setUint32(0, this.#files.length);
    this.#files.forEach(({ name, key, sizeBytes }, index) => {
      const at = 4 + FILE_ENTRY_BYTES * index;
      view.setUint32(at, sizeBytes);
      view.setUint16(at + 4, key);
      asciiBytes(name).forEach((byte, position) => view.setUint8(at + 8 + position, byte));
    });
    return new Uint8Array(view.buffer);
  }

  #guestError(verb: 'read' | 'write', offset: number, size: AccessSize): void {
    if (!this.#ports.trace.on('guest-errors')) return;
    this.#ports.trace.event('guest-errors', `fw-cfg: ${size}-byte ${verb} at offset ${hex(offset)} ignored`);
  }
}

const NO_DATA = new Uint8Array(0);

function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function littleEndian(sizeBytes: number, value: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, index) => value >>> (8 * index));
}

function swap32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
