/**
 * Variable stores with something wrong in them: nothing that they contain makes their reader throw anything but a
 * mistake's one line, take long, or write a store that is worse than it was.
 */
import { strict as assert } from 'node:assert';

import { UserError } from '#v8a/base/errors.js';
import { changeBootSettings, readBootSettings } from '#v8a/varstore/boot-options.js';
import { describeBlocks } from '#v8a/varstore/describe-image.js';
import { formatDevicePath } from '#v8a/varstore/device-path.js';
import { formatJson, parseJson } from '#v8a/varstore/json.js';
import { repairStore } from '#v8a/varstore/repair.js';
import { GLOBAL_GUID, SMALL, smallStore, TEST_GUID, withUpdate } from '#v8a/varstore/store-suite.js';
import { VariableStore } from '#v8a/varstore/variable-store.js';

import { Random } from '../virtio-fuzz/random.js';

/** Far more time of the processor than one store takes on a slow host. */
const LIMIT_US = 2_000_000;

const OPTION = [1, 0, 0, 0, 24, 0, 0x41, 0, 0, 0, 4, 4, 8, 0, 0x42, 0, 0, 0, 1, 1, 6, 0, 1, 2, 2, 1, 6, 0, 1, 2, 0x7f, 0xff, 4, 0]; // prettier-ignore

/** Each kind of thing that stores have. */
function sources(): Uint8Array[] {
  const global = { guid: GLOBAL_GUID };
  const boot = [
    { ...global, name: 'Boot0000', data: OPTION },
    { ...global, name: 'BootOrder', data: [0, 0, 1, 0] },
    { ...global, name: 'Timeout', data: [5, 0] },
  ];
  const a = { name: 'A', data: [1, 2, 3] };
  const full = smallStore(...boot, { ...a, data: Array<number>(SMALL.storeEnd - 600).fill(0x55) });
  const cut = withUpdate(smallStore(a), 0xfc, 0xfd);
  cut.set(full.subarray(0, SMALL.blockBytes), SMALL.spareAt);
  cut.fill(0xff, 0x700, SMALL.blockBytes);
  return [
    smallStore(...boot),
    smallStore({ ...a, state: 0x3c }, { ...a, state: 0x3e }, ...boot, a, {
      ...a,
      name: 'S',
      attributes: 0x27,
    }),
    full,
    cut,
    withUpdate(full, 0xf8, 0xf9),
  ];
}

/** Places where a changed byte means something else, beside the working block's. */
const EDGES = [0x20, 0x28, 0x30, 0x38, 0x48, 0x58, 0x5c, 0x64, 0x66, 0x68, 0x88, 0x8c];

/** Stores to damage, of one layout. */
interface Sources {
  readonly images: readonly Uint8Array[];
  readonly workingAt: number;
  /** Most of them is before. */
  readonly usedBytes: number;
}

const SMALL_SOURCES: Sources = { images: sources(), workingAt: SMALL.workingAt, usedBytes: 0x400 };

/** EDK2's layout in both kinds of firmware: variables, working block, spare, each of 256 KiB. */
const EDK2 = { bytes: 0xc_0000, workingAt: 0x4_0000 } as const;

/** A store that firmware wrote, at the start of an image. */
export function realSources(image: Uint8Array): Sources {
  const volume = Uint8Array.from(image.subarray(0, EDK2.bytes));
  const variables = volume.subarray(0, EDK2.workingAt);
  return {
    images: [volume],
    workingAt: EDK2.workingAt,
    usedBytes: variables.findLastIndex((byte) => byte !== 0xff),
  };
}

function mutate(random: Random, { images, workingAt, usedBytes }: Sources): Uint8Array {
  let image = random.pick(images).slice();
  const edges = [...EDGES, workingAt, workingAt + 32];
  // Before the free space, mostly.
  const place = (): number =>
    Math.min(
      image.length - 1,
      random.oneIn(2)
        ? random.pick(edges) + random.below(64)
        : random.below(random.oneIn(3) ? image.length : usedBytes),
    );
  for (let changes = random.below(6); changes >= 0 && image.length > 0; changes--) {
    const [from, to, length] = [place(), place(), random.below(200)];
    switch (random.below(7)) {
      case 0:
      case 1:
        image[from]! ^= 1 << random.below(8);
        break;
      case 2:
        image[from] = random.number(8);
        break;
      case 3:
        new DataView(image.buffer).setUint32(Math.min(from, image.length - 4) & ~3, random.number(32), true);
        break;
      case 4:
        image.copyWithin(to, from, from + length);
        break;
      case 5:
        image.set(random.pick(images).slice(from, Math.min(from + length, image.length)), from);
        break;
      default:
        if (random.oneIn(4)) image = image.slice(0, Math.max(4, place() + 1));
        else image.fill(random.pick([0, 0xff, 0x55]), from, from + length);
    }
    if (image.length < 4) break;
  }
  return image;
}

