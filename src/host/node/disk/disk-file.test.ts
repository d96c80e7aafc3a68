import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { UserError } from '../../../base/index.js';
import type { BlockTarget } from '../../../bus/index.js';
import { openDiskFile, type DiskEnvironment, type DiskFile, type DiskFileOptions } from './disk-file.js';
import type { DiskFiles } from './raw-file.js';

let directory = '';
const at = (name: string): string => join(directory, name);

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'v8a-disk-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

/** A disk with what a device and a machine would see of it. */
interface Rig {
  readonly disk: DiskFile;
  readonly failures: string[];
  readonly read: (offset: number, length: number) => Uint8Array;
  readonly write: (offset: number, bytes: Uint8Array) => boolean;
  readonly zero: (offset: number, length: number) => boolean;
  readonly flush: () => boolean;
}

function open(
  options: Partial<DiskFileOptions> & { path: string },
  environment: Partial<DiskEnvironment> = {},
): Rig {
  const failures: string[] = [];
  const disk = openDiskFile(
    { isReadOnly: false, overlay: false, ...options },
    {
      flushesLater: false,
      onFailure: (line) => failures.push(line),
      onDone: () => undefined,
      ...environment,
    },
  );
  const wait = (start: (done: (isOk: boolean) => void) => void): boolean => {
    let result: boolean | undefined;
    start((isOk) => (result = isOk));
    assert.ok(result !== undefined, 'done at once');
    return result;
  };
  return {
    disk,
    failures,
    read: (offset, length) => {
      const into = new Uint8Array(length).fill(0xcc);
      assert.ok(wait((done) => disk.read(offset, inParts(into), done)));
      return into;
    },
    write: (offset, bytes) => wait((done) => disk.write(offset, bytes, done)),
    zero: (offset, length) => wait((done) => disk.writeZeros(offset, length, done)),
    flush: () => wait((done) => disk.flush(done)),
  };
}

function image(name: string, sizeBytes: number, fill = (i: number): number => (i >> 9) % 251): string {
  fs.writeFileSync(
    at(name),
    Uint8Array.from({ length: sizeBytes }, (_, i) => fill(i)),
  );
  return at(name);
}

const isLocked = (code: string) => (error: unknown) => error instanceof UserError && error.code === code;

/** Guest memory in pieces of odd sizes, more than a host takes at once where there is much of it. */
function inParts(bytes: Uint8Array): BlockTarget {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += parts.length * 7)
    parts.push(bytes.subarray(at, at + parts.length * 7 + 7));
  return { length: bytes.length, lend: () => parts };
}

/** Fails at the calls named. */
function failing(calls: Partial<DiskFiles>): DiskFiles {
  return { ...fs, ...calls };
}

function enospc(): never {
  throw Object.assign(new Error('write'), { code: 'ENOSPC' });
}

