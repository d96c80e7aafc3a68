import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { TraceChannel } from '../../base/index.js';
import type { AccessSize, DirectMap } from '../../bus/index.js';
import { CfiFlash, cfiFlashNode, type CfiFlashGeometry, type CfiFlashOptions } from './cfi-flash.js';

/** Two chips, four blocks of 1 KiB, a write buffer of 32 bytes. */
const SMALL: CfiFlashGeometry = {
  chips: 2,
  sizeBytes: 4096,
  blockBytes: 1024,
  bufferBytes: 32,
  manufacturerId: 0x89,
  deviceId: 0x18,
};
const SMALL_ONE_CHIP: CfiFlashGeometry = {
  ...SMALL,
  chips: 1,
  sizeBytes: 2048,
  blockBytes: 512,
  bufferBytes: 16,
};
const SMALL_LOCK_STEP: CfiFlashGeometry = { ...SMALL, wiring: 'lock-step' };
const VIRT: CfiFlashGeometry = {
  ...SMALL,
  wiring: 'lock-step',
  sizeBytes: 64 << 20,
  blockBytes: 256 << 10,
  bufferBytes: 4096,
};
const KVMTOOL: CfiFlashGeometry = {
  ...SMALL,
  sizeBytes: 2 << 20,
  blockBytes: 64 << 10,
  bufferBytes: 128,
};

class FakeMap implements DirectMap {
  readonly array: Uint8Array;
  isMapped: boolean | undefined;
  readonly mappings: boolean[] = [];
  readonly changes: [number, number][] = [];

  constructor(sizeBytes: number) {
    this.array = new Uint8Array(sizeBytes).fill(0xff);
  }

  get sizeBytes(): number {
    return this.array.length;
  }

  bytes(offset: number, length: number): Uint8Array {
    return this.array.subarray(offset, offset + length);
  }

  load(offset: number, bytes: Uint8Array): void {
    this.array.set(bytes, offset);
  }

  setMapped(mapped: boolean): void {
    this.isMapped = mapped;
    this.mappings.push(mapped);
  }

  changed(offset: number, length: number): void {
    this.changes.push([offset, length]);
  }
}

function make(geometry: CfiFlashGeometry = SMALL, options: Partial<CfiFlashOptions> = {}) {
  const map = new FakeMap(geometry.sizeBytes);
  const events: string[] = [];
  const activity: string[] = [];
  const flash = new CfiFlash({
    name: 'flash0',
    geometry,
    map,
    changes: {
      onActivity: () => activity.push('activity'),
      onChanged: (offset, length) => activity.push(`changed ${offset}+${length}`),
    },
    trace: {
      on: () => true,
      event: (channel: TraceChannel, text: string) => events.push(`${channel}: ${text}`),
    },
    ...options,
  });
  return { flash, map, events, activity };
}

/** The same 16-bit value for both chips. */
const both = (value: number): number => value * 0x1_0001;

/** Writes to both chips, a command or data at a time. */
function send(flash: CfiFlash, ...writes: [offset: number, value: number][]): void {
  for (const [offset, value] of writes) flash.write(offset, 4, both(value));
}

function status(flash: CfiFlash): number {
  send(flash, [0, 0x70]);
  const value = flash.read(0, 4);
  assert.equal(value & 0xffff, value >>> 16, 'both chips agree');
  return value & 0xffff;
}

describe('CFI flash: read modes', () => {
  test('the array is mapped from the start (array mode after power-on, AN-646)', () => {
    const { map } = make();
    assert.deepEqual(map.mappings, [true]);
  });

  for (const [command, mode] of [
    [0x70, 'status'],
    [0x90, 'id'],
    [0x98, 'query'],
    [0x40, 'status'],
    [0x10, 'status'],
    [0x20, 'status'],
    [0xe8, 'status'],
  ] as const) {
    test(`command 0x${command.toString(16)} selects ${mode} reads and takes the mapping away (AN-646)`, () => {
      const { flash, map } = make();
      map.array[0] = 0x5a;
      send(flash, [0, command]);
      assert.equal(map.isMapped, false);
      const expected = { status: 0x80, id: 0x89, query: 0 }[mode];
      assert.equal(flash.read(0, 4), both(expected));
      assert.equal(flash.read(0x40, 4), both(mode === 'query' ? 0x51 : mode === 'id' ? 0 : 0x80));
    });
  }

  test('clear status and lock set-up leave the read mode alone', () => {
    for (const command of [0x50, 0x60]) {
      const { flash, map } = make();
      send(flash, [0, command]);
      assert.equal(map.isMapped, true);
    }
  });

  test('unknown commands, those of the AMD command set among them, select the array and are logged', () => {
    for (const command of [0x00, 0x01, 0x30, 0xf0, 0xaa, 0x55, 0xb0, 0xc0, 0x2f]) {
      const { flash, map, events } = make();
      send(flash, [0, 0x70], [0x1554, command]);
      assert.equal(map.isMapped, true, `0x${command.toString(16)}`);
      assert.ok(events.some((event) => event.startsWith('guest-errors: ') && event.includes('unknown')));
      assert.equal(status(flash), 0x80);
    }
  });

  test('a probe in the manner of Linux leaves no trace: F0, AA, 55, 90, id, F0, FF (cfi_probe_chip)', () => {
    const { flash, map } = make();
    const before = map.array.slice();
    send(flash, [0xf00, 0xf0], [0xf00, 0xff], [0x154, 0x98]);
    assert.equal(flash.read(0x40, 4), both(0x51));
    send(flash, [0, 0xf0], [0x554, 0xaa], [0xaa8, 0x55], [0x554, 0x90]);
    assert.equal(flash.read(0, 4), both(0x89));
    assert.equal(flash.read(4, 4), both(0x18));
    send(flash, [0, 0xf0], [0, 0xff]);
    assert.equal(map.isMapped, true);
    assert.deepEqual(map.array, before);
    assert.equal(status(flash), 0x80);
  });

  test('a confirmation of nothing changes nothing', () => {
    const { flash, map, events } = make();
    send(flash, [0, 0xd0]);
    assert.equal(map.isMapped, true);
    send(flash, [0, 0x70], [0, 0xd0]);
    assert.equal(map.isMapped, false);
    assert.equal(events.filter((event) => event.includes('confirmation of nothing')).length, 4, 'each chip');
  });

  test('only the low byte of a chip is its command: 0x98989898 is a query (U-Boot probing 8-bit chips)', () => {
    const { flash } = make();
    flash.write(0x154, 4, 0x9898_9898);
    assert.equal(flash.read(0x40, 4), 0x0051_0051);
  });
});

