/** The physical addresses of a machine that devices answer. RAM isn't here: the CPU reaches it directly. */
import { hex, invariant } from '../base/index.js';
import type { Trace } from '../base/index.js';
import type { AccessSize, MmioDevice } from './device.js';

interface Entry {
  readonly base: number;
  readonly end: number;
  readonly device: MmioDevice;
  reads: number;
  writes: number;
}

export interface DeviceAccesses {
  readonly device: string;
  readonly base: number;
  readonly reads: number;
  readonly writes: number;
}

export class AddressSpace {
  readonly #entries: Entry[] = [];
  readonly #trace: Trace;
  /** The entry of the last access: devices are accessed in bursts. */
  #last: Entry | undefined;

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  /** Puts a device at `base`. Overlaps are a mistake of the board. */
  add(base: number, device: MmioDevice): void {
    const end = base + device.sizeBytes;
    for (const entry of this.#entries)
      invariant(
        end <= entry.base || base >= entry.end,
        `${device.name} at ${hex(base)} overlaps ${entry.device.name}`,
      );
    this.#entries.push({ base, end, device, reads: 0, writes: 0 });
    this.#entries.sort((a, b) => a.base - b.base);
  }

  accesses(): DeviceAccesses[] {
    return this.#entries.map(({ device, base, reads, writes }) => ({
      device: device.name,
      base,
      reads,
      writes,
    }));
  }

  /**
   * Reads `size` bytes at the aligned address into `data`, little-endian. False, with `data` unchanged, where no device
   * answers: an external abort.
   */
  read(address: number, size: AccessSize, data: DataView): boolean {
    const entry = this.#find(address, size);
    if (!entry) return false;
    entry.reads++;
    const { device } = entry;
    const offset = address - entry.base;
    if (size === 8 && device.maxAccess === 8 && device.read64) {
      data.setBigUint64(0, device.read64(offset), true);
    } else {
      const step = Math.min(size, device.maxAccess, 4) as 1 | 2 | 4;
      if (size < 8) data.setBigUint64(0, 0n, true);
      for (let i = 0; i < size; i += step) {
        const value = device.read(offset + i, step);
        if (step === 4) data.setUint32(i, value, true);
        else if (step === 2) data.setUint16(i, value, true);
        else data.setUint8(i, value);
      }
    }
    if (this.#trace.on('mmio'))
      this.#trace.event(
        'mmio',
        `read ${device.name}+${hex(offset)} size ${size} = ${hex(valueOf(data, size))}`,
      );
    return true;
  }

  /** Writes the first `size` bytes of `data` to the aligned address. False where no device answers. */
  write(address: number, size: AccessSize, data: DataView): boolean {
    const entry = this.#find(address, size);
    if (!entry) return false;
    entry.writes++;
    const { device } = entry;
    const offset = address - entry.base;
    if (this.#trace.on('mmio'))
      this.#trace.event(
        'mmio',
        `write ${device.name}+${hex(offset)} size ${size} = ${hex(valueOf(data, size))}`,
      );
    if (size === 8 && device.maxAccess === 8 && device.write64) {
      device.write64(offset, data.getBigUint64(0, true));
      return true;
    }
    const step = Math.min(size, device.maxAccess, 4) as 1 | 2 | 4;
    // A device may use the same buffer for a DMA of its own: take the data first.
    const low = data.getUint32(0, true);
    const high = data.getUint32(4, true);
    for (let i = 0; i < size; i += step) {
      const word = i < 4 ? low : high;
      device.write(
        offset + i,
        step,
        step === 4 ? word : (word >>> ((i % 4) * 8)) & (step === 2 ? 0xffff : 0xff),
      );
    }
    return true;
  }

  #find(address: number, size: number): Entry | undefined {
    const last = this.#last;
    if (last && address >= last.base && address + size <= last.end) return last;
    let low = 0;
    let high = this.#entries.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const entry = this.#entries[middle];
      if (!entry) return undefined;
      if (address < entry.base) high = middle - 1;
      else if (address >= entry.end) low = middle + 1;
      else {
        if (address + size > entry.end) return undefined;
        this.#last = entry;
        return entry;
      }
    }
    return undefined;
  }
}

function valueOf(data: DataView, size: AccessSize): number | bigint {
  switch (size) {
    case 1:
      return data.getUint8(0);
    case 2:
      return data.getUint16(0, true);
    case 4:
      return data.getUint32(0, true);
    case 8:
      return data.getBigUint64(0, true);
  }
}
