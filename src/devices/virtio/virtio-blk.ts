/**
 * Block device (VIRTIO 1.2 5.2): read, write, flush, discard, write zeroes, device id; one queue.
 *
 * Requests are worked on in pieces, so that a guest that asks for a gigabyte costs no gigabyte, and a notification no
 * more than its share of time. Any number are under way at once and are given back as they are done.
 *
 * A cache is in front of the storage as far as the guest is concerned: what it wrote is safe after a flush. Guests that
 * don't know flushes (no VIRTIO_BLK_F_FLUSH), or switch the cache off, get one with every write (5.2.5, 5.2.6.2).
 *
 * @deviation Secure erase, lifetime, zoned devices and geometry are not offered.
 */
import type { AccessSize, BlockStorage } from '../../bus/index.js';
import type { Chain } from './chain.js';
import type { VirtioOptions, VirtioPorts } from './virtio-device.js';
import { VirtioDevice } from './virtio-device.js';
import type { Virtqueue } from './virtqueue.js';

const DEVICE_ID = 2;
const QUEUE_SIZE = 256;
const SECTOR_BYTES = 512;

/** 5.2.3 */
const F = {
  SIZE_MAX: 1n << 1n,
  SEG_MAX: 1n << 2n,
  RO: 1n << 5n,
  BLK_SIZE: 1n << 6n,
  FLUSH: 1n << 9n,
  TOPOLOGY: 1n << 10n,
  CONFIG_WCE: 1n << 11n,
  DISCARD: 1n << 13n,
  WRITE_ZEROES: 1n << 14n,
} as const;

/** Offsets of 5.2.4. */
const CONFIG = {
  capacity: 0,
  size_max: 8,
  seg_max: 12,
  blk_size: 20,
  physical_block_exp: 24,
  min_io_size: 26,
  writeback: 32,
  num_queues: 34,
  max_discard_sectors: 36,
  max_discard_seg: 40,
  discard_sector_alignment: 44,
  max_write_zeroes_sectors: 48,
  max_write_zeroes_seg: 52,
  write_zeroes_may_unmap: 56,
} as const;
const CONFIG_BYTES = 60;

/** 5.2.6 */
const TYPE = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8, DISCARD: 11, WRITE_ZEROES: 13 } as const;
const STATUS = { OK: 0, IOERR: 1, UNSUPP: 2 } as const;
type Status = (typeof STATUS)[keyof typeof STATUS];
/** Type, reserved, sector. */
const HEADER_BYTES = 16;
const ID_BYTES = 20;
/** Sector, number of sectors, flags: what discard and write zeroes are about. */
const RANGE_BYTES = 16;
const RANGE_FLAG_UNMAP = 1;

/** A piece of a transfer, and the largest segment that drivers are told to make. */
const PIECE_BYTES = 1024 * 1024;
/** Bytes transferred and requests begun before the guest gets its turn again. */
const TURN_BYTES = 2 * PIECE_BYTES;
const TURN_REQUESTS = 64;
/** Sectors (256 MiB and 4 MiB) and ranges of one request. Hosts may have to write zeros one by one. */
const MAX_DISCARD_SECTORS = 512 * 1024;
const MAX_ZEROES_SECTORS = 8 * 1024;
const MAX_RANGES = 16;

export interface VirtioBlkPorts extends VirtioPorts {
  readonly storage: BlockStorage;
}

export interface VirtioBlkOptions extends VirtioOptions {
  /** What the guest reads as the device's id: up to 20 bytes of ASCII. */
  readonly serial?: string;
}

interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** A request that is being worked on. */
interface Request {
  readonly queue: Virtqueue;
  readonly chain: Chain;
  readonly kind: 'read' | 'write' | 'discard' | 'writeZeros' | 'flush';
  /** One for transfers, one for each range of discard and write zeroes, none for flush. */
  readonly ranges: readonly ByteRange[];
  /** Bytes transferred, or ranges done. */
  progress: number;
  /** The storage is to be flushed before the request is done. */
  needsFlush: boolean;
  /** The storage has been asked and has not answered. */
  isWaiting: boolean;
  /** `#advance` is at it. */
  isAdvancing: boolean;
}