describe('raw images', () => {
  test('are the disk, byte for byte', () => {
    const path = image('a.img', 8192);
    const { disk, read, write } = open({ path });
    assert.equal(disk.sizeBytes, 8192);
    assert.deepEqual(read(1024, 512), new Uint8Array(512).fill(2));
    assert.ok(write(1024, new Uint8Array(512).fill(0xee)));
    assert.deepEqual(
      read(1024, 1024),
      Uint8Array.from({ length: 1024 }, (_, i) => (i < 512 ? 0xee : 3)),
    );
    disk.close();
    assert.deepEqual(
      [...fs.readFileSync(path).subarray(1020, 1030)],
      [1, 1, 1, 1, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee],
    );
    assert.deepEqual(fs.readdirSync(directory), ['a.img']);
  });

  test('larger than 4 GiB, with holes that stay', () => {
    const sizeBytes = 5 * 2 ** 30;
    fs.writeFileSync(at('big.img'), '');
    fs.truncateSync(at('big.img'), sizeBytes);
    const { disk, read, write, zero } = open({ path: at('big.img') });
    assert.equal(disk.sizeBytes, sizeBytes);
    const place = 2 ** 32 + 512;
    assert.ok(write(place, new Uint8Array(512).fill(7)));
    assert.deepEqual(
      read(place - 512, 1536),
      Uint8Array.from({ length: 1536 }, (_, i) => (i >= 512 && i < 1024 ? 7 : 0)),
    );
    assert.ok(zero(0, 16 * 2 ** 20));
    assert.ok(zero(place, 512));
    assert.deepEqual(read(place, 512), new Uint8Array(512));
    disk.close();
    const { size, blocks } = fs.statSync(at('big.img'));
    assert.equal(size, sizeBytes);
    assert.ok(blocks * 512 < 2 ** 20, `${blocks} blocks`);
  });

  test('of no whole sectors: the rest reads as zeros, and a notice says so', () => {
    const path = image('odd.img', 1000, () => 5);
    const { disk, read, write } = open({ path });
    assert.equal(disk.sizeBytes, 1024);
    assert.match(disk.notices[0] ?? '', /odd\.img: its 1000 bytes are no whole sectors/);
    assert.deepEqual([...read(512, 512)].slice(486), [5, 5, ...Array<number>(24).fill(0)]);
    assert.ok(write(512, new Uint8Array(512).fill(6)));
    disk.close();
    assert.equal(fs.statSync(path).size, 1024);
  });

  test('a read is one call to the host however many places it goes to; none where nobody wants it', () => {
    const offsets: unknown[] = [];
    const files = failing({
      readvSync: (fd, buffers, position) => {
        offsets.push(position);
        return fs.readvSync(fd, buffers, position);
      },
    });
    const { disk, read } = open({ path: image('a.img', 8192), isReadOnly: true }, { files });
    assert.deepEqual(
      read(512, 4096),
      Uint8Array.from({ length: 4096 }, (_, i) => 1 + (i >> 9)),
    );
    assert.deepEqual(offsets, [512]);
    const answers: boolean[] = [];
    disk.read(0, { length: 512, lend: () => undefined }, (isOk) => answers.push(isOk));
    assert.deepEqual([answers, offsets.length], [[false], 1]);
    disk.close();
  });

  test('a read that the host cuts short goes on where it stopped', () => {
    const files = failing({
      readvSync: (fd, buffers, position) => {
        const [first = new Uint8Array(0)] = buffers;
        return fs.readSync(fd, first, 0, Math.ceil(first.byteLength / 2), position ?? 0);
      },
    });
    const path = image('a.img', 2000, (i) => i % 251);
    const { disk, read } = open({ path, isReadOnly: true }, { files });
    const expected = new Uint8Array(1536);
    expected.set(fs.readFileSync(path).subarray(512));
    assert.deepEqual(read(512, 1536), expected);
    disk.close();
  });

  test('read-only ones are opened for reading', () => {
    const path = image('a.img', 1024);
    const modes: unknown[] = [];
    const files = failing({
      openSync: (...parameters: Parameters<typeof fs.openSync>) => {
        modes.push(parameters[1]);
        return fs.openSync(...parameters);
      },
    });
    const { disk } = open({ path, isReadOnly: true }, { files });
    assert.ok(disk.isReadOnly);
    assert.deepEqual(modes, ['r']);
    disk.close();
  });
});