export interface FuzzCounts {
  /** Of which there was a store to read. */
  readable: number;
  /** Of those, without a problem. */
  sound: number;
  repaired: number;
  /** Changes made. */
  changed: number;
  refused: number;
}

/** Reads, repairs and changes `count` stores. Throws where one does what none may; the message has its number. */
export function fuzz(count: number, seed: number, all: Sources = SMALL_SOURCES): FuzzCounts {
  const counts: FuzzCounts = { readable: 0, sound: 0, repaired: 0, changed: 0, refused: 0 };
  for (let number = 0; number < count; number++) {
    const random = new Random(seed + number);
    const image = mutate(random, all);
    const start = process.cpuUsage();
    try {
      visit(image, random, counts);
    } catch (error) {
      throw new Error(`store ${number} of seed ${seed}`, { cause: error });
    }
    const { user, system } = process.cpuUsage(start);
    assert.ok(user + system < LIMIT_US, `store ${number} of seed ${seed} took too long`);
  }
  return counts;
}

/** What `action` returns; undefined where it was refused as a mistake. */
function attempt<Result>(action: () => Result): Result | undefined {
  try {
    return action();
  } catch (error) {
    assert.ok(error instanceof UserError && error.code.startsWith('vars-'), String(error));
    assert.doesNotMatch(error.message, /\n/);
    return undefined;
  }
}

type Values = ReadonlyMap<string, string>;

function valuesOf(store: VariableStore): Values {
  return new Map(
    store.variables.map(({ name, guid, attributes, data, time }) => [
      `${guid} ${JSON.stringify(name)}`,
      [attributes, ...data, '', ...time].join(),
    ]),
  );
}

const troubles = (store: VariableStore): number =>
  store.problems.filter(({ severity }) => severity !== 'note').length;

function visit(image: Uint8Array, random: Random, counts: FuzzCounts): void {
  const original = image.slice();
  describeBlocks(image, SMALL.blockBytes);
  const store = attempt(() => VariableStore.read(image));
  const repair = attempt(() => repairStore(image));
  assert.equal(repair === undefined, store === undefined);
  if (!store || !repair) return;
  counts.readable++;
  if (troubles(store) === 0) counts.sound++;
  const before = valuesOf(store);
  readBootSettings(store);
  for (const { data } of store.variables) formatDevicePath(data);
  assert.deepEqual(parseJson(formatJson(store.variables)), store.variables);

  if (repair.part) {
    counts.repaired++;
    const next = written(image, repair.part);
    assert.deepEqual(new Map([...valuesOf(next)].sort()), new Map([...before].sort()));
    assert.ok(next.problems.length < store.problems.length);
  }
  const changes: readonly ((store: VariableStore) => [key: string, isDeleted: boolean])[] = [
    (changing) => {
      const data = random.bytes(1 + random.below(random.oneIn(3) ? 4000 : 40));
      changing.set({ name: 'A', guid: TEST_GUID, attributes: 7, data });
      return [`${TEST_GUID} "A"`, false];
    },
    (changing) => {
      changing.delete('A', TEST_GUID);
      return [`${TEST_GUID} "A"`, true];
    },
    (changing) => {
      changeBootSettings(changing, { timeoutSeconds: random.below(0x10000) });
      return [`${GLOBAL_GUID} "Timeout"`, false];
    },
  ];
  for (const change of changes) {
    const changing = VariableStore.read(image);
    const done = attempt(() => change(changing));
    if (!done) {
      counts.refused++;
      const { offset, bytes } = changing.part;
      assert.deepEqual(bytes, VariableStore.read(image).part.bytes, `volume at ${offset}`);
      continue;
    }
    counts.changed++;
    const [key, isDeleted] = done;
    const next = written(image, changing.part);
    const after = valuesOf(next);
    assert.ok(troubles(next) <= troubles(store));
    assert.equal(after.has(key), !isDeleted);
    const others = (values: Values): unknown => [...values].filter(([other]) => other !== key).sort();
    assert.deepEqual(others(after), others(before));
  }
  assert.deepEqual(image, original, 'what was given has not changed');
}

/** The store in `image` with `part` in its place. */
function written(image: Uint8Array, part: VariableStore['part']): VariableStore {
  const copy = image.slice();
  copy.set(part.bytes, part.offset);
  return VariableStore.read(copy);
}