export class VirtioBlk extends VirtioDevice<null> {
  readonly #storage: BlockStorage;
  readonly #id: Uint8Array;
  /** Every request that is neither done nor void. */
  readonly #requests = new Set<Request>();
  /** Those that wait for the next turn. */
  #stalled: Request[] = [];
  /** Chains of requests that were under way when the state was saved, to begin anew. */
  #restored: Chain[] = [];
  #turnBytes = 0;

  constructor(name: string, { storage, ...ports }: VirtioBlkPorts, options: VirtioBlkOptions = {}) {
    const changes = F.FLUSH | F.CONFIG_WCE | F.DISCARD | F.WRITE_ZEROES;
    super(
      {
        name,
        deviceId: DEVICE_ID,
        features:
          F.SIZE_MAX | F.SEG_MAX | F.BLK_SIZE | F.TOPOLOGY | (storage.isReadOnly ? F.RO | F.FLUSH : changes),
        queueSizes: [QUEUE_SIZE],
        configBytes: CONFIG_BYTES,
      },
      ports,
      options,
    );
    this.#storage = storage;
    const serial = Array.from(options.serial ?? '', (character) => character.charCodeAt(0));
    this.#id = Uint8Array.from({ length: ID_BYTES }, (_, index) => serial[index] ?? 0);
    const { config } = this;
    config.setBigUint64(CONFIG.capacity, BigInt(storage.sizeBytes / SECTOR_BYTES), true);
    config.setUint32(CONFIG.size_max, PIECE_BYTES, true);
    // A header and a status have descriptors of their own.
    config.setUint32(CONFIG.seg_max, QUEUE_SIZE - 2, true);
    config.setUint32(CONFIG.blk_size, SECTOR_BYTES, true);
    // Hosts work in pages of 4 KiB.
    config.setUint8(CONFIG.physical_block_exp, 3);
    config.setUint16(CONFIG.min_io_size, 8, true);
    config.setUint8(CONFIG.writeback, 1);
    config.setUint16(CONFIG.num_queues, 1, true);
    if (!storage.isReadOnly) {
      config.setUint32(CONFIG.max_discard_sectors, MAX_DISCARD_SECTORS, true);
      config.setUint32(CONFIG.max_discard_seg, MAX_RANGES, true);
      config.setUint32(CONFIG.discard_sector_alignment, 8, true);
      config.setUint32(CONFIG.max_write_zeroes_sectors, MAX_ZEROES_SECTORS, true);
      config.setUint32(CONFIG.max_write_zeroes_seg, MAX_RANGES, true);
      config.setUint8(CONFIG.write_zeroes_may_unmap, 1);
    }
  }