describe('a flush', () => {
  test('is done when fdatasync(2) has returned, and costs nothing where nothing was written', () => {
    const calls: string[] = [];
    const files = failing({
      writeSync: ((...parameters: Parameters<typeof fs.writeSync>) => {
        calls.push('write');
        return fs.writeSync(...parameters);
      }) as typeof fs.writeSync,
      fdatasyncSync: () => void calls.push('sync'),
    });
    const { flush, write, disk } = open({ path: image('a.img', 1024) }, { files });
    assert.ok(flush());
    assert.deepEqual(calls, []);
    assert.ok(write(0, new Uint8Array(512)));
    assert.ok(flush());
    assert.ok(flush());
    assert.deepEqual(calls, ['write', 'sync']);
    write(0, new Uint8Array(512));
    disk.close();
    assert.deepEqual(calls, ['write', 'sync', 'write', 'sync']);
  });

  test('in the background: done when the host says so, those that follow wait for it too', () => {
    const syncs: ((error: NodeJS.ErrnoException | null) => void)[] = [];
    let woken = 0;
    const fdatasync = ((_fd: number, done: (typeof syncs)[number]) =>
      void syncs.push(done)) as typeof fs.fdatasync;
    const files = failing({ fdatasync });
    const { disk, write } = open(
      { path: image('a.img', 1024) },
      { files, flushesLater: true, onDone: () => woken++ },
    );
    const done: string[] = [];
    const flush = (name: string): void => disk.flush((isOk) => done.push(`${name} ${isOk}`));
    flush('clean');
    assert.deepEqual(done, ['clean true']);
    write(0, new Uint8Array(512));
    flush('first');
    flush('second');
    assert.deepEqual([done.length, disk.pending, syncs.length], [1, 2, 1]);
    write(0, new Uint8Array(512));
    flush('third');
    assert.equal(syncs.length, 2, 'what was written since needs another');
    syncs[0]?.(null);
    assert.deepEqual(done.slice(1), ['first true', 'second true']);
    syncs[1]?.(Object.assign(new Error('sync'), { code: 'EIO' }));
    assert.deepEqual(done.slice(3), ['third false']);
    assert.deepEqual([disk.pending, woken], [0, 3]);
    flush('fourth');
    assert.equal(syncs.length, 3, 'after a failure there is still something to flush');
    disk.close();
    syncs[2]?.(null);
    assert.equal(done.length, 4, 'nothing is heard of it after the end');
  });
});

describe('a host that fails', () => {
  test('gives the guest an I/O error and the user a line', () => {
    const { write, read, failures, disk } = open(
      { path: image('a.img', 1024) },
      { files: failing({ writeSync: enospc }) },
    );
    assert.ok(!write(0, new Uint8Array(512)));
    assert.ok(!write(0, new Uint8Array(512)));
    assert.deepEqual(
      failures,
      [`disk image ${at('a.img')}: cannot be written: no space left on the disk`],
      'once',
    );
    assert.deepEqual(read(0, 512), new Uint8Array(512));
    disk.close();
  });
});

describe('claims', () => {
  test('one writer, or any number of readers', () => {
    const path = image('a.img', 1024);
    const writer = open({ path });
    for (const isReadOnly of [true, false]) {
      assert.throws(() => open({ path, isReadOnly }), isLocked('disk-locked'));
    }
    assert.throws(() => open({ path, overlay: true }), isLocked('disk-locked'));
    writer.disk.close();
    const readers = [open({ path, isReadOnly: true }), open({ path, overlay: true })];
    assert.throws(() => open({ path }), isLocked('disk-locked'));
    for (const { disk } of readers) disk.close();
    open({ path }).disk.close();
    assert.deepEqual(fs.readdirSync(directory), ['a.img']);
  });

  for (const mode of [0o555, 0o711]) {
    test(`a reader may use an image in a directory of mode ${mode.toString(8)}, a writer may not`, () => {
      const path = image('a.img', 1024);
      fs.chmodSync(directory, mode);
      const module = JSON.stringify(new URL('../file-claim.js', import.meta.url).href);
      const program = `
        import { claimFile } from ${module};
        if (process.geteuid?.() === 0) process.setuid?.(65534);
        claimFile(${JSON.stringify(path)}, 'shared')();
        try { claimFile(${JSON.stringify(path)}); } catch (error) { console.log(error.code); }`;
      const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
      fs.chmodSync(directory, 0o755);
      assert.deepEqual([child.stdout, child.stderr], ['EACCES\n', '']);
    });
  }
});

