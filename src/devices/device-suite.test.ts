import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../bus/index.js';
import type { AccessSize, MmioDevice, Snapshottable } from '../bus/index.js';
import { deviceCases, deviceSuite } from './device-suite.js';
import type { DeviceRig, DeviceSubject } from './device-suite.js';

interface ToyState {
  config: number;
  queue: number[];
  deadlineNs: number | null;
}

/** Offset 0: 8-bit configuration; 4: identification 0x42; 8: queue of four; 12: writing arms a timer of 1 µs. */
class Toy implements MmioDevice, Snapshottable<ToyState> {
  readonly name = 'toy';
  readonly sizeBytes = 16;
  readonly maxAccess = 8;
  level = false;
  protected state: ToyState = { config: 0x80, queue: [], deadlineNs: null };
  protected readonly clock: ManualClock;
  readonly #timer;

  constructor({ clock }: { clock: ManualClock }) {
    this.clock = clock;
    this.#timer = this.clock.timer('toy', () => {
      this.state.deadlineNs = null;
      this.level = true;
    });
  }

  read(offset: number, size: AccessSize): number {
    const register = offset & ~3;
    let value = 0;
    if (register === 0) value = this.state.config;
    else if (register === 4) value = 0x42;
    else if (register === 8) value = this.state.queue.shift() ?? 0;
    return ((value >>> ((offset & 3) * 8)) & (2 ** (size * 8) - 1)) >>> 0;
  }
  write(offset: number, _size: AccessSize, value: number): void {
    if (offset === 0) this.state.config = (value & 0x0f) | 0x80;
    else if (offset === 8 && this.state.queue.length < 4) this.state.queue.push(value);
    else if (offset === 12) this.#arm(this.clock.nowNs() + 1000);
  }
  read64(offset: number): bigint {
    return BigInt(this.read(offset, 4)) | (BigInt(this.read(offset + 4, 4)) << 32n);
  }
  write64(offset: number, value: bigint): void {
    this.write(offset, 4, Number(value & 0xffff_ffffn));
    this.write(offset + 4, 4, Number(value >> 32n));
  }
  reset(): void {
    this.restoreState({ config: 0x80, queue: [], deadlineNs: null });
  }
  saveState(): ToyState {
    return structuredClone(this.state);
  }
  restoreState(state: ToyState): void {
    this.state = structuredClone(state);
    this.level = false;
    this.#arm(state.deadlineNs);
  }
  #arm(deadlineNs: number | null): void {
    this.state.deadlineNs = deadlineNs;
    if (deadlineNs === null) this.#timer.cancel();
    else this.#timer.arm(deadlineNs);
  }
}

type ToyRig = DeviceRig<ToyState> & { readonly device: Toy };

function subject(Device: typeof Toy): DeviceSubject<ToyState, ToyRig> {
  return {
    title: 'a toy',
    make: () => {
      const clock = new ManualClock();
      const device = new Device({ clock });
      return {
        device,
        clock,
        observe: () => {
          const level = device.level;
          device.level = false;
          return level;
        },
      };
    },
    registers: [
      { name: 'CONFIG', at: 0, size: 4, reset: 0x80, writable: 0x0f },
      { name: 'ID', at: 4, size: 4, reset: 0x42, writable: 0 },
      { name: 'BOTH', at: 0, size: 8, reset: 0x42_0000_0080n, writable: 0x0fn },
      { name: 'QUEUE', at: 8, size: 4, reset: 0 },
    ],
    activity: ({ device }) => {
      device.write(8, 4, 11);
      device.write(8, 4, 12);
      device.write(12, 4, 0);
    },
  };
}

deviceSuite(subject(Toy));

describe('the suite fails a device that', () => {
  const broken: readonly (readonly [string, typeof Toy])[] = [
    [
      'every register has its reset value at power-on',
      class extends Toy {
        protected override state = { config: 0x81, queue: [], deadlineNs: null };
      },
    ],
    [
      'reset gives every register its reset value again, whatever went before',
      class extends Toy {
        override reset() {
          this.state.config = 0x80;
        }
      },
    ],
    [
      'writable bits read back; reserved and read-only bits do not change',
      class extends Toy {
        override write(offset: number, size: AccessSize, value: number) {
          if (offset === 0) this.state.config = value & 0xff;
          else super.write(offset, size, value);
        }
      },
    ],
    [
      'writes to read-only registers change nothing anywhere',
      class extends Toy {
        override write(offset: number, size: AccessSize, value: number) {
          if (offset === 4) this.state.queue.length = 0;
          else super.write(offset, size, value);
        }
      },
    ],
    [
      'a snapshot taken in mid-activity, restored into another device, behaves the same',
      class extends Toy {
        override restoreState(state: ToyState) {
          super.restoreState({ ...state, deadlineNs: null });
        }
      },
    ],
    [
      'a snapshot is a deep copy: the device that it came from, or went to, does not change it',
      class extends Toy {
        override saveState() {
          return this.state;
        }
      },
    ],
    [
      'accesses of every size at every offset never throw and read unsigned values in range',
      class extends Toy {
        override read(offset: number, size: AccessSize) {
          return offset === 9 ? -1 : super.read(offset, size);
        }
      },
    ],
  ];
  for (const [title, Device] of broken) {
    test(`does not meet: ${title}`, () => {
      const found = deviceCases(subject(Device)).find((one) => one.title === title);
      assert.ok(found);
      assert.throws(() => found.run());
    });
  }

  test('and every case has such a device here', () => {
    const titles = deviceCases(subject(Toy)).map(({ title }) => title);
    assert.deepEqual(
      titles,
      broken.map(([title]) => title),
    );
  });
});