describe('CFI flash: identifier space', () => {
  test('manufacturer at word 0, device at word 1, the lock bit of the block at its word 2', () => {
    const { flash } = make();
    send(flash, [0x400, 0x60], [0x400, 0x01], [0x400, 0x90]);
    assert.equal(flash.read(0, 4), both(0x89));
    assert.equal(flash.read(4, 4), both(0x18));
    assert.deepEqual(
      [0x008, 0x408, 0x808, 0xc08].map((offset) => flash.read(offset, 4)),
      [0, both(1), 0, 0],
    );
    assert.equal(flash.read(0x40c, 4), 0, 'the rest of identifier space is zero');
  });
});

describe('CFI flash: status register (AN-646)', () => {
  test('0x80 ready after reset, and after clear status', () => {
    const { flash } = make();
    assert.equal(status(flash), 0x80);
    send(flash, [0, 0x20], [0, 0x00]);
    assert.equal(status(flash), 0xb0);
    send(flash, [0, 0x50]);
    assert.equal(status(flash), 0x80);
  });

  test('0x30 for any second write of an erase but the confirmation; nothing is erased', () => {
    for (const second of [0x00, 0x01, 0x20, 0x50, 0x70, 0x90, 0xe8, 0xff]) {
      const { flash, map } = make();
      map.array.fill(0);
      send(flash, [0, 0x20], [0, second]);
      assert.equal(flash.read(0, 4), both(0xb0), `0x${second.toString(16)}`);
      assert.ok(map.array.every((byte) => byte === 0));
    }
  });

  test('0x30 for any second write of a lock set-up but lock and unlock', () => {
    for (const second of [0x00, 0x20, 0x2f, 0x60, 0x90, 0xff]) {
      const { flash } = make();
      send(flash, [0, 0x60], [0, second]);
      assert.equal(flash.read(0, 4), both(0xb0));
      send(flash, [0, 0x90]);
      assert.equal(flash.read(8, 4), 0);
    }
  });

  test('errors stay through later successes until they are cleared', () => {
    const { flash } = make();
    send(flash, [0, 0x20], [0, 0xff], [0, 0x40], [0, 0x1234], [0, 0xff], [0, 0x20], [0, 0xd0]);
    assert.equal(status(flash), 0xb0);
  });

  test('0x12 and 0x22 for programming and erasing a locked block, and no byte changes', () => {
    const { flash, map } = make();
    map.array[0x400] = 0xa5;
    const before = map.array.slice();
    send(flash, [0x400, 0x60], [0x400, 0x01]);
    send(flash, [0x400, 0x40], [0x400, 0]);
    assert.equal(flash.read(0, 4), both(0x92));
    send(flash, [0, 0x50], [0x404, 0x10], [0x404, 0]);
    assert.equal(flash.read(0, 4), both(0x92));
    send(flash, [0, 0x50], [0x400, 0xe8], [0x400, 0], [0x400, 0], [0x400, 0xd0]);
    assert.equal(flash.read(0, 4), both(0x92));
    send(flash, [0, 0x50], [0x404, 0x20], [0x404, 0xd0]);
    assert.equal(flash.read(0, 4), both(0xa2));
    assert.deepEqual(map.array, before);
    assert.deepEqual(map.changes, []);

    send(flash, [0, 0x50], [0x400, 0x60], [0x400, 0xd0], [0x400, 0x20], [0x400, 0xd0]);
    assert.equal(flash.read(0, 4), both(0x80), 'unlocked again');
    assert.equal(map.array[0x400], 0xff);
  });
});

describe('CFI flash: every command from every state', () => {
  const ways: Record<string, [number, number][]> = {
    'word program': [[0x10, 0x40]],
    'alternate word program': [[0x10, 0x10]],
    'buffered-program set-up': [[0x10, 0xe8]],
    'buffer write': [
      [0x10, 0xe8],
      [0x10, 1],
    ],
    'buffer full': [
      [0x10, 0xe8],
      [0x10, 0],
      [0x10, 0x0f0f],
    ],
    'erase set-up': [[0x10, 0x20]],
    'lock set-up': [[0x10, 0x60]],
  };
  const commands = [0x01, 0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xd0, 0xe8, 0xff, 0x00, 0xf0];
  for (const [state, way] of Object.entries(ways)) {
    test(`in state ${state} a write is that state's, never a first command`, () => {
      for (const command of commands) {
        const { flash, map } = make();
        map.array.fill(0x33, 0x20, 0x30);
        send(flash, ...way, [0x10, command]);
        const word = (map.array[0x10] ?? 0) | ((map.array[0x11] ?? 0) << 8);
        let expectedWord = 0xffff;
        let expectedStatus = 0x80;
        if (state.endsWith('word program')) expectedWord = command;
        if (state === 'buffer full') {
          if (command === 0xd0) expectedWord = 0x0f0f;
          else expectedStatus |= 0x10;
        }
        // A count: the window holds 8 words of each chip.
        if (state === 'buffered-program set-up' && command >= 8) expectedStatus |= 0x10;
        if (state === 'erase set-up' && command !== 0xd0) expectedStatus |= 0x30;
        if (state === 'lock set-up' && command !== 0xd0 && command !== 0x01) expectedStatus |= 0x30;
        const what = `0x${command.toString(16)} in ${state}`;
        assert.equal(flash.read(0x10, 4), both(expectedStatus), what);
        assert.equal(word, expectedWord, what);
        const isErased = state === 'erase set-up' && command === 0xd0;
        assert.equal(map.array[0x20], isErased ? 0xff : 0x33, what);
        assert.equal(map.isMapped, false, what);
      }
    });
  }

  test('every read mode survives until a command changes it, whatever is read in between', () => {
    for (const command of [0x70, 0x90, 0x98]) {
      const { flash } = make();
      send(flash, [0, command]);
      const first = flash.read(0x40, 4);
      for (let offset = 0; offset < SMALL.sizeBytes; offset += 4) flash.read(offset, 4);
      assert.equal(flash.read(0x40, 4), first);
    }
  });
});