describe('mistakes are one line', () => {
  const mistakes: readonly (readonly [what: string, code: string, line: RegExp, make: () => Partial<DiskFileOptions>])[] = [
    ['a missing file', 'disk-missing', /does not exist; make one with truncate/, () => ({ path: at('none.img') })],
    ['a directory', 'disk-directory', /is a directory/, () => ({ path: directory })],
    ['an empty file', 'disk-empty', /is empty/, () => ({ path: image('empty.img', 0) })],
    ['a device that is no disk', 'disk-not-a-file', /not a regular file/, () => ({ path: '/dev/null' })],
    ['qcow2 to be written', 'disk-format', /qcow2 image, which can only be read; accepted: .*,ro or .*,overlay/, () => ({
      path: qcow2('a.qcow2', {}),
    })],
    ['an encrypted qcow2', 'disk-format', /encrypted/, () => ({ path: qcow2('a.qcow2', { crypt: 1 }), isReadOnly: true })],
    ['qcow2 of version 1', 'disk-format', /version 1; accepted: 2 and 3/, () => ({
      path: qcow2('a.qcow2', { version: 1 }),
      isReadOnly: true,
    })],
    ['qcow2 with an unknown feature', 'disk-format', /unknown features 0x8000/, () => ({
      path: qcow2('a.qcow2', { features: 0x8000n }),
      isReadOnly: true,
    })],
    ['qcow2 with a data file', 'disk-format', /data in another file/, () => ({
      path: qcow2('a.qcow2', { features: 4n }),
      isReadOnly: true,
    })],
    ['a raw image as qcow2', 'disk-format', /is no qcow2 image/, () => ({
      path: image('a.img', 4096),
      isReadOnly: true,
      format: 'qcow2',
    })],
    ['a cut qcow2', 'disk-format', /damaged/, () => {
      const path = qcow2('a.qcow2', {});
      fs.truncateSync(path, 2048);
      return { path, isReadOnly: true };
    }],
    ['a backing file that nobody vouches for', 'disk-format', /has a backing file, base\.img; accepted: .*format=qcow2/, () => {
      image('base.img', 65536);
      return { path: qcow2('a.qcow2', { backing: 'base.img' }), isReadOnly: true };
    }],
    ['a missing backing file', 'disk-missing', /gone\.img: does not exist/, () => ({
      path: qcow2('a.qcow2', { backing: 'gone.img' }),
      isReadOnly: true,
      format: 'qcow2',
    })],
    ['a backing file that is its own', 'disk-format', /more than 16 backing files/, () => ({
      path: qcow2('a.qcow2', { backing: 'a.qcow2', backingFormat: 'qcow2' }),
      isReadOnly: true,
      format: 'qcow2',
    })],
    ['an overlay that is something else', 'overlay-format', /is no overlay of v8a/, () => ({
      path: image('a.img', 4096),
      overlay: image('b.img', 8192),
    })],
    ['an overlay in no directory', 'overlay-unwritable', /cannot be opened/, () => ({
      path: image('a.img', 4096),
      overlay: at('none/b.img'),
    })],
  ]; // prettier-ignore
  for (const [what, code, line, make] of mistakes) {
    test(what, () => {
      const options = make();
      const before = fs.readdirSync(directory);
      assert.throws(
        () => open({ path: '', ...options }),
        (error) => {
          assert.ok(error instanceof UserError);
          assert.match(error.message, line);
          assert.doesNotMatch(error.message, /\n/);
          assert.equal(error.code, code);
          return true;
        },
      );
      assert.deepEqual(fs.readdirSync(directory), before, 'nothing is left behind');
    });
  }
});

