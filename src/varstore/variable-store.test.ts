import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { userError } from '../base/user-error-suite.js';
import { repairStore } from './repair.js';
import {
  entry,
  FIRST_AT,
  GLOBAL_GUID,
  SMALL,
  smallStore,
  TEST_GUID,
  withUpdate,
  type TestEntry,
} from './store-suite.js';
import { VariableStore, type VariableSetting } from './variable-store.js';

const A: TestEntry = { name: 'A', data: [1, 2, 3] };
const B: TestEntry = { name: 'B', data: [4] };

function setting(change: Partial<VariableSetting> = {}): VariableSetting {
  return { name: 'A', guid: TEST_GUID, attributes: 7, data: Uint8Array.of(9), ...change };
}

function values(store: VariableStore): Record<string, number[]> {
  return Object.fromEntries(store.variables.map(({ name, data }) => [name, [...data]]));
}

function kinds(image: Uint8Array): string[] {
  return VariableStore.read(image).problems.map(({ kind, severity }) => `${severity} ${kind}`);
}

/** States of the entries, in order. */
function states(store: VariableStore): number[] {
  const found: number[] = [];
  const { bytes } = store.part;
  const view = Buffer.from(bytes);
  for (let at = FIRST_AT; view.readUInt16LE(at) === 0x55aa;) {
    found.push(view[at + 2]!);
    at += 60 + view.readUInt32LE(at + 36) + view.readUInt32LE(at + 40);
    at = (at + 3) & ~3;
  }
  return found;
}

describe('reading a store', () => {
  test('finds variables in order, at any block of an image', () => {
    const image = new Uint8Array(0x8000);
    image.set(smallStore(A, B), 0x4000);
    const store = VariableStore.read(image);
    assert.deepEqual(values(store), { A: [1, 2, 3], B: [4] });
    assert.deepEqual(store.problems, []);
    assert.equal(store.part.offset, 0x4000);
    assert.deepEqual(store.part.bytes, smallStore(A, B));
    assert.deepEqual(store.space, {
      sizeBytes: SMALL.storeEnd - FIRST_AT,
      liveBytes: 68 + 68,
      deletedBytes: 0,
      freeBytes: SMALL.storeEnd - FIRST_AT - 136,
    });
  });

  test('passes over what is deleted or was never finished', () => {
    const store = VariableStore.read(
      smallStore(
        { ...A, state: 0x3c },
        { ...A, state: 0x3d },
        { ...B, state: 0x7f },
        { name: 'C', data: [5] },
      ),
    );
    assert.deepEqual(values(store), { C: [5] });
  });

  test('a header that was cut off takes its own room only', () => {
    const image = smallStore();
    const torn = entry(A);
    torn[2] = 0xff;
    image.set(torn.subarray(0, 60), FIRST_AT);
    image.set(entry(B), FIRST_AT + 60);
    assert.deepEqual(values(VariableStore.read(image)), { B: [4] });
    assert.deepEqual(kinds(image), ['note unfinished']);
  });

  test('a variable that was to be replaced counts until its successor is there', () => {
    const old = { ...A, state: 0x3e };
    assert.deepEqual(values(VariableStore.read(smallStore(old, B))), { A: [1, 2, 3], B: [4] });
    assert.deepEqual(values(VariableStore.read(smallStore(old, { ...A, data: [7] }))), { A: [7] });
  });

  test('reads the format without authentication', () => {
    const image = smallStore();
    image.set(Buffer.from('1636cfdd7532644198b6fe85707ffe7d', 'hex'), 0x48);
    const header = Buffer.alloc(32);
    header.writeUInt16LE(0x55aa, 0);
    header[2] = 0x3f;
    header.writeUInt32LE(3, 4);
    header.writeUInt32LE(4, 8);
    header.writeUInt32LE(2, 12);
    entry(A).copy(header, 16, 44, 60);
    image.set(Buffer.concat([header, Buffer.from('Z\0', 'utf16le'), Buffer.from([8, 9])]), FIRST_AT);
    const store = VariableStore.read(image);
    assert.equal(store.format, 'plain');
    assert.deepEqual(values(store), { Z: [8, 9] });
    store.set(setting());
    assert.deepEqual(values(VariableStore.read(store.part.bytes)), { Z: [8, 9], A: [9] });
    assert.throws(
      () => store.set(setting({ attributes: 0x27 }), { force: true }),
      userError('vars-attributes', /no auth/),
    );
  });

  test('what is no store is said in one line', () => {
    const several = new Uint8Array(0x6000);
    several.set(smallStore(), 0);
    several.set(smallStore(), 0x3000);
    const foreign = smallStore();
    foreign[0x48]! ^= 1;
    const tooLong = smallStore();
    tooLong[0x5a] = 1;
    for (const [image, code, text] of [
      [new Uint8Array(0), 'vars-none', /no variable store/],
      [new Uint8Array(0x4000), 'vars-none', /all zeros; firmware formats it/],
      [new Uint8Array(0x4000).fill(0xff), 'vars-none', /erased; firmware formats it/],
      [smallStore().subarray(0, 0x2800), 'vars-unknown', /cut off/],
      [several, 'vars-several', /0x0 and 0x3000/],
      [foreign, 'vars-unknown', /signature/],
      [tooLong, 'vars-unknown', /bytes long/],
    ] as const) {
      assert.throws(() => VariableStore.read(image), userError(code, text));
    }
  });
});