  protected serve(queue: Virtqueue): 'done' | 'more' {
    this.#turnBytes = 0;
    const stalled = this.#stalled;
    this.#stalled = [];
    for (const request of stalled) this.#advance(request);
    for (const chain of this.#restored.splice(0)) this.#begin(queue, chain);
    for (let count = 0; count < TURN_REQUESTS && this.#turnBytes < TURN_BYTES; count++) {
      const chain = queue.next();
      if (!chain) return this.#stalled.length === 0 ? 'done' : 'more';
      this.#begin(queue, chain);
    }
    return 'more';
  }

  /** Only the cache can be switched. */
  protected override configWritten(offset: number, _size: AccessSize, value: number): boolean {
    if (offset !== CONFIG.writeback || !this.hasFeature(F.CONFIG_WCE)) return false;
    this.config.setUint8(CONFIG.writeback, value & 1);
    return true;
  }

  protected stopped(): void {
    this.queueStopped();
    this.config.setUint8(CONFIG.writeback, 1);
  }

  protected override queueStopped(): void {
    this.#requests.clear();
    this.#stalled = [];
    this.#restored = [];
  }

  protected saveOwn(): null {
    return null;
  }

  /** Doing a request twice changes nothing. */
  protected restoreOwn(_own: null, chains: readonly (readonly Chain[])[]): void {
    this.#restored = [...(chains[0] ?? [])];
    for (const queue of this.queues) if (this.#restored.length > 0) this.serveLater(queue);
  }

  #begin(queue: Virtqueue, chain: Chain): void {
    const header = new DataView(new ArrayBuffer(HEADER_BYTES));
    if (chain.readableBytes < HEADER_BYTES || chain.writableBytes < 1) {
      this.fail('request without header or status');
      return;
    }
    if (!chain.read(0, new Uint8Array(header.buffer))) return;
    const type = header.getUint32(0, true);
    const sector = header.getUint32(8, true) + header.getUint32(12, true) * 2 ** 32;
    const { isReadOnly } = this.#storage;
    const start = (
      kind: Request['kind'],
      ranges: readonly ByteRange[] | Status,
      needsFlush: boolean = false,
    ): void => {
      if (typeof ranges === 'number') {
        this.#finish(chain, ranges, 0);
        return;
      }
      const request: Request = {
        queue,
        chain,
        kind,
        ranges,
        progress: 0,
        needsFlush,
        isWaiting: false,
        isAdvancing: false,
      };
      this.#requests.add(request);
      this.#advance(request);
    };
    switch (type) {
      case TYPE.IN:
        return start('read', this.#transfer(sector, chain.writableBytes - 1));
      case TYPE.OUT: {
        // 5.2.6.2: nothing is written to a read-only device.
        if (isReadOnly) return start('write', STATUS.IOERR);
        return start(
          'write',
          this.#transfer(sector, chain.readableBytes - HEADER_BYTES),
          this.#isWriteThrough,
        );
      }
      case TYPE.FLUSH:
        return start('flush', [], true);
      case TYPE.GET_ID: {
        const id = this.#id.subarray(0, chain.writableBytes - 1);
        if (chain.write(0, id)) this.#finish(chain, STATUS.OK, id.length);
        return;
      }
      case TYPE.DISCARD:
      case TYPE.WRITE_ZEROES: {
        const kind = type === TYPE.DISCARD ? 'discard' : 'writeZeros';
        if (!this.hasFeature(type === TYPE.DISCARD ? F.DISCARD : F.WRITE_ZEROES)) {
          return start(kind, STATUS.UNSUPP);
        }
        const ranges = this.#ranges(kind, chain);
        if (ranges !== undefined) start(kind, ranges, this.#isWriteThrough);
        return;
      }
      default:
        return start('read', STATUS.UNSUPP);
    }
  }

  /** 5.2.5: without a flush that the driver knows of, or with the cache switched off. */
  get #isWriteThrough(): boolean {
    if (this.hasFeature(F.CONFIG_WCE)) return this.config.getUint8(CONFIG.writeback) === 0;
    return !this.hasFeature(F.FLUSH);
  }

  /** The bytes of a read or a write, which are whole sectors within the device. */
  #transfer(sector: number, length: number): readonly ByteRange[] | Status {
    const offset = sector * SECTOR_BYTES;
    const isInside = offset + length <= this.#storage.sizeBytes;
    return length % SECTOR_BYTES === 0 && isInside ? [{ offset, length }] : STATUS.IOERR;
  }

  /** What a discard or write zeroes names, which must be acceptable as a whole. Undefined where it cannot be read. */
  #ranges(kind: 'discard' | 'writeZeros', chain: Chain): readonly ByteRange[] | Status | undefined {
    const bytes = chain.readableBytes - HEADER_BYTES;
    const count = bytes / RANGE_BYTES;
    if (!Number.isInteger(count) || count < 1 || count > MAX_RANGES) return STATUS.IOERR;
    const table = new DataView(new ArrayBuffer(bytes));
    if (!chain.read(HEADER_BYTES, new Uint8Array(table.buffer))) return undefined;
    const maxSectors = kind === 'discard' ? MAX_DISCARD_SECTORS : MAX_ZEROES_SECTORS;
    const ranges: ByteRange[] = [];
    for (let at = 0; at < bytes; at += RANGE_BYTES) {
      const sector = table.getUint32(at, true) + table.getUint32(at + 4, true) * 2 ** 32;
      const sectors = table.getUint32(at + 8, true);
      const flags = table.getUint32(at + 12, true);
      // 5.2.6.2: unmap is for write zeroes, other flags are for nobody.
      if ((flags & ~(kind === 'discard' ? 0 : RANGE_FLAG_UNMAP)) !== 0) return STATUS.UNSUPP;
      if (sectors > maxSectors) return STATUS.IOERR;
      const range = this.#transfer(sector, sectors * SECTOR_BYTES);
      if (typeof range === 'number') return range;
      ranges.push(...range);
    }
    return ranges;
  }