describe('CFI flash: physics', () => {
  test('programming only clears bits, and ones over zeros are reported', () => {
    const reported: number[][] = [];
    const { flash, map, events } = make(SMALL, {
      onOverprogram: (offset, stored, data) => reported.push([offset, stored, data]),
    });
    send(flash, [0x20, 0x40], [0x20, 0x0ff0]);
    assert.deepEqual(reported, []);
    send(flash, [0x20, 0x40], [0x20, 0xf0f0]);
    assert.deepEqual([...map.array.subarray(0x20, 0x24)], [0xf0, 0, 0xf0, 0]);
    assert.deepEqual(reported, [
      [0x20, 0x0ff0, 0xf0f0],
      [0x22, 0x0ff0, 0xf0f0],
    ]);
    assert.equal(events.filter((event) => event.startsWith('guest-errors')).length, 1);
    assert.equal(flash.read(0, 4), both(0x80), 'no error in the status');
  });

  test('erase sets its whole block to ones, wherever in the block it is given, and no other', () => {
    const { flash, map } = make();
    map.array.fill(0);
    send(flash, [0x7fc, 0x20], [0x7fc, 0xd0]);
    assert.ok(map.array.subarray(0x400, 0x800).every((byte) => byte === 0xff));
    assert.ok(map.array.subarray(0, 0x400).every((byte) => byte === 0));
    assert.ok(map.array.subarray(0x800).every((byte) => byte === 0));
    assert.deepEqual(map.changes, [[0x400, 0x400]]);
  });

  test('quirk: programSetsBits replaces what is stored, and touches only what was driven', () => {
    const { flash, map } = make(SMALL, { quirks: { programSetsBits: true } });
    map.array.fill(0);
    send(flash, [4, 0xe8], [4, 0], [4, 0xabcd], [4, 0xd0]);
    assert.deepEqual([...map.array.subarray(0, 12)], [0, 0, 0, 0, 0xcd, 0xab, 0xcd, 0xab, 0, 0, 0, 0]);
  });

  test('quirk: clearStatusReadsArray returns to the array', () => {
    const { flash, map } = make(SMALL, { quirks: { clearStatusReadsArray: true } });
    send(flash, [0, 0x70], [0, 0x50]);
    assert.equal(map.isMapped, true);
  });
});

describe('CFI flash: buffered program', () => {
  test('the words announced are programmed at the confirmation, all at once', () => {
    const { flash, map } = make();
    send(flash, [0, 0xe8], [0, 7]);
    for (let word = 0; word < 8; word++) flash.write(0x40 + 4 * word, 4, 0x0101_0000 + word);
    assert.ok(map.array.every((byte) => byte === 0xff));
    send(flash, [0, 0xd0]);
    assert.equal(flash.read(0x40, 4), both(0x80));
    const view = new DataView(map.array.buffer);
    for (let word = 0; word < 8; word++)
      assert.equal(view.getUint32(0x40 + 4 * word, true), 0x0101_0000 + word);
    assert.deepEqual(map.changes, [[0x40, 0x20]]);
    assert.equal(flash.counters.bufferedPrograms, 1);
  });

  test('EDK2: 0xE8, poll at the target, count on both halves, 32 words, confirm at the target', () => {
    const { flash, map } = make(VIRT);
    const at = 0x4_0080;
    send(flash, [at, 0xe8]);
    assert.equal(flash.read(at, 4) & 0x0080_0080, 0x0080_0080);
    send(flash, [at, 31]);
    for (let word = 0; word < 32; word++) flash.write(at + 4 * word, 4, 0xdead_be00 + word);
    send(flash, [at, 0xd0]);
    assert.equal(flash.read(0, 4), both(0x80));
    const view = new DataView(map.array.buffer);
    assert.equal(view.getUint32(at, true), 0xdead_be00);
    assert.equal(view.getUint32(at + 124, true), 0xdead_be1f);
  });

  test('commands at the start of the sector, data elsewhere in it, the whole buffer of 1024 bus words', () => {
    const { flash, map } = make(VIRT);
    const sector = 0x8_0000;
    send(flash, [sector, 0x50], [sector, 0x70], [sector, 0xe8], [sector, 0x3ff]);
    for (let word = 0; word < 1024; word++) flash.write(sector + 0x3000 + 4 * word, 4, word);
    send(flash, [sector, 0xd0]);
    assert.equal(flash.read(sector, 4), both(0x80));
    assert.equal(new DataView(map.array.buffer).getUint32(sector + 0x3ffc, true), 1023);
  });

  for (const [what, writes] of Object.entries({
    'more data than announced': [
      [0, 0xe8],
      [0, 0],
      [0, 0x1111],
      [4, 0x2222],
    ],
    'fewer data than announced': [
      [0x400, 0xe8],
      [0x400, 3],
      [0x420, 0x1111],
      [0x424, 0x2222],
      [0x400, 0xd0],
    ],
    'data below the buffer': [
      [0x40, 0xe8],
      [0x40, 1],
      [0x40, 0x1111],
      [0x3c, 0x2222],
    ],
    'data above the buffer': [
      [0x40, 0xe8],
      [0x40, 1],
      [0x40, 0x1111],
      [0x60, 0x2222],
    ],
    'a count above the buffer': [
      [0x40, 0xe8],
      [0x40, 8],
    ],
    'the largest count': [
      [0x40, 0xe8],
      [0x40, 0xffff],
    ],
  } satisfies Record<string, [number, number][]>)) {
    test(`${what} is a program error and programs nothing`, () => {
      const { flash, map } = make();
      send(flash, ...writes);
      assert.equal(flash.read(0, 4), both(0x90));
      assert.ok(map.array.every((byte) => byte === 0xff));
      send(flash, [0, 0xd0]);
      assert.equal(flash.read(0, 4), both(0x90), 'a late confirmation does not hide it');
      assert.ok(map.array.every((byte) => byte === 0xff));
    });
  }

  test('at the end of the device nothing outside it is touched', () => {
    const { flash, map } = make();
    send(flash, [0xffc, 0xe8], [0xffc, 1], [0xffc, 0x1111], [0xff8, 0x2222], [0xffc, 0xd0]);
    assert.equal(status(flash), 0x80);
    assert.equal(new DataView(map.array.buffer).getUint32(0xffc, true), 0x1111_1111);
    assert.equal(map.array.length, SMALL.sizeBytes);
  });

  test('the last write of a word wins, and bytes merge', () => {
    const { flash, map } = make();
    flash.write(0, 4, both(0xe8));
    flash.write(0, 4, both(2));
    flash.write(0, 4, 0x1111_1111);
    flash.write(0, 4, 0x2222_2222);
    flash.write(0, 1, 0x33);
    flash.write(2, 1, 0x44);
    send(flash, [0, 0xd0]);
    assert.deepEqual([...map.array.subarray(0, 5)], [0x33, 0x22, 0x44, 0x22, 0xff]);
  });
});

