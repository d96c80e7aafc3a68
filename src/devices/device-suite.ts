/**
 * The test cases that every device has to pass. A device's test states what its manual says about each register,
 * independently of the device's own register table, and calls `deviceSuite`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hex } from '../base/index.js';
import type { AccessSize, ManualClock, MmioDevice, Snapshottable } from '../bus/index.js';

/** What the manual says about one register. */
export interface RegisterExpectation {
  readonly name: string;
  readonly at: number;
  /** Size of the access that reads it whole. */
  readonly size: AccessSize;
  /** What it reads as after power-on and after reset; for a write-only register usually 0. */
  readonly reset: number | bigint;
  /**
   * Bits that read back as written; the others keep what they read before. 0 for a read-only register. Left out
   * where writing does something else, which then needs a test of its own.
   */
  readonly writable?: number | bigint;
}

/** A device with its surroundings. */
export interface DeviceRig<State> {
  readonly device: MmioDevice & Snapshottable<State>;
  /** The clock that the device was given, if it takes one. */
  readonly clock?: ManualClock;
  /** What the outside can see: the level of each line, and what came out (bytes, messages) since the last call. */
  observe(): unknown;
}

export interface DeviceSubject<State, Rig extends DeviceRig<State> = DeviceRig<State>> {
  /** Part and document: `PL011 (DDI0183G)`. */
  readonly title: string;
  /** A new device at power-on, of a small geometry where there is a choice. */
  readonly make: () => Rig;
  readonly registers: readonly RegisterExpectation[];
  /** Brings the device into the middle of what it does: queues part full, timers running, lines up. */
  readonly activity: (rig: Rig) => void;
  /** Something that happens to the device from outside, chosen by `seed` (0 … 2^32-1): input, a pin, a packet. */
  readonly stimulate?: (rig: Rig, seed: number) => void;
}

export interface DeviceCase {
  readonly title: string;
  readonly run: () => void;
}

/** Registers the shared cases with `node:test`. */
export function deviceSuite<State, Rig extends DeviceRig<State>>(subject: DeviceSubject<State, Rig>): void {
  describe(`${subject.title}, as any device`, () => {
    for (const { title, run } of deviceCases(subject)) test(title, run);
  });
}

/** The shared cases, each of which throws where the device does not meet it. */
export function deviceCases<State, Rig extends DeviceRig<State>>(
  subject: DeviceSubject<State, Rig>,
): DeviceCase[] {
  const { make, registers, activity } = subject;

  const assertReset = (rig: Rig, when: string) => {
    const found = registers.map(({ name, at, size }) => `${name} ${hex(read(rig.device, at, size))}`);
    assert.deepEqual(
      found,
      registers.map(({ name, reset }) => `${name} ${hex(reset)}`),
      `reset values ${when}`,
    );
  };

  return [
    {
      title: 'every register has its reset value at power-on',
      run: () => {
        assert.ok(registers.length > 0, 'the test states no register');
        assertReset(make(), 'at power-on');
      },
    },
    {
      title: 'reset gives every register its reset value again, whatever went before',
      run: () => {
        const rig = make();
        activity(rig);
        rig.device.reset();
        assertReset(rig, 'after reset in mid-activity');
        property(fc.array(step(subject, make()), { maxLength: 40 }), (steps) => {
          const other = make();
          for (const one of steps) if (one.kind !== 'stimulate') perform(subject, other, one);
          other.device.reset();
          assertReset(other, 'after random accesses and reset');
        });
      },
    },
    {
      title: 'writable bits read back; reserved and read-only bits do not change',
      run: () => {
        for (const { name, at, size, reset, writable } of registers) {
          if (writable === undefined) continue;
          const { device } = make();
          const [kept, free] = [BigInt(reset) & ~BigInt(writable), BigInt(writable)];
          for (const value of [allOnes(size), 0n, 0x5555_5555_5555_5555n & allOnes(size)]) {
            write(device, at, size, value);
            const expected = kept | (value & free);
            assert.equal(
              hex(read(device, at, size)),
              hex(expected),
              `${name} after a write of ${hex(value)}`,
            );
          }
        }
      },
    },
    {
      title: 'writes to read-only registers change nothing anywhere',
      run: () => {
        for (const { name, at, size, writable } of registers) {
          if (writable === undefined || BigInt(writable) !== 0n) continue;
          const rig = make();
          activity(rig);
          const before = rig.device.saveState();
          rig.observe();
          write(rig.device, at, size, allOnes(size));
          assert.deepEqual(rig.device.saveState(), before, `state after a write to ${name}`);
        }
      },
    },
    {
      title: 'a snapshot taken in mid-activity, restored into another device, behaves the same',
      run: () => {
        const steps = fc.array(step(subject, make()), { maxLength: 30 });
        property(fc.tuple(steps, steps, steps), ([before, elsewhere, after]) => {
          const original = make();
          activity(original);
          for (const one of before) perform(subject, original, one);
          const snapshot = original.device.saveState();
          assert.deepEqual(structuredClone(snapshot), snapshot, 'the state is one plain object');

          const copy = make();
          for (const one of elsewhere) if (one.kind !== 'wait') perform(subject, copy, one);
          copy.clock?.advance((original.clock?.nowNs() ?? 0) - copy.clock.nowNs());
          copy.device.restoreState(snapshot);
          original.observe();
          copy.observe();
          assert.deepEqual(copy.observe(), original.observe(), 'lines right after restoring');
          for (const one of after) {
            assert.equal(perform(subject, copy, one), perform(subject, original, one), describeStep(one));
            assert.deepEqual(copy.observe(), original.observe(), `seen outside after ${describeStep(one)}`);
          }
          for (const { clock } of [copy, original]) clock?.advance(LONG_NS);
          assert.deepEqual(copy.observe(), original.observe(), 'seen outside after a long wait');
          assert.deepEqual(copy.device.saveState(), original.device.saveState(), 'state after a long wait');
        });
      },
    },
    {
      title: 'a snapshot is a deep copy: the device that it came from, or went to, does not change it',
      run: () => {
        property(fc.array(step(subject, make()), { maxLength: 30 }), (steps) => {
          const original = make();
          activity(original);
          const snapshot = original.device.saveState();
          const before = structuredClone(snapshot);
          for (const one of steps) perform(subject, original, one);
          assert.deepEqual(snapshot, before, 'changed by the device it came from');
          original.device.restoreState(snapshot);
          for (const one of steps) perform(subject, original, one);
          assert.deepEqual(snapshot, before, 'changed by the device it went to');
        });
      },
    },
    {
      title: 'accesses of every size at every offset never throw and read unsigned values in range',
      run: () => {
        property(fc.array(step(subject, make()), { minLength: 20, maxLength: 100 }), (steps) => {
          const rig = make();
          activity(rig);
          for (const one of steps) perform(subject, rig, one);
        });
      },
    },
  ];
}