  /** Goes on with a request until it is done, waits for the storage, or has used up the turn. */
  #advance(request: Request): void {
    // A storage that answers at once is back in `#answer` before the call returns: a loop, not a recursion.
    request.isAdvancing = true;
    do {
      if (this.#turnBytes >= TURN_BYTES) {
        this.#stalled.push(request);
        break;
      }
      request.isWaiting = true;
      this.#step(request);
    } while (!request.isWaiting && this.#requests.has(request));
    request.isAdvancing = false;
  }

  /** Asks the storage for what comes next in a request, or ends it. */
  #step(request: Request): void {
    const { chain, kind, ranges, progress } = request;
    const storage = this.#storage;
    const [range] = ranges;
    if ((kind === 'read' || kind === 'write') && range && progress < range.length) {
      const length = Math.min(PIECE_BYTES, range.length - progress);
      this.#turnBytes += length;
      request.progress += length;
      if (kind === 'read') {
        let isThere = true;
        const lend = (): readonly Uint8Array[] | undefined => {
          const parts = chain.lend(progress, length);
          isThere = parts !== undefined;
          return parts;
        };
        storage.read(range.offset + progress, { length, lend }, (isOk) => {
          this.#answer(request, isOk, isThere);
        });
        return;
      }
      const bytes = new Uint8Array(length);
      if (chain.read(HEADER_BYTES + progress, bytes)) {
        storage.write(range.offset + progress, bytes, (isOk) => {
          this.#answer(request, isOk);
        });
      } else {
        this.#requests.delete(request);
      }
    } else if ((kind === 'discard' || kind === 'writeZeros') && progress < ranges.length) {
      const { offset, length } = ranges[progress]!;
      this.#turnBytes += Math.min(length, PIECE_BYTES);
      request.progress++;
      storage[kind](offset, length, (isOk) => {
        this.#answer(request, isOk);
      });
    } else if (request.needsFlush) {
      request.needsFlush = false;
      storage.flush((isOk) => {
        this.#answer(request, isOk);
      });
    } else {
      this.#end(request, STATUS.OK);
    }
  }

  /** The storage has done what it was asked for, or has found that the guest's memory isn't there. */
  #answer(request: Request, isOk: boolean, isThere = true): void {
    // Void since a reset.
    if (!this.#requests.has(request)) return;
    request.isWaiting = false;
    if (!isThere) this.#requests.delete(request);
    else if (!isOk) this.#end(request, STATUS.IOERR);
    if (request.isAdvancing) return;
    this.#turnBytes = 0;
    if (this.#requests.has(request)) this.#advance(request);
    if (this.#stalled.length > 0) this.serveLater(request.queue);
    request.queue.flush();
  }

  #end(request: Request, status: Status): void {
    this.#requests.delete(request);
    const { chain, kind, ranges } = request;
    this.#finish(chain, status, kind === 'read' && status === STATUS.OK ? (ranges[0]?.length ?? 0) : 0);
  }

  /** The status is the last byte that the device may write (5.2.6). */
  #finish(chain: Chain, status: Status, writtenBytes: number): void {
    const at = chain.writableBytes - 1;
    if (!chain.write(at, Uint8Array.of(status))) return;
    // 2.7.8.2: what is counted has been written from the start on without a gap.
    chain.complete(writtenBytes === at ? at + 1 : writtenBytes);
  }
}
