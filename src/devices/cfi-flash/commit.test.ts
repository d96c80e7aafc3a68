import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ManualClock, type FlashRange, type FlashStorage } from '../../bus/index.js';
import { CfiFlash, type CfiFlashGeometry } from './cfi-flash.js';
import { FlashCommit, QUIET_NS, type FlashCommitPolicy } from './commit.js';

const GEOMETRY: CfiFlashGeometry = {
  chips: 2,
  sizeBytes: 65536,
  blockBytes: 16384,
  bufferBytes: 128,
  manufacturerId: 0,
  deviceId: 0xffff,
};

/** Keeps what it is given, and notes in which calls. */
class FakeStorage implements FlashStorage {
  readonly image = new Uint8Array(GEOMETRY.sizeBytes).fill(0xff);
  readonly calls: string[] = [];
  failure: Error | undefined;

  #put({ offset, bytes }: FlashRange): string {
    this.image.set(bytes, offset);
    return `${offset}+${bytes.length}`;
  }

  commit(ranges: readonly FlashRange[]): void {
    if (this.failure) throw this.failure;
    this.calls.push(`commit ${ranges.map((range) => this.#put(range)).join(' ')}`);
  }

  write(range: FlashRange): void {
    if (this.failure) throw this.failure;
    this.calls.push(`write ${this.#put(range)}`);
  }

  sync(): void {
    if (this.failure) throw this.failure;
    this.calls.push('sync');
  }
}

function make(policy: FlashCommitPolicy) {
  const clock = new ManualClock();
  const storage = new FakeStorage();
  const errors: unknown[] = [];
  const array = new Uint8Array(GEOMETRY.sizeBytes).fill(0xff);
  const map = {
    array,
    sizeBytes: array.length,
    bytes: (offset: number, length: number) => array.subarray(offset, offset + length),
    load: (offset: number, bytes: Uint8Array) => array.set(bytes, offset),
    setMapped: () => undefined,
    changed: () => undefined,
  };
  const commit = new FlashCommit({
    policy,
    name: 'flash0',
    map,
    storage,
    clock,
    onStorageError: (error) => errors.push(error),
  });
  const flash = new CfiFlash({ name: 'flash0', geometry: GEOMETRY, map, changes: commit });
  const send = (...writes: [number, number][]): void => {
    for (const [offset, value] of writes) flash.write(offset, 4, value * 0x1_0001);
  };
  const program = (offset: number, value: number): void => send([offset, 0x40], [offset, value]);
  const erase = (offset: number): void => send([offset, 0x20], [offset, 0xd0]);
  return { clock, storage, errors, map, commit, flash, send, program, erase };
}

describe('commit policy quiet', () => {
  test('changes are held back until 20 ms after the last command, then stored in one commit', () => {
    const { clock, storage, commit, program, erase, map } = make('quiet');
    program(0, 0x1234);
    clock.advance(QUIET_NS - 1);
    program(0x9000, 0x5678);
    clock.advance(QUIET_NS - 1);
    erase(0);
    clock.advance(QUIET_NS - 1);
    assert.deepEqual(storage.calls, []);
    assert.equal(commit.isPending, true);
    clock.advance(1);
    assert.deepEqual(storage.calls, ['commit 0+16384 36864+4096']);
    assert.deepEqual(storage.image, map.array);
    assert.equal(commit.isPending, false);
    clock.advance(10 * QUIET_NS);
    assert.equal(storage.calls.length, 1);
  });

  test('a command that changes nothing still counts as activity', () => {
    const { clock, storage, program, send } = make('quiet');
    program(0, 0x1234);
    for (let n = 0; n < 5; n++) {
      clock.advance(QUIET_NS - 1);
      send([0x8000, 0x20], [0x8000, 0xff]);
    }
    assert.deepEqual(storage.calls, []);
    clock.advance(QUIET_NS);
    assert.equal(storage.calls.length, 1);
  });

  test('reads and read commands are no activity, and an unchanged array is never stored', () => {
    const { clock, storage, send, flash, erase, commit } = make('quiet');
    erase(0);
    send([0, 0x70], [0, 0x50], [0, 0xff]);
    flash.read(0, 4);
    clock.advance(10 * QUIET_NS);
    assert.equal(commit.flush(), true);
    assert.deepEqual(storage.calls, []);
  });

  test('flush stores at once: stop, pause, reset, power-off, snapshot', () => {
    const { clock, storage, commit, program } = make('quiet');
    program(0, 0x1234);
    assert.equal(commit.flush(), true);
    assert.deepEqual(storage.calls, ['commit 0+4096']);
    clock.advance(10 * QUIET_NS);
    assert.equal(storage.calls.length, 1);
    program(0, 0x0034);
    clock.advance(QUIET_NS);
    assert.equal(storage.calls.length, 2, 'and the next update is timed anew');
  });

  test('sync flushes and asks storage to survive a crash of the host', () => {
    const { storage, commit, program } = make('quiet');
    program(0, 0x1234);
    assert.equal(commit.sync(), true);
    assert.deepEqual(storage.calls, ['commit 0+4096', 'sync']);
  });

  test('a failure of storage is reported once per attempt, and nothing is forgotten', () => {
    const { clock, storage, commit, errors, program, map } = make('quiet');
    storage.failure = new Error('no space left on device');
    program(0, 0x1234);
    clock.advance(QUIET_NS);
    assert.deepEqual(errors, [storage.failure]);
    assert.equal(commit.sync(), false);
    assert.equal(errors.length, 2);
    storage.failure = undefined;
    assert.equal(commit.flush(), true);
    assert.deepEqual(storage.image, map.array);
  });
});