type Step =
  | { readonly kind: 'read'; readonly at: number; readonly size: AccessSize }
  | { readonly kind: 'write'; readonly at: number; readonly size: AccessSize; readonly value: bigint }
  | { readonly kind: 'wait'; readonly ns: number }
  | { readonly kind: 'stimulate'; readonly seed: number };

/** Enough for whatever a device has started to come to its end. */
const LONG_NS = 60e9;

function property<T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => void): void {
  fc.assert(fc.property(arbitrary, holds), { seed: 0x5eed, numRuns: 60 });
}

/** One thing that may happen to the device; half of the accesses go to registers that the test states. */
function step<State, Rig extends DeviceRig<State>>(
  { registers, stimulate }: DeviceSubject<State, Rig>,
  { device, clock }: Rig,
): fc.Arbitrary<Step> {
  const sizes = ([1, 2, 4, 8] as const).filter((size) => size <= device.maxAccess);
  const offset = fc.oneof(
    fc.constantFrom(...registers.map(({ at }) => at)),
    fc.integer({ min: 0, max: device.sizeBytes - 1 }),
  );
  const place = fc
    .record({ offset, lane: fc.nat(7), size: fc.constantFrom(...sizes) })
    .map(({ offset, lane, size }) => {
      const at = Math.min(offset + (lane % 4), device.sizeBytes - size);
      return { at: at - (at % size), size };
    });
  const value = fc.oneof(
    fc.bigInt({ min: 0n, max: allOnes(8) }),
    fc.constantFrom(0n, allOnes(8)),
    fc.nat(63).map((bit) => 1n << BigInt(bit)),
  );
  const steps: fc.Arbitrary<Step>[] = [
    place.map(({ at, size }) => ({ kind: 'read', at, size })),
    fc
      .tuple(place, value)
      .map(([{ at, size }, bits]) => ({ kind: 'write', at, size, value: bits & allOnes(size) })),
  ];
  if (clock) steps.push(fc.integer({ min: 1, max: 3_000_000_000 }).map((ns) => ({ kind: 'wait', ns })));
  if (stimulate) steps.push(fc.nat(2 ** 32 - 1).map((seed) => ({ kind: 'stimulate', seed })));
  return fc.oneof(...steps);
}

/** Returns what was read. */
function perform<State, Rig extends DeviceRig<State>>(
  subject: DeviceSubject<State, Rig>,
  rig: Rig,
  step: Step,
): bigint | undefined {
  switch (step.kind) {
    case 'read':
      return read(rig.device, step.at, step.size);
    case 'write':
      write(rig.device, step.at, step.size, step.value);
      return undefined;
    case 'wait':
      rig.clock?.advance(step.ns);
      return undefined;
    case 'stimulate':
      subject.stimulate?.(rig, step.seed);
      return undefined;
  }
}

function describeStep(step: Step): string {
  switch (step.kind) {
    case 'read':
      return `reading ${step.size} at ${hex(step.at)}`;
    case 'write':
      return `writing ${hex(step.value)}, ${step.size} bytes, at ${hex(step.at)}`;
    case 'wait':
      return `waiting ${step.ns} ns`;
    case 'stimulate':
      return `stimulus ${step.seed}`;
  }
}

function allOnes(size: AccessSize): bigint {
  return (1n << BigInt(size * 8)) - 1n;
}

/** Reads as the bus would, and checks that the value is unsigned, whole and in range. */
function read(device: MmioDevice, at: number, size: AccessSize): bigint {
  const value = size === 8 ? device.read64?.(at) : device.read(at, size);
  assert.ok(value !== undefined, 'a device with maxAccess 8 has read64');
  const isWhole = typeof value === 'bigint' || Number.isSafeInteger(value);
  assert.ok(isWhole && !Object.is(value, -0), `${value} read at ${hex(at)} is no whole number`);
  const bits = BigInt(value);
  assert.ok(bits >= 0n && bits <= allOnes(size), `${value} read at ${hex(at)} does not fit ${size} bytes`);
  return bits;
}

function write(device: MmioDevice, at: number, size: AccessSize, value: bigint): void {
  if (size === 8) {
    assert.ok('write64' in device, 'a device with maxAccess 8 has write64');
    device.write64?.(at, value);
  } else {
    device.write(at, size, Number(value));
  }
}