describe('overlays', () => {
  const SIZE = 64 * 1024 + 1536;

  /** Random changes, the same to the disk and to an array. */
  const changes = fc.array(
    fc.record({
      kind: fc.constantFrom('write', 'zero', 'flush', 'read'),
      sector: fc.nat(SIZE / 512 - 1),
      sectors: fc.integer({ min: 1, max: 40 }),
      value: fc.nat(255),
    }),
    { maxLength: 30 },
  );

  const apply = (
    rig: Rig,
    model: Uint8Array,
    steps: readonly { kind: string; sector: number; sectors: number; value: number }[],
  ): void => {
    for (const { kind, sector, sectors, value } of steps) {
      const offset = 512 * sector;
      const length = Math.min(512 * sectors, SIZE - offset);
      if (kind === 'write') {
        const bytes = Uint8Array.from({ length }, (_, i) => value + i);
        assert.ok(rig.write(offset, bytes));
        model.set(bytes, offset);
      } else if (kind === 'zero') {
        assert.ok(rig.zero(offset, length));
        model.fill(0, offset, offset + length);
      } else if (kind === 'flush') {
        assert.ok(rig.flush());
      } else {
        assert.deepEqual(rig.read(offset, length), model.slice(offset, offset + length));
      }
    }
    assert.deepEqual(rig.read(0, SIZE), model);
  };

  test('a temporary one takes what is written, leaves the image as it is, and nothing behind', () => {
    const path = image('a.img', SIZE);
    const original = fs.readFileSync(path);
    const mtime = fs.statSync(path).mtimeMs;
    const temporary = fs.readdirSync(tmpdir()).filter((name) => name.startsWith('v8a-overlay'));
    fc.assert(
      fc.property(changes, (steps) => {
        const rig = open({ path, overlay: true });
        assert.deepEqual(
          fs.readdirSync(tmpdir()).filter((name) => name.startsWith('v8a-overlay')),
          temporary,
        );
        apply(rig, Uint8Array.from(original), steps);
        rig.disk.close();
        assert.ok(fs.readFileSync(path).equals(original));
      }),
      { seed: 0x0ff, numRuns: 40 },
    );
    assert.equal(fs.statSync(path).mtimeMs, mtime);
  });

  test('a named one is there again the next time', () => {
    const path = image('a.img', SIZE);
    const original = fs.readFileSync(path);
    fc.assert(
      fc.property(changes, changes, (first, second) => {
        fs.rmSync(at('over'), { force: true });
        const model = Uint8Array.from(original);
        for (const steps of [first, second]) {
          const rig = open({ path, overlay: at('over') });
          apply(rig, model, steps);
          rig.disk.close();
        }
        const rig = open({ path, overlay: at('over') });
        assert.deepEqual(rig.read(0, SIZE), model);
        rig.disk.close();
        assert.ok(fs.readFileSync(path).equals(original));
      }),
      { seed: 0x0fe, numRuns: 40 },
    );
  });

  test('of a named one everything flushed survives a machine that is killed', () => {
    const path = image('a.img', SIZE);
    const rig = open({ path, overlay: at('over') });
    rig.write(4096, new Uint8Array(1024).fill(1));
    assert.ok(rig.flush());
    rig.write(8192, new Uint8Array(512).fill(2));
    // A kill leaves the file as it is now.
    fs.copyFileSync(at('over'), at('killed'));
    rig.disk.close();
    const after = open({ path, overlay: at('killed') });
    assert.deepEqual(after.read(4096, 1024), new Uint8Array(1024).fill(1));
    const [byte] = after.read(8192, 1);
    assert.ok(byte === 2 || byte === 16, 'not flushed: written or not');
    assert.deepEqual(after.read(8704, 512), new Uint8Array(512).fill(17));
    after.disk.close();
  });

  test('a named one belongs to a base of one size', () => {
    open({ path: image('a.img', 8192), overlay: at('over') }).disk.close();
    assert.throws(
      () => open({ path: image('b.img', 4096), overlay: at('over') }),
      /overlay .*over: was made over .*a\.img of 8192 bytes; this base has 4096/,
    );
  });

  test('two machines cannot write one overlay, but have overlays of one image', () => {
    const path = image('a.img', 8192);
    const first = open({ path, overlay: at('over') });
    assert.throws(() => open({ path, overlay: at('over') }), isLocked('overlay-locked'));
    open({ path, overlay: at('other') }).disk.close();
    first.disk.close();
  });

  test('cost the host what was written', () => {
    fs.writeFileSync(at('big.img'), '');
    fs.truncateSync(at('big.img'), 6 * 2 ** 30);
    const { disk, write, read } = open({ path: at('big.img'), overlay: at('over') });
    write(5 * 2 ** 30, new Uint8Array(4096).fill(1));
    assert.deepEqual(read(5 * 2 ** 30, 4096), new Uint8Array(4096).fill(1));
    disk.close();
    assert.ok(fs.statSync(at('over')).blocks * 512 < 2 ** 20);
  });
});

interface Qcow2Options {
  readonly version?: number;
  readonly crypt?: number;
  readonly features?: bigint;
  readonly backing?: string;
  readonly backingFormat?: string;
  readonly clusterBits?: number;
  readonly sizeBytes?: number;
  /** By number: what a cluster is. Those left out are not allocated. */
  readonly clusters?: Readonly<Record<number, 'data' | 'zero' | 'zero with data' | 'packed'>>;
}