describe('commit policy immediate', () => {
  test('each completed command is stored before the guest can read the status', () => {
    const { storage, program, erase, send } = make('immediate');
    program(0x104, 0x1234);
    assert.deepEqual(storage.calls.splice(0), ['write 260+4']);
    send([0x80, 0xe8], [0x80, 1], [0x88, 0x1111], [0x8c, 0x2222]);
    assert.deepEqual(storage.calls, []);
    send([0x80, 0xd0]);
    assert.deepEqual(storage.calls.splice(0), ['write 136+8']);
    erase(0);
    assert.deepEqual(storage.calls.splice(0), ['write 0+16384']);
  });

  test('after a failure everything unstored goes out at the next flush, together', () => {
    const { storage, commit, errors, program, map } = make('immediate');
    storage.failure = new Error('input/output error');
    program(0, 0x1234);
    assert.equal(errors.length, 1);
    storage.failure = undefined;
    program(0x5000, 0x1234);
    assert.deepEqual(storage.calls, [], 'no order of commands is turned around');
    assert.equal(commit.flush(), true);
    assert.deepEqual(storage.calls, ['commit 0+4096 20480+4096']);
    assert.deepEqual(storage.image, map.array);
  });
});

describe('both commit policies', () => {
  test('after any commands and a flush, storage equals the array; before it, quiet equals a quiet moment', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('program' as const),
        at: fc.integer({ min: 0, max: 16383 }),
        value: fc.integer({ min: 0, max: 0xffff }),
      }),
      fc.record({
        kind: fc.constant('erase' as const),
        at: fc.integer({ min: 0, max: 16383 }),
        value: fc.constant(0),
      }),
      fc.record({
        kind: fc.constant('wait' as const),
        at: fc.constant(0),
        value: fc.constantFrom(1, QUIET_NS / 2, QUIET_NS - 1, QUIET_NS, 3 * QUIET_NS),
      }),
    );
    fc.assert(
      fc.property(
        fc.constantFrom<FlashCommitPolicy>('quiet', 'immediate'),
        fc.array(step, { maxLength: 40 }),
        (policy, steps) => {
          const { clock, storage, commit, program, erase, map } = make(policy);
          let quiet = map.array.slice();
          let sinceCommandNs = 0;
          for (const { kind, at, value } of steps) {
            if (kind === 'wait') {
              clock.advance(value);
              sinceCommandNs += value;
              if (sinceCommandNs >= QUIET_NS) quiet = map.array.slice();
            } else {
              if (kind === 'program') program(at * 4, value);
              else erase(at * 4);
              sinceCommandNs = 0;
            }
            assert.deepEqual(storage.image, policy === 'immediate' ? map.array : quiet);
          }
          commit.flush();
          assert.deepEqual(storage.image, map.array);
        },
      ),
      { seed: 0xf1a5, numRuns: 60 },
    );
  });
});