describe('CFI flash: accesses of every width', () => {
  test('each chip answers in its half; 8-, 16- and 64-bit reads are parts and pairs of that', () => {
    const { flash } = make();
    flash.write(0, 2, 0x90); // chip 0 alone
    flash.write(2, 2, 0x70); // chip 1 alone
    assert.equal(flash.read(0, 4), 0x0080_0089);
    assert.equal(flash.read(0, 2), 0x89);
    assert.equal(flash.read(2, 2), 0x80);
    assert.deepEqual(
      [0, 1, 2, 3].map((offset) => flash.read(offset, 1)),
      [0x89, 0, 0x80, 0],
    );
    assert.equal(flash.read64(0), 0x0080_0018_0080_0089n);
  });

  test("a command on one half-word is that chip's alone; the other still reads its array", () => {
    const { flash, map } = make();
    map.array.set([1, 2, 3, 4]);
    flash.write(2, 2, 0x70);
    assert.equal(map.isMapped, false);
    assert.equal(flash.read(0, 4), 0x0080_0201);
    assert.equal(flash.counters.trappedArrayReads, 0);
    flash.write(2, 2, 0xff);
    assert.equal(map.isMapped, true);
  });

  test('one chip is programmed, erased and locked without the other', () => {
    const { flash, map } = make();
    map.array.fill(0);
    flash.write(0, 2, 0x20);
    flash.write(0, 2, 0xd0);
    assert.deepEqual([...map.array.subarray(0, 8)], [0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    flash.write(0, 2, 0x40);
    flash.write(4, 2, 0x1234);
    assert.deepEqual([...map.array.subarray(0, 8)], [0xff, 0xff, 0, 0, 0x34, 0x12, 0, 0]);
    flash.write(2, 2, 0x60);
    flash.write(2, 2, 0x01);
    flash.write(0, 4, both(0x90));
    assert.equal(flash.read(8, 4), 0x0001_0000);
  });

  test('a 64-bit write is two commands, lower address first', () => {
    const { flash } = make();
    flash.write64(0, 0x0090_0090_0070_0070n);
    assert.equal(flash.read(0, 4), both(0x89), 'the second, 0x90, has the last word');
    assert.equal(flash.counters.writes, 2);
  });

  test('a byte is a command in either half of a word, and programs itself alone', () => {
    for (const lane of [0, 1]) {
      const { flash, map } = make();
      flash.write(lane, 1, 0x40);
      flash.write(lane, 1, 0x5a);
      assert.deepEqual(
        [...map.array.subarray(0, 4)],
        lane === 0 ? [0x5a, 255, 255, 255] : [255, 0x5a, 255, 255],
      );
    }
  });

  test('one chip on a 16-bit bus: a 32-bit access is two, addresses count 16-bit words', () => {
    const { flash } = make(SMALL_ONE_CHIP);
    flash.write(0, 2, 0x98);
    assert.equal(flash.read(0x20, 2), 0x51);
    assert.equal(flash.read(0x20, 4), 0x0052_0051);
    assert.equal(flash.read64(0x20), 0x0001_0059_0052_0051n);
    flash.write(0, 4, 0x0070_0090);
    assert.equal(flash.read(0, 2), 0x80);
    flash.write(0, 2, 0x90);
    assert.equal(flash.read(0, 2), 0x89);
    assert.equal(flash.read(2, 2), 0x18);
  });

  test('reads at the end of the device in every mode give no byte from outside', () => {
    for (const command of [0x70, 0x90, 0x98]) {
      const { flash } = make();
      send(flash, [0, command]);
      const last = command === 0x70 ? 0x80 : 0;
      assert.equal(flash.read(0xffc, 4), both(last));
      assert.equal(flash.read64(0xff8), BigInt(both(last)) * 0x1_0000_0001n);
    }
  });
});

describe('CFI flash: two chips in lock-step (what QEMU 7.2 answers to mw and md of U-Boot)', () => {
  const dump = (flash: CfiFlash, offset: number, words: number): number[] =>
    Array.from({ length: words }, (_, word) => flash.read(offset + 4 * word, 4));

  test('a narrow command, on whichever lanes, is that of both chips', () => {
    for (const [offset, size] of [
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
      [0, 2],
      [2, 2],
    ] as const) {
      const { flash, map } = make(SMALL_LOCK_STEP);
      flash.write(offset, size, 0x90);
      assert.deepEqual(dump(flash, 0, 3), [both(0x89), both(0x18), 0], `${size} bytes at ${offset}`);
      assert.deepEqual(
        [0, 2, 4, 6].map((at) => flash.read(at, 2)),
        [0x89, 0x89, 0x18, 0x18],
        'each half of the answer is a chip',
      );
      flash.write(offset, size, 0xff);
      assert.equal(map.isMapped, true);
    }
  });

  test('of a wider write the low half is the command of both chips, and of that the low byte', () => {
    const { flash } = make(SMALL_LOCK_STEP);
    flash.write(0, 4, 0x0090_0070);
    assert.equal(flash.read(0, 4), both(0x80));
    flash.write(0, 4, 0x0070_0090);
    assert.equal(flash.read(0, 4), both(0x89));
    flash.write(2, 2, 0x1270);
    assert.equal(flash.read(0, 4), both(0x80));
  });

  test('data program the bytes addressed alone, of any width, however the command came', () => {
    const { flash, map } = make(SMALL_LOCK_STEP);
    const program = (commandAt: number, at: number, size: AccessSize, data: number): void => {
      flash.write(commandAt, 2, 0x40);
      flash.write(at, size, data);
    };
    program(0, 0x0, 2, 0x1234);
    program(2, 0x6, 2, 0x5678);
    program(0, 0x9, 1, 0x9a);
    program(2, 0xc, 4, 0xcafe_babe);
    assert.equal(flash.read(0, 4), both(0x80));
    flash.write(0, 2, 0xff);
    assert.deepEqual(dump(flash, 0, 4), [0xffff_1234, 0x5678_ffff, 0xffff_9aff, 0xcafe_babe]);
    assert.equal(flash.counters.programs, 4);
    assert.deepEqual(
      map.changes.map(([from]) => from),
      [0x0, 0x6, 0x8, 0xc],
    );
  });

  test('U-Boot: a buffered program of consecutive half-words, which the count counts', () => {
    const { flash, map } = make(VIRT);
    const at = 0x8_3000;
    flash.write(at, 2, 0xe8);
    assert.equal(flash.read(at, 2), 0x80);
    flash.write(at, 2, 0x3ff);
    for (let half = 0; half < 0x400; half++) flash.write(at + 2 * half, 2, half);
    flash.write(at, 2, 0xd0);
    assert.equal(flash.read(at, 2), 0x80);
    flash.write(at, 2, 0xff);
    assert.equal(map.isMapped, true);
    assert.ok(new Uint16Array(map.array.buffer, at, 0x400).every((data, half) => data === half));
    assert.deepEqual(map.changes, [[at, 0x800]]);
    assert.equal(flash.counters.bufferedPrograms, 1);
  });

  test('a count is of writes, whatever their width, and is in the low half', () => {
    const { flash } = make(SMALL_LOCK_STEP);
    send(flash, [0, 0xe8]);
    flash.write(0, 4, 0x0005_0002);
    flash.write(0x20, 4, 0x1111_2222);
    flash.write(0x24, 2, 0x3333);
    flash.write(0x27, 1, 0x44);
    flash.write(2, 2, 0xd0);
    assert.equal(flash.read(0, 4), both(0x80));
    send(flash, [0, 0xff]);
    assert.deepEqual(dump(flash, 0x20, 3), [0x1111_2222, 0x44ff_3333, 0xffff_ffff]);
  });

  test('erase, lock and their errors are those of the whole bank', () => {
    const { flash, map } = make(SMALL_LOCK_STEP);
    const halves = (at: number, ...values: number[]): void => {
      for (const value of values) flash.write(at, 2, value);
    };
    map.array.fill(0);
    halves(0x602, 0x20, 0xd0);
    assert.ok(map.array.subarray(0x400, 0x800).every((byte) => byte === 0xff));
    assert.ok(map.array.subarray(0, 0x400).every((byte) => byte === 0));
    assert.equal(flash.counters.erases, 1);

    halves(0x402, 0x60, 0x01, 0x90);
    assert.equal(flash.read(0x408, 4), both(1));
    halves(0x400, 0x20, 0xd0);
    assert.equal(flash.read(0, 4), both(0xa2));
    // The locked chips are both, so the half with no data refuses too.
    halves(0x400, 0x50, 0x40, 0x1234);
    assert.equal(flash.read(0, 4), both(0x92));
    halves(0x400, 0x50, 0x60, 0xd0, 0x20, 0x12);
    assert.equal(flash.read(0, 4), both(0xb0));
    halves(0x402, 0x50, 0x70);
    assert.equal(flash.read(0, 4), both(0x80));
  });
});

describe('CFI flash: mapping and counters', () => {
  test('the mapping goes once and returns once, however many commands come between', () => {
    const { flash, map } = make();
    send(flash, [0, 0x70], [0, 0x50], [0, 0x90], [0, 0xff], [0, 0xff]);
    assert.deepEqual(map.mappings, [true, false, true]);
    assert.deepEqual(
      {
        ...flash.counters,
      },
      {
        reads: 0,
        trappedArrayReads: 0,
        writes: 5,
        departuresFromArray: 1,
        returnsToArray: 1,
        readArrayCommands: 2,
        programs: 0,
        bufferedPrograms: 0,
        erases: 0,
      },
    );
  });

  test('an operation of both chips counts once', () => {
    const { flash, events } = make();
    send(flash, [0, 0x20], [0, 0xd0], [0, 0x40], [0, 1], [0, 0xe8], [0, 0], [4, 2], [0, 0xd0]);
    assert.equal(flash.counters.erases, 1);
    assert.equal(flash.counters.programs, 1);
    assert.equal(flash.counters.bufferedPrograms, 1);
    assert.deepEqual(
      events.filter((event) => event.startsWith('flash: ')),
      [
        'flash: flash0: erase 0x0',
        'flash: flash0: program 0x0',
        'flash: flash0: program buffer 0x0, 1 words',
      ],
    );
  });

  test('a read that comes while the array is mapped is answered, and counted', () => {
    const { flash, map } = make();
    map.array.set([1, 2, 3, 4, 5, 6, 7, 8]);
    assert.equal(flash.read(0, 4), 0x0403_0201);
    assert.equal(flash.read64(0), 0x0807_0605_0403_0201n);
    assert.equal(flash.counters.trappedArrayReads, 3);
  });

  test('without direct mapping the array is never mapped, every read of it is answered and counted', () => {
    const { flash, map } = make(SMALL, { isDirect: false });
    map.array.set([1, 2, 3, 4]);
    assert.equal(flash.read(0, 4), 0x0403_0201);
    flash.write(0, 4, 0x0070_0070);
    assert.equal(flash.read(0, 4), 0x0080_0080);
    flash.write(0, 4, 0x00ff_00ff);
    assert.equal(flash.read(0, 4), 0x0403_0201);
    flash.reset();
    assert.deepEqual(map.mappings, []);
    const { reads, trappedArrayReads, departuresFromArray, returnsToArray } = flash.counters;
    assert.deepEqual([reads, trappedArrayReads, departuresFromArray, returnsToArray], [3, 2, 1, 1]);
  });

  test('changes are told to the commit policy before the next access, activity included', () => {
    const { flash, activity } = make();
    send(flash, [0, 0x40], [0, 0x1234]);
    assert.deepEqual(activity, ['activity', 'activity', 'changed 0+4']);
  });

  test('reset returns to array mode, opens the locks and keeps the array', () => {
    const { flash, map } = make();
    send(flash, [0, 0x40], [0, 0x1234], [0, 0x60], [0, 0x01], [0, 0xe8]);
    flash.reset();
    assert.equal(map.isMapped, true);
    assert.equal(map.array[0], 0x34);
    assert.equal(status(flash), 0x80);
    send(flash, [0, 0x90]);
    assert.equal(flash.read(8, 4), 0);
  });
});

describe('CFI flash: what cannot be written', () => {
  test('a read-only device refuses as locked blocks do, and cannot be unlocked', () => {
    const { flash, map } = make(SMALL, { writableBytes: 0 });
    const before = map.array.slice();
    send(flash, [0, 0x60], [0, 0xd0], [0, 0x20], [0, 0xd0]);
    assert.equal(status(flash), 0xa2);
    send(flash, [0, 0x50], [0, 0x40], [0, 0]);
    assert.equal(status(flash), 0x92);
    send(flash, [0, 0x50], [0, 0xe8], [0, 0], [0, 0], [0, 0xd0]);
    assert.equal(status(flash), 0x92);
    send(flash, [0, 0x90]);
    assert.equal(flash.read(8, 4), both(1));
    assert.deepEqual(map.array, before);
    flash.reset();
    send(flash, [0, 0x90]);
    assert.equal(flash.read(8, 4), both(1));
  });

  test('blocks that the image does not hold whole are locked for good, the others are not', () => {
    const { flash } = make(SMALL, { writableBytes: 0x900 });
    send(flash, [0, 0x90]);
    assert.deepEqual(
      [0x008, 0x408, 0x808, 0xc08].map((offset) => flash.read(offset, 4) & 1),
      [0, 0, 1, 1],
    );
  });
});

describe('CFI flash: snapshots', () => {
  test('a snapshot in mid-activity continues where it was (state excludes the array)', () => {
    const one = make();
    send(one.flash, [0x400, 0x60], [0x400, 0x01], [0, 0xe8], [0, 1], [0, 0x1111]);
    const state = structuredClone(one.flash.saveState());
    send(one.flash, [4, 0x3333], [0, 0xd0]);

    const two = make();
    two.flash.restoreState(state);
    assert.equal(two.map.isMapped, false);
    send(two.flash, [4, 0x2222], [0, 0xd0]);
    assert.deepEqual(
      [...two.map.array.subarray(0, 9)],
      [0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22, 0xff],
    );
    send(two.flash, [0, 0x90]);
    assert.equal(two.flash.read(0x408, 4), both(1));

    two.flash.restoreState(state);
    send(two.flash, [4, 0x2222], [0, 0xd0]);
    assert.equal(two.flash.read(0, 4), both(0x80), 'the state given is not touched by what follows');
  });
});

describe('CFI flash: device tree', () => {
  test('the kvmtool node, and one node for the two banks of virt (mtd-physmap binding)', () => {
    const { flash } = make();
    assert.deepEqual(flash.describe(0x200_0000, 'System-firmware'), {
      name: 'flash@2000000',
      properties: {
        compatible: 'cfi-flash',
        label: 'System-firmware',
        'bank-width': { cells: [4] },
        reg: { cells: [0, 0x200_0000, 0, 4096] },
      },
    });
    const banks = [
      { base: 0, sizeBytes: 64 << 20 },
      { base: 64 << 20, sizeBytes: 64 << 20 },
    ];
    assert.deepEqual(cfiFlashNode(banks, 4).properties.reg, {
      cells: [0, 0, 0, 0x400_0000, 0, 0x400_0000, 0, 0x400_0000],
    });
  });
});

/** A reader of query tables as a driver has one, sharing nothing with the device: JESD68.01, AN-646 table 5. */
function readQuery(flash: CfiFlash, bankWidth: 2 | 4) {
  const size: AccessSize = bankWidth;
  flash.write(0x55 * bankWidth, size, bankWidth === 4 ? 0x0098_0098 : 0x98);
  const byte = (word: number): number => {
    const value = flash.read(word * bankWidth, size);
    if (bankWidth === 4) assert.equal(value >>> 16, value & 0xffff, 'both chips answer alike');
    assert.equal(value & 0xff00, 0);
    return value & 0xff;
  };
  const half = (word: number): number => byte(word) | (byte(word + 1) << 8);
  const text = (word: number, length: number): string =>
    String.fromCharCode(...Array.from({ length }, (_, index) => byte(word + index)));
  const primary = half(0x15);
  return {
    magic: text(0x10, 3),
    commandSet: half(0x13),
    primary,
    alternativeCommandSet: half(0x17),
    alternative: half(0x19),
    vccMin: byte(0x1b),
    vccMax: byte(0x1c),
    vppMin: byte(0x1d),
    vppMax: byte(0x1e),
    typicalTimes: [0x1f, 0x20, 0x21, 0x22].map(byte),
    maximumTimes: [0x23, 0x24, 0x25, 0x26].map(byte),
    sizeLog2: byte(0x27),
    interface: half(0x28),
    bufferLog2: half(0x2a),
    regions: byte(0x2c),
    blocks: half(0x2d) + 1,
    blockBytes: half(0x2f) * 256,
    primaryMagic: text(primary, 3),
    version: text(primary + 3, 2),
    features: half(primary + 5) + half(primary + 7) * 0x1_0000,
    afterSuspend: byte(primary + 9),
    blockStatus: half(primary + 10),
    vccBest: byte(primary + 12),
    vppBest: byte(primary + 13),
    protectionFields: byte(primary + 14),
    protection: [half(primary + 15), byte(primary + 17), byte(primary + 18)],
    below: Array.from({ length: 0x10 }, (_, index) => byte(index)),
    after: Array.from({ length: 0x80 }, (_, index) => byte(primary + 19 + index)),
  };
}

describe('CFI flash: query table (JESD68.01, AN-646 table 5)', () => {
  for (const { title, geometry, sizeLog2, bufferLog2, blocks, blockBytes } of [
    { title: 'virt', geometry: VIRT, sizeLog2: 25, bufferLog2: 11, blocks: 256, blockBytes: 0x2_0000 },
    { title: 'kvmtool', geometry: KVMTOOL, sizeLog2: 20, bufferLog2: 6, blocks: 32, blockBytes: 0x8000 },
    { title: 'one chip', geometry: SMALL_ONE_CHIP, sizeLog2: 11, bufferLog2: 4, blocks: 4, blockBytes: 512 },
  ]) {
    test(`${title}: field by field`, () => {
      const bankWidth = geometry.chips === 1 ? 2 : 4;
      const query = readQuery(make(geometry).flash, bankWidth);
      assert.deepEqual(query, {
        magic: 'QRY',
        commandSet: 0x0001,
        primary: 0x31,
        alternativeCommandSet: 0,
        alternative: 0,
        vccMin: 0x45,
        vccMax: 0x55,
        vppMin: 0,
        vppMax: 0,
        typicalTimes: [1, 1, 1, 0],
        maximumTimes: [0, 0, 0, 0],
        sizeLog2,
        interface: 0x0005,
        bufferLog2,
        regions: 1,
        blocks,
        blockBytes,
        primaryMagic: 'PRI',
        version: '10',
        features: (1 << 5) | (1 << 6) | (1 << 7),
        afterSuspend: 0,
        blockStatus: 1,
        vccBest: 0x50,
        vppBest: 0,
        protectionFields: 1,
        protection: [0x80, 3, 3],
        below: Array<number>(0x10).fill(0),
        after: Array<number>(0x80).fill(0),
      });
      assert.equal(query.blocks * query.blockBytes, 2 ** query.sizeLog2, 'the regions fill the chip');
    });
  }
});

/** Takes the command or word count `code`, or the bits of data `value` that `mask` selects. */
type ReferenceWrite = (word: number, code: number, value: number, mask: number) => void;

/**
 * The device as a reference: command machines over words, each a function that awaits its next write. A machine is a
 * chip of 16-bit words, or a whole bank in lock-step, of 32-bit words. Written from spec/cfi-flash.md for this test,
 * sharing no code and no structure with the device.
 */
class ReferenceMachine {
  words: number[];
  locks: boolean[];
  status = 0x80;
  mode: 'array' | 'status' | 'id' | 'query' = 'array';
  readonly wordBytes: 2 | 4;
  #await: ReferenceWrite = (word, code) => this.#first(word, code);
  readonly #blockWords: number;
  readonly #bufferWords: number;

  /** `share` is the part of the bank that is this machine's. */
  constructor(geometry: CfiFlashGeometry, share: number, wordBytes: 2 | 4) {
    const words = geometry.sizeBytes / share / wordBytes;
    this.wordBytes = wordBytes;
    this.#blockWords = geometry.blockBytes / share / wordBytes;
    this.#bufferWords = geometry.bufferBytes / share / wordBytes;
    this.words = Array<number>(words).fill(wordBytes === 2 ? 0xffff : 0xffff_ffff);
    this.locks = Array<boolean>(words / this.#blockWords).fill(false);
  }

  read(word: number, query: (word: number) => number): number {
    if (this.mode === 'array') return this.words[word] ?? 0;
    const answer = this.#answer(word, query);
    return this.wordBytes === 2 ? answer : both(answer);
  }

  #answer(word: number, query: (word: number) => number): number {
    if (this.mode === 'status') return this.status;
    if (this.mode === 'query') return query(word);
    const inBlock = word % this.#blockWords;
    if (inBlock === 2) return this.locks[(word - 2) / this.#blockWords] === true ? 1 : 0;
    return [0x89, 0x18][inBlock] ?? 0;
  }

  write(...written: Parameters<ReferenceWrite>): void {
    this.#await(...written);
  }

  #then(next: ReferenceWrite): void {
    this.#await = (...written) => {
      this.#await = (word, code) => this.#first(word, code);
      next(...written);
    };
  }

  #clear(word: number, value: number, mask: number): void {
    this.words[word] = ((this.words[word] ?? 0) & (value | ~mask)) >>> 0;
  }

  #first(_word: number, code: number): void {
    const fail = (bits: number): void => {
      this.status |= bits;
    };
    const first = code & 0xff;
    if (first === 0x70) this.mode = 'status';
    else if (first === 0x90) this.mode = 'id';
    else if (first === 0x98) this.mode = 'query';
    else if (first === 0x50) this.status = 0x80;
    else if (first === 0xd0) return;
    else if (first === 0x60) {
      this.#then((word, next) => {
        this.mode = 'status';
        const second = next & 0xff;
        if (second === 0x01 || second === 0xd0)
          this.locks[Math.floor(word / this.#blockWords)] = second === 0x01;
        else fail(0x30);
      });
    } else if (first === 0x20) {
      this.mode = 'status';
      this.#then((word, next) => {
        const block = Math.floor(word / this.#blockWords);
        if ((next & 0xff) !== 0xd0) fail(0x30);
        else if (this.locks[block] === true) fail(0x22);
        else {
          const erased = this.wordBytes === 2 ? 0xffff : 0xffff_ffff;
          this.words.fill(erased, block * this.#blockWords, (block + 1) * this.#blockWords);
        }
      });
    } else if (first === 0x40 || first === 0x10) {
      this.mode = 'status';
      this.#then((word, _code, value, mask) => {
        if (this.locks[Math.floor(word / this.#blockWords)] === true) fail(0x12);
        else this.#clear(word, value, mask);
      });
    } else if (first === 0xe8) {
      this.mode = 'status';
      this.#then((_at, announced) => {
        const count = announced + 1;
        if (count > this.#bufferWords) {
          fail(0x10);
          return;
        }
        const data = new Map<number, { value: number; mask: number }>();
        let window: number | undefined;
        const more = (left: number): void =>
          this.#then((word, next, value, mask) => {
            if (left === 0) {
              if ((next & 0xff) !== 0xd0) fail(0x10);
              else if (
                this.locks[Math.floor(((window ?? 0) * this.#bufferWords) / this.#blockWords)] === true
              )
                fail(0x12);
              else for (const [at, { value: v, mask: m }] of data) this.#clear(at, v, m);
              return;
            }
            window ??= Math.floor(word / this.#bufferWords);
            if (Math.floor(word / this.#bufferWords) !== window) {
              fail(0x10);
              return;
            }
            const old = data.get(word) ?? { value: 0, mask: 0 };
            data.set(word, { value: (old.value & ~mask) | (value & mask), mask: old.mask | mask });
            more(left - 1);
          });
        more(count);
      });
    } else this.mode = 'array';
  }
}

describe('CFI flash: any sequence of accesses', () => {
  const opcode = fc.constantFrom(
    0x01,
    0x10,
    0x20,
    0x40,
    0x50,
    0x60,
    0x70,
    0x90,
    0x98,
    0xd0,
    0xd0,
    0xd0,
    0xe8,
    0xe8,
    0xff,
    0xf0,
    0,
    1,
    2,
  );
  const half = fc.oneof(
    { weight: 6, arbitrary: opcode },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
  );
  const word32 = fc.oneof(
    { weight: 6, arbitrary: half.map(both) },
    { weight: 1, arbitrary: fc.tuple(half, half).map(([low, high]) => high * 0x1_0000 + low) },
  );

  /** A write of 1 to 4 bytes, cut into what each machine sees of it. */
  function writeReference(machines: ReferenceMachine[], offset: number, size: number, value: number): void {
    const [{ wordBytes } = { wordBytes: 2 }] = machines;
    for (let done = 0; done < size; done += wordBytes) {
      const at = offset + done;
      const part = size <= wordBytes ? value : (value >>> (8 * done)) & 0xffff;
      const mask = size >= wordBytes ? -1 : (1 << (8 * size)) - 1;
      const shift = 8 * (at % wordBytes);
      const word = Math.floor(at / wordBytes / machines.length);
      const machine = machines[Math.floor(at / wordBytes) % machines.length];
      machine?.write(word, part & 0xffff, part << shift, mask << shift);
    }
  }

  function readReference(
    machines: ReferenceMachine[],
    offset: number,
    query: (word: number) => number,
  ): number {
    const [{ wordBytes } = { wordBytes: 2 }] = machines;
    const word = Math.floor(offset / wordBytes / machines.length);
    const machine = machines[Math.floor(offset / wordBytes) % machines.length];
    return ((machine?.read(word, query) ?? 0) >>> (8 * (offset % wordBytes))) & 0xff;
  }

  const ofChips = (geometry: CfiFlashGeometry) => (): ReferenceMachine[] =>
    Array.from({ length: geometry.chips }, () => new ReferenceMachine(geometry, geometry.chips, 2));

  for (const { title, geometry, reference } of [
    { title: 'two chips', geometry: SMALL, reference: ofChips(SMALL) },
    { title: 'one chip', geometry: SMALL_ONE_CHIP, reference: ofChips(SMALL_ONE_CHIP) },
    {
      title: 'two chips in lock-step, one machine',
      geometry: SMALL_LOCK_STEP,
      reference: () => [new ReferenceMachine(SMALL_LOCK_STEP, 1, 4)],
    },
  ]) {
    test(`array, reads, mapping and change reports equal a reference (${title})`, () => {
      const access = fc.record({
        isWrite: fc.boolean(),
        sizeLog2: fc.constantFrom(0, 1, 1, 2, 2, 2, 2, 2, 3),
        // Close together, so that sequences meet; and anywhere.
        at: fc.oneof(
          { weight: 4, arbitrary: fc.integer({ min: 0, max: 15 }) },
          { weight: 1, arbitrary: fc.integer({ min: 0, max: geometry.sizeBytes / 4 - 1 }) },
        ),
        byte: fc.integer({ min: 0, max: 3 }),
        low: word32,
        high: word32,
      });
      fc.assert(
        fc.property(fc.array(access, { maxLength: 120 }), (accesses) => {
          const { flash, map } = make(geometry);
          // What another pair of eyes knows to have changed.
          const seen = map.array.slice();
          const machines = reference();
          const bankWidth = 2 * geometry.chips;
          const queryFlash = make(geometry).flash;
          queryFlash.write(0, 2, 0x98);
          const query = (word: number): number => queryFlash.read(word * bankWidth, 2);
          for (const { isWrite, sizeLog2, at, byte, low, high } of accesses) {
            const size = (1 << sizeLog2) as AccessSize;
            const offset = Math.floor((at * 4 + byte) / size) * size;
            if (isWrite) {
              if (size === 8) {
                flash.write64(offset, BigInt(low) | (BigInt(high) << 32n));
                writeReference(machines, offset, 4, low);
                writeReference(machines, offset + 4, 4, high);
              } else {
                const value = size === 4 ? low : low & (2 ** (8 * size) - 1);
                flash.write(offset, size, value);
                writeReference(machines, offset, size, value);
              }
            } else {
              const got = size === 8 ? flash.read64(offset) : BigInt(flash.read(offset, size));
              let expected = 0n;
              for (let done = 0; done < size; done++) {
                expected |= BigInt(readReference(machines, offset + done, query)) << BigInt(8 * done);
              }
              assert.equal(got, expected, `read of ${size} at ${offset}`);
            }
            assert.equal(
              map.isMapped,
              machines.every((machine) => machine.mode === 'array'),
            );
            for (const [from, length] of map.changes.splice(0)) {
              seen.set(map.array.subarray(from, from + length), from);
            }
          }
          assert.deepEqual(seen, map.array, 'every change was reported');
          for (const machine of machines) machine.mode = 'array';
          const expected = map.array.map((_, offset) => readReference(machines, offset, query));
          assert.deepEqual(map.array, expected);
        }),
        { seed: 0x0cf1, numRuns: 400 },
      );
    });
  }
});