/** What the `index`th cluster holds where it has data. */
const clusterData = (index: number, bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => index + (i >> 4));

/** Writes an image as QEMU docs/interop/qcow2.txt describes it, without reference counts. */
function qcow2(name: string, options: Qcow2Options): string {
  const {
    version = 3,
    crypt = 0,
    features = 0n,
    clusterBits = 12,
    sizeBytes = 40 * 4096 - 512,
    clusters = {},
  } = options;
  const cluster = 2 ** clusterBits;
  const parts = new Map<number, Uint8Array>();
  const header = new DataView(new ArrayBuffer(cluster));
  const l1 = new DataView(new ArrayBuffer(cluster));
  const l2 = new DataView(new ArrayBuffer(cluster));
  header.setUint32(0, 0x5146_49fb);
  header.setUint32(4, version);
  header.setUint32(20, clusterBits);
  header.setBigUint64(24, BigInt(sizeBytes));
  header.setUint32(32, crypt);
  header.setUint32(36, 1);
  header.setBigUint64(40, BigInt(cluster));
  header.setBigUint64(72, features);
  header.setUint32(100, 104);
  if (options.backing !== undefined) {
    const text = new TextEncoder().encode(options.backing);
    const format = new TextEncoder().encode(options.backingFormat ?? 'raw');
    header.setUint32(104, 0xe279_2aca);
    header.setUint32(108, format.length);
    new Uint8Array(header.buffer).set(format, 112);
    new Uint8Array(header.buffer).set(text, 200);
    header.setBigUint64(8, 200n);
    header.setUint32(16, text.length);
  }
  l1.setBigUint64(0, BigInt(2 * cluster) | (1n << 63n));
  parts.set(0, new Uint8Array(header.buffer));
  parts.set(cluster, new Uint8Array(l1.buffer));
  parts.set(2 * cluster, new Uint8Array(l2.buffer));
  let next = 3 * cluster;
  for (const [key, kind] of Object.entries(clusters)) {
    const index = Number(key);
    let entry = 0n;
    if (kind === 'packed') {
      const packed = deflateRawSync(clusterData(index, cluster));
      // Anywhere, not only at a sector.
      next += 100;
      const sectors = Math.floor((next + packed.length - 1) / 512) - Math.floor(next / 512);
      entry = (1n << 62n) | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | BigInt(next);
      parts.set(next, packed);
      next += packed.length;
    } else {
      next = Math.ceil(next / cluster) * cluster;
      if (kind !== 'zero') {
        parts.set(next, clusterData(index, cluster));
        entry = BigInt(next) | (1n << 63n);
        next += cluster;
      }
      if (kind !== 'data') entry |= 1n;
    }
    l2.setBigUint64(8 * index, entry);
  }
  const file = new Uint8Array(Math.max(next, 3 * cluster));
  for (const [offset, bytes] of parts) file.set(bytes, offset);
  fs.writeFileSync(at(name), file);
  return at(name);
}