describe('changing a store', () => {
  test('a new variable goes behind the others, byte for byte as EDK2 writes it', () => {
    const image = smallStore(A);
    const store = VariableStore.read(image);
    assert.equal(store.set(setting({ name: 'B', data: Uint8Array.of(4) })), 'appended');
    assert.deepEqual(store.part.bytes, smallStore(A, B));
    assert.deepEqual(image, smallStore(A), 'the image that was given has not changed');
  });

  test('a changed one is marked deleted, as after a replacement', () => {
    const store = VariableStore.read(smallStore(A, B));
    store.set(setting());
    assert.deepEqual(store.part.bytes, smallStore({ ...A, state: 0x3c }, B, { name: 'A', data: [9] }));
  });

  test('a deleted one is marked so at once', () => {
    const store = VariableStore.read(smallStore(A, B));
    assert.equal(store.delete('A', TEST_GUID), true);
    assert.deepEqual(store.part.bytes, smallStore({ ...A, state: 0x3d }, B));
    assert.equal(store.delete('A', TEST_GUID), false);
  });

  test('where nothing is to be changed, no byte is', () => {
    const store = VariableStore.read(smallStore(A, B));
    assert.equal(store.set(setting({ data: Uint8Array.of(1, 2, 3) })), 'unchanged');
    assert.deepEqual(store.part.bytes, smallStore(A, B));
  });

  test('an old one whose replacement did not happen goes with the one that replaces it', () => {
    const store = VariableStore.read(smallStore({ ...A, state: 0x3e }, { ...A, data: [5] }));
    store.set(setting());
    assert.deepEqual(states(store), [0x3c, 0x3c, 0x3f]);
    assert.deepEqual(values(store), { A: [9] });
  });

  test('without room, what is deleted is dropped', () => {
    const big = (byte: number): VariableSetting =>
      setting({ name: 'big', data: new Uint8Array(1000).fill(byte) });
    const store = VariableStore.read(smallStore(A, { ...B, state: 0x3e }));
    const results = Array.from({ length: 8 }, (_, byte) => store.set(big(byte)));
    assert.deepEqual(new Set(results), new Set(['appended', 'compacted']));
    assert.deepEqual(Object.keys(values(store)).sort(), ['A', 'B', 'big']);
    assert.equal(store.variables.find(({ name }) => name === 'big')?.data[0], 7);
    assert.deepEqual(
      store.problems.filter(({ kind }) => kind !== 'unreplaced'),
      [],
    );
  });

  test('compacting puts added ones first, then those whose replacement did not happen, then the new one', () => {
    const filler = (length: number): TestEntry => ({
      name: 'f',
      state: 0x3c,
      data: Array<number>(length).fill(0),
    });
    const room = SMALL.storeEnd - FIRST_AT - 3 * 68;
    const store = VariableStore.read(
      smallStore({ ...B, state: 0x3e }, filler(room - 64), A, { name: 'C', data: [1] }),
    );
    assert.equal(store.set(setting({ name: 'D' })), 'compacted');
    assert.deepEqual(store.part.bytes, smallStore(A, { name: 'C', data: [1] }, B, { name: 'D', data: [9] }));
  });

  test('a store that is full stays as it is', () => {
    const store = VariableStore.read(smallStore(A));
    const before = store.part.bytes.slice();
    const most = SMALL.storeEnd - FIRST_AT - 68 - 64;
    const big = (length: number) => setting({ name: 'B', data: new Uint8Array(length) });
    assert.throws(
      () => store.set(big(most + 1)),
      userError('vars-full', /"B" needs \d+ bytes, and of \d+ are \d+ left/),
    );
    assert.deepEqual(store.part.bytes, before);
    store.set(big(most));
    assert.equal(store.space.freeBytes, 0);
    assert.deepEqual(VariableStore.read(store.part.bytes).problems, []);
  });

  test('what cannot be a variable of a store is refused', () => {
    const store = VariableStore.read(smallStore(A));
    for (const [change, code] of [
      [{ name: '' }, 'vars-name'],
      [{ name: 'a\0b' }, 'vars-name'],
      [{ data: new Uint8Array() }, 'vars-empty'],
      [{ attributes: 6 }, 'vars-attributes'],
      [{ attributes: 5 }, 'vars-attributes'],
      [{ attributes: 0x47 }, 'vars-attributes'],
      [{ attributes: 0x107 }, 'vars-attributes'],
      [{ time: new Uint8Array(3) }, 'vars-time'],
    ] as const) {
      assert.throws(() => store.set(setting(change)), userError(code, /accepted|NV|BS|attr|stored/));
    }
    assert.deepEqual(store.part.bytes, smallStore(A));
  });

  test('variables that take a signature are changed with force only, and keep their time', () => {
    const signed: TestEntry = { name: 'S', attributes: 0x27, data: [1] };
    const image = smallStore(signed);
    image[FIRST_AT + 16] = 0xe7;
    image[FIRST_AT + 17] = 7;
    const store = VariableStore.read(image);
    const change = setting({ name: 'S', attributes: 0x27 });
    assert.throws(() => store.set(change), userError('vars-signed', /"S".*signature/));
    assert.throws(() => store.set(setting({ name: 'S' })), userError('vars-signed', /signature/));
    assert.throws(() => store.delete('S', TEST_GUID), userError('vars-signed', /signature/));
    assert.throws(
      () => store.set(setting({ name: 'PK', guid: GLOBAL_GUID })),
      userError('vars-signed', /"PK" of EfiGlobalVariable/),
    );
    assert.deepEqual(store.part.bytes, image);
    store.set(change, { force: true });
    assert.deepEqual([...store.find('S')[0]!.time.subarray(0, 2)], [0xe7, 7]);
  });
});