describe('qcow2 images', () => {
  const CLUSTER = 4096;
  const clusters = {
    0: 'data',
    1: 'packed',
    3: 'zero',
    4: 'zero with data',
    5: 'packed',
    7: 'data',
  } as const;

  test('data, compressed clusters, zeros, and what was never written', () => {
    const { disk, read } = open({ path: qcow2('a.qcow2', { clusters }), isReadOnly: true });
    assert.equal(disk.sizeBytes, 40 * CLUSTER - 512);
    const expected = new Uint8Array(disk.sizeBytes);
    for (const index of [0, 1, 5, 7]) expected.set(clusterData(index, CLUSTER), CLUSTER * index);
    assert.deepEqual(read(0, disk.sizeBytes), expected);
    for (let offset = 0; offset < 9 * CLUSTER; offset += 1536) {
      assert.deepEqual(read(offset, 2560), expected.slice(offset, offset + 2560));
    }
    disk.close();
  });

  test('in version 2 there is no zero flag', () => {
    const { disk, read } = open({ path: qcow2('a.qcow2', { version: 2, clusters }), isReadOnly: true });
    assert.deepEqual(read(4 * CLUSTER, CLUSTER), clusterData(4, CLUSTER));
    disk.close();
  });

  test('a backing file shows through, ends earlier, and may be qcow2 itself', () => {
    qcow2('base.qcow2', { sizeBytes: 6 * CLUSTER, clusters: { 2: 'data', 3: 'data', 5: 'data' } });
    const path = qcow2('a.qcow2', {
      clusters: { 3: 'zero', 9: 'data' },
      backing: 'base.qcow2',
      backingFormat: 'qcow2',
    });
    const { disk, read } = open({ path, isReadOnly: true, format: 'qcow2' });
    const expected = new Uint8Array(10 * CLUSTER);
    for (const index of [2, 5, 9]) expected.set(clusterData(index, CLUSTER), CLUSTER * index);
    assert.deepEqual(read(0, 10 * CLUSTER), expected);
    disk.close();
  });

  test('with an overlay they can be written', () => {
    const path = qcow2('a.qcow2', { clusters });
    const original = fs.readFileSync(path);
    const { disk, read, write } = open({ path, overlay: true });
    assert.ok(write(512, new Uint8Array(512).fill(9)));
    const expected = clusterData(0, CLUSTER).fill(9, 512, 1024);
    assert.deepEqual(read(0, CLUSTER), expected);
    disk.close();
    assert.ok(fs.readFileSync(path).equals(original));
  });

  test('whatever a damaged image says, reading fails or gives bytes', () => {
    const intact = fs.readFileSync(qcow2('a.qcow2', { clusters, backing: 'base.img' }));
    image('base.img', 65536);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3 * CLUSTER - 1), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        (damage) => {
          const bytes = Uint8Array.from(intact);
          // Half of them where the fields are.
          for (const [offset, value] of damage) bytes[value % 2 === 0 ? offset % 160 : offset] = value;
          fs.writeFileSync(at('damaged.qcow2'), bytes);
          let disk: DiskFile;
          try {
            ({ disk } = open({ path: at('damaged.qcow2'), isReadOnly: true, format: 'qcow2' }));
          } catch (error) {
            assert.ok(error instanceof UserError);
            return;
          }
          for (let offset = 0; offset + 8192 <= Math.min(disk.sizeBytes, 16 * CLUSTER); offset += 8192) {
            disk.read(offset, inParts(new Uint8Array(8192)), () => undefined);
          }
          disk.close();
        },
      ),
      { seed: 0x9c02, numRuns: 300 },
    );
  });

  const hasQemuImg = spawnSync('qemu-img', ['--version'], { stdio: 'ignore' }).status === 0;
  test('what qemu-img has made reads as it reads', { skip: !hasQemuImg && 'no qemu-img' }, () => {
    const random = (i: number): number => ((i >> 12) % 3 === 0 ? 0 : (i * 2654435761) >>> 24);
    const raw = image('raw.img', 3 * 2 ** 20 + 512, random);
    for (const [name, options] of [
      ['v2', ['-o', 'compat=0.10']],
      ['v3', []],
      ['packed', ['-c']],
      ['small', ['-c', '-o', 'cluster_size=512']],
      ['large', ['-o', 'cluster_size=2M']],
    ] as const) {
      const path = at(`${name}.qcow2`);
      assert.equal(spawnSync('qemu-img', ['convert', '-O', 'qcow2', ...options, raw, path]).status, 0, name);
      const { disk, read } = open({ path, isReadOnly: true });
      assert.ok(fs.readFileSync(raw).equals(read(0, disk.sizeBytes)), name);
      disk.close();
    }
    const child = at('child.qcow2');
    spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'v3.qcow2', '-F', 'qcow2', child, '4M'], {
      cwd: directory,
    });
    const { disk, read } = open({ path: child, isReadOnly: true, format: 'qcow2' });
    assert.equal(disk.sizeBytes, 4 * 2 ** 20);
    assert.ok(fs.readFileSync(raw).equals(read(0, fs.statSync(raw).size)));
    disk.close();
  });
});