describe('checking and repairing', () => {
  const repaired = (image: Uint8Array): Uint8Array => {
    const before = VariableStore.read(image);
    const { part, left } = repairStore(image);
    assert.ok(part);
    const copy = image.slice();
    copy.set(part.bytes, part.offset);
    assert.deepEqual(left, VariableStore.read(copy).problems);
    const byName = (store: VariableStore): unknown => Object.entries(values(store)).sort();
    assert.deepEqual(byName(VariableStore.read(copy)), byName(before), 'the variables are the same');
    return copy;
  };

  test('a sound store is left alone', () => {
    assert.deepEqual(repairStore(smallStore(A, { ...B, state: 0x3c })), {
      repaired: [],
      left: [],
      part: undefined,
    });
  });

  test('one that was replaced is marked deleted', () => {
    const image = smallStore({ ...A, state: 0x3e }, { ...A, data: [7] });
    assert.deepEqual(kinds(image), ['warning replaced']);
    assert.deepEqual(repaired(image), smallStore({ ...A, state: 0x3c }, { ...A, data: [7] }));
  });

  test('one whose replacement did not happen is as it was', () => {
    const image = smallStore({ ...A, state: 0x3e }, B);
    assert.deepEqual(kinds(image), ['warning unreplaced']);
    assert.deepEqual(repaired(image), smallStore(B, A));
  });

  test('of two, the one that firmware uses stays', () => {
    const image = smallStore(A, { ...A, data: [7] });
    assert.deepEqual(kinds(image), ['error duplicate']);
    assert.throws(
      () => VariableStore.read(image).set(setting()),
      userError('vars-damaged', /second "A".*repair/),
    );
    assert.deepEqual(repaired(image), smallStore(A));
    const old = smallStore({ ...A, state: 0x3e }, { ...A, state: 0x3e, data: [7] });
    assert.deepEqual(kinds(old), ['warning unreplaced', 'error unreplaced']);
    assert.deepEqual(repaired(old), smallStore({ ...A, data: [7] }));
  });

  test('free space is erased, unless it hides variables', () => {
    const zeros = smallStore(A);
    zeros.fill(0x30, FIRST_AT + 68, SMALL.storeEnd);
    assert.deepEqual(kinds(zeros), ['warning free-space']);
    assert.deepEqual(repaired(zeros), smallStore(A));

    const stranded = smallStore(A, B, { name: 'C', data: [1] });
    stranded[FIRST_AT + 68] = 0;
    assert.deepEqual(kinds(stranded), ['error stranded']);
    assert.equal(repairStore(stranded).part, undefined);
    assert.throws(
      () => VariableStore.read(stranded).set(setting()),
      userError('vars-damaged', /looks like variables/),
    );
  });

  test("a volume header's checksum is put right", () => {
    const image = smallStore(A);
    image[0x33]! ^= 0x40;
    assert.deepEqual(kinds(image), ['error volume-checksum']);
    assert.deepEqual(repaired(image), smallStore(A));
  });

  test('what is not understood is said and left', () => {
    const unknownState = smallStore({ ...A, state: 0xbf }, B);
    const overrun = smallStore(A, B);
    overrun[FIRST_AT + 68 + 42] = 1;
    const badName = smallStore(A);
    badName[FIRST_AT + 62] = 0x42;
    const unhealthy = smallStore(A);
    unhealthy[0x5d] = 0xfc;
    const polarity = smallStore(A);
    polarity[0x2d] = 6;
    polarity[0x33]! += 8;
    for (const [image, kind] of [
      [unknownState, 'state'],
      [overrun, 'overrun'],
      [badName, 'name'],
      [unhealthy, 'store-header'],
      [polarity, 'volume-header'],
    ] as const) {
      assert.deepEqual(kinds(image), [`error ${kind}`]);
      assert.equal(repairStore(image).part, undefined);
      assert.throws(() => VariableStore.read(image).set(setting()), userError('vars-damaged', /not changed/));
      assert.throws(
        () => VariableStore.read(image).delete('A', TEST_GUID),
        userError('vars-damaged', /not changed/),
      );
    }
  });

  test('an update whose new contents are in the spare area is carried to its end', () => {
    const done = withUpdate(smallStore(A, B), 0xf8, 0xf9);
    assert.deepEqual(kinds(done), []);
    // Header allocated and writes allocated, spare complete; of the target a part.
    const cut = withUpdate(smallStore(A), 0xfc, 0xfd);
    cut.copyWithin(SMALL.spareAt, 0, SMALL.blockBytes);
    cut.set(smallStore(A, B).subarray(0, SMALL.blockBytes), SMALL.spareAt);
    for (const from of [0x800, FIRST_AT + 10, 0x60, 0]) {
      const image = cut.slice();
      image.fill(0xff, from, SMALL.blockBytes);
      assert.deepEqual(kinds(image), ['error update-interrupted']);
      assert.deepEqual(values(VariableStore.read(image)), { A: [1, 2, 3], B: [4] });
      assert.deepEqual(repaired(image), done);
      assert.throws(
        () => VariableStore.read(image).set(setting()),
        userError('vars-damaged', /interrupted.*repair/),
      );
    }
  });

  test('an update that had changed nothing yet is given up, one that had changed all is closed', () => {
    assert.deepEqual(repaired(withUpdate(smallStore(A), 0xfc, 0xff)), withUpdate(smallStore(A), 0xf8, 0xff));
    assert.deepEqual(repaired(withUpdate(smallStore(A), 0xfc, 0xf9)), withUpdate(smallStore(A), 0xf8, 0xf9));
  });

  test('an update that cannot be followed is left to firmware', () => {
    const bootBlock = withUpdate(smallStore(A), 0xfc, 0xfc);
    const elsewhere = withUpdate(smallStore(A), 0xfc, 0xfd);
    elsewhere[SMALL.workingAt + 32 + 72 + 1]! ^= 0x10;
    const tooMany = withUpdate(smallStore(A), 0xfc, 0xfd);
    tooMany[SMALL.workingAt + 32 + 25] = 1;
    for (const image of [bootBlock, elsewhere, tooMany]) {
      assert.deepEqual(kinds(image), ['error update-interrupted']);
      assert.equal(repairStore(image).part, undefined);
    }
  });

  test('a damaged working block is left to firmware, and does not keep from changes', () => {
    const image = smallStore(A);
    image[SMALL.workingAt + 16]! ^= 1;
    assert.deepEqual(kinds(image), ['warning working-block']);
    assert.equal(VariableStore.read(image).set(setting()), 'appended');
    const none = smallStore(A);
    none.fill(0xff, SMALL.workingAt, SMALL.spareAt);
    assert.deepEqual(kinds(none), ['note working-block']);
  });
});
