import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { UserError } from '../../base/index.js';
import { userError } from '../../base/user-error-suite.js';
import type { FlashRange } from '../../bus/index.js';
import {
  createFlashFile, openFirmwareFile, openFlashFile, readFlashFile, type FlashFile, type FlashFileOptions,
} from './flash-file.js'; // prettier-ignore
import { decodeJournal, encodeJournal } from './flash-journal.js';
import type { HostFiles } from './image-file.js';

const BLOCK = 4096;
const BANK = 8 * BLOCK;

let directory = '';
let image = '';
let journal = '';

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'v8a-flash-'));
  image = join(directory, 'vars.fd');
  journal = `${image}.v8a-journal`;
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

function open(change: Partial<FlashFileOptions> = {}): FlashFile {
  return openFlashFile({ path: image, bankBytes: BANK, blockBytes: BLOCK, sizing: 'blocks', ...change });
}

/** What a machine started now would find. */
function reopened(): Uint8Array {
  const file = open();
  const array = new Uint8Array(file.sizeBytes);
  file.load((offset, bytes) => array.set(bytes, offset));
  file.close();
  return array;
}

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 31 + (index >> 9)) & 0xff);
}

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: as the host says it`), { code });
}

/** The file system with some calls replaced. */
function filesWith(change: Partial<HostFiles>): HostFiles {
  return { ...fs, ...change };
}

class Killed extends Error {}

/**
 * The file system of a process that is killed during its `victim`th call that changes something. Of a write,
 * `share` of its bytes get through. Nothing does after the kill.
 */
function dyingFiles(victim: number, share: number): { files: HostFiles; calls: () => number } {
  let calls = 0;
  let isDead = false;
  const change = <R>(whole: () => R, part: () => void): R => {
    if (isDead) throw new Killed();
    if (calls++ < victim) return whole();
    isDead = true;
    part();
    throw new Killed();
  };
  const nothing = (): void => undefined;
  const files = filesWith({
    openSync: (path, flags, mode) => change(() => fs.openSync(path, flags, mode), nothing),
    fsyncSync: (fd) => change(() => fs.fsyncSync(fd), nothing),
    unlinkSync: (path) => change(() => fs.unlinkSync(path), nothing),
    closeSync: (fd) =>
      change(
        () => fs.closeSync(fd),
        () => fs.closeSync(fd),
      ),
    writeSync: ((fd: number, bytes: Uint8Array, from: number, length: number, position: number) =>
      change(
        () => fs.writeSync(fd, bytes, from, length, position),
        () => fs.writeSync(fd, bytes, from, Math.floor(length * share), position),
      )) as HostFiles['writeSync'],
  });
  return { files, calls: () => calls };
}

/** A dead process's claim, as far as this process can leave one. */
function forgetClaims(): void {
  for (const name of fs.readdirSync(directory)) {
    if (name.includes('.v8a-lock.')) fs.rmSync(join(directory, name));
  }
}

describe('flash image: what cannot be opened is one line and changes nothing', () => {
  test('missing', () => {
    assert.throws(() => open(), userError('flash-missing', /vars\.fd: does not exist; copy/));
    assert.throws(() => open({ path: join(image, 'x') }), userError('flash-missing', /does not exist/));
    assert.deepEqual(fs.readdirSync(directory), []);
  });

  test('a directory, a device', () => {
    assert.throws(() => open({ path: directory }), userError('flash-directory', /is a directory/));
    assert.throws(() => open({ path: '/dev/null' }), userError('flash-not-a-file', /not a regular file/));
  });

  test('empty, too small, too large, no whole blocks', () => {
    for (const [size, code, text] of [
      [0, 'flash-empty', /is empty; copy/],
      [100, 'flash-too-small', /100 bytes are less than one erase block of 4 KiB/],
      [BANK + BLOCK, 'flash-too-large', /36 KiB do not fit the flash bank of 32 KiB/],
      [BLOCK + 1, 'flash-size', /4097 bytes is not a multiple of the erase block of 4 KiB/],
    ] as const) {
      fs.writeFileSync(image, new Uint8Array(size));
      assert.throws(() => open(), userError(code, text));
      assert.deepEqual(fs.readdirSync(directory), ['vars.fd']);
      assert.equal(fs.statSync(image).size, size);
    }
  });

  test('read-only and unreadable (as the host reports them)', () => {
    fs.writeFileSync(image, new Uint8Array(BLOCK));
    const readOnly = filesWith({
      openSync: (path, flags, mode) => {
        if (flags === 'r+') throw errno('EROFS');
        return fs.openSync(path, flags, mode);
      },
    });
    assert.throws(
      () => open({ files: readOnly }),
      userError('flash-read-only', /the file system is read-only; make/),
    );
    const unreadable = filesWith({
      openSync: () => {
        throw errno('EACCES');
      },
    });
    assert.throws(() => open({ files: unreadable }), userError('flash-unreadable', /permission denied/));
    assert.deepEqual(fs.readdirSync(directory), ['vars.fd']);
  });

  test('in use: the second is told by whom; closing frees it', () => {
    fs.writeFileSync(image, new Uint8Array(BLOCK));
    const first = open();
    const other = join(directory, 'link.fd');
    fs.symlinkSync(image, other);
    for (const path of [image, other]) {
      assert.throws(
        () => open({ path }),
        userError('flash-locked', new RegExp(`${path}: in use by process ${process.pid}; stop`)),
      );
    }
    first.close();
    first.close();
    open({ path: other }).close();
    assert.deepEqual(fs.readdirSync(directory).sort(), ['link.fd', 'vars.fd']);
  });
});

describe('flash image: size and contents', () => {
  test('a file smaller than the bank is used whole, and nothing is loaded behind it', () => {
    fs.writeFileSync(image, pattern(3 * BLOCK, 1));
    const file = open();
    assert.equal(file.sizeBytes, 3 * BLOCK);
    assert.deepEqual(file.notices, []);
    const array = new Uint8Array(BANK).fill(0x77);
    file.load((offset, bytes) => array.set(bytes, offset));
    assert.deepEqual(array.subarray(0, 3 * BLOCK), pattern(3 * BLOCK, 1));
    assert.ok(array.subarray(3 * BLOCK).every((byte) => byte === 0x77));
    assert.throws(
      () => file.commit([{ offset: 3 * BLOCK, bytes: new Uint8Array(512) }]),
      userError('flash-io', /outside the image/),
    );
    file.close();
    assert.equal(fs.statSync(image).size, 3 * BLOCK);
  });

  test('pages of zeros are loaded too', () => {
    const bytes = new Uint8Array(2 * BLOCK);
    bytes[BLOCK] = 1;
    fs.writeFileSync(image, bytes);
    const file = open();
    const array = new Uint8Array(2 * BLOCK).fill(0x77);
    file.load((offset, bytes) => array.set(bytes, offset));
    file.close();
    assert.deepEqual(array, bytes);
  });

  test('kvmtool: 3 MiB are trimmed to 2 MiB, 20 MiB to 16 MiB, with a notice; the file keeps its size', () => {
    for (const [size, used, text] of [
      [3 << 20, 2 << 20, /is 3145728 bytes, only 2097152 of it are used; the rest is left as it is/],
      [20 << 20, 16 << 20, /only 16777216 of it are used/],
      [1 << 20, 1 << 20, undefined],
    ] as const) {
      fs.writeFileSync(image, '');
      fs.truncateSync(image, size);
      const file = open({ bankBytes: 16 << 20, blockBytes: 64 << 10, sizing: 'power-of-two' });
      assert.equal(file.sizeBytes, used);
      if (text) assert.match(file.notices.join(), text);
      else assert.deepEqual(file.notices, []);
      file.close();
      assert.equal(fs.statSync(image).size, size);
    }
  });
});

describe('flash image: commits', () => {
  test('only sectors that differ are written, in place, and no journal is left', () => {
    fs.writeFileSync(image, pattern(2 * BLOCK, 1));
    const writes: [number, number][] = [];
    const file = open({
      files: filesWith({
        writeSync: ((fd: number, bytes: Uint8Array, from: number, length: number, position: number) => {
          if (fs.existsSync(journal) && fs.statSync(journal).size > 0) writes.push([position, length]);
          return fs.writeSync(fd, bytes, from, length, position);
        }) as HostFiles['writeSync'],
      }),
    });
    const array = new Uint8Array(2 * BLOCK);
    file.load((offset, bytes) => array.set(bytes, offset));
    array[600] = ~(array[600] ?? 0);
    array[1100] = ~(array[1100] ?? 0);
    array[5000] = ~(array[5000] ?? 0);
    file.commit([{ offset: 0, bytes: array }]);
    assert.deepEqual(writes, [
      [512, 1024],
      [4608, 512],
    ]);
    assert.deepEqual(new Uint8Array(fs.readFileSync(image)), array);
    assert.ok(!fs.existsSync(journal));
    writes.length = 0;
    file.commit([{ offset: 0, bytes: array }]);
    assert.deepEqual(writes, []);
    file.close();
  });

  test('the journal lies beside the file that a symbolic link names', () => {
    fs.mkdirSync(join(directory, 'images'));
    const real = join(directory, 'images', 'vars.fd');
    fs.writeFileSync(real, pattern(BLOCK, 1));
    fs.symlinkSync(real, image);
    const seen: string[] = [];
    const file = open({
      files: filesWith({
        unlinkSync: (path) => {
          seen.push(String(path));
          fs.unlinkSync(path);
        },
      }),
    });
    file.commit([{ offset: 0, bytes: new Uint8Array(512) }]);
    file.close();
    assert.deepEqual(seen, [`${real}.v8a-journal`]);
  });

  test('fsync at each commit where asked: journal, directory, image; and always on close', () => {
    fs.writeFileSync(image, pattern(BLOCK, 1));
    for (const [fsyncEachCommit, expected] of [
      [false, 0],
      [true, 3],
    ] as const) {
      let count = 0;
      const files = filesWith({
        fsyncSync: (fd) => {
          count++;
          fs.fsyncSync(fd);
        },
      });
      const file = open({ files, fsyncEachCommit });
      file.commit([{ offset: 0, bytes: pattern(512, fsyncEachCommit ? 2 : 3) }]);
      assert.equal(count, expected);
      count = 0;
      file.close();
      assert.equal(count, 1);
    }
  });

  test('a disk that is full for the journal: one line, the image untouched, the next attempt succeeds', () => {
    const before = pattern(BLOCK, 1);
    fs.writeFileSync(image, before);
    let isFull = true;
    const file = open({
      files: filesWith({
        writeSync: ((fd: number, bytes: Uint8Array, from: number, length: number, position: number) => {
          if (!isFull) return fs.writeSync(fd, bytes, from, length, position);
          fs.writeSync(fd, bytes, from, 10, position);
          throw errno('ENOSPC');
        }) as HostFiles['writeSync'],
      }),
    });
    const after = pattern(BLOCK, 2);
    assert.throws(
      () => file.commit([{ offset: 0, bytes: after }]),
      userError(
        'flash-io',
        /vars\.fd: cannot be written: no space left on the disk; the image is as the last commit/,
      ),
    );
    assert.deepEqual(new Uint8Array(fs.readFileSync(image)), before);
    assert.ok(!fs.existsSync(journal));
    isFull = false;
    file.commit([{ offset: 0, bytes: after }]);
    file.close();
    assert.deepEqual(reopened(), after);
  });

  test('an I/O error in the image: the journal is kept and named, and goes in later or at the next open', () => {
    for (const isRetried of [true, false]) {
      fs.writeFileSync(image, pattern(BLOCK, 1));
      let isBroken = true;
      const file = open({
        files: filesWith({
          writeSync: ((fd: number, bytes: Uint8Array, from: number, length: number, position: number) => {
            if (isBroken && position > 0) throw errno('EIO');
            return fs.writeSync(fd, bytes, from, length, position);
          }) as HostFiles['writeSync'],
        }),
      });
      const after = pattern(BLOCK, 1);
      after.fill(2, 0, 10);
      after.fill(2, 2000, 2010);
      assert.throws(
        () => file.commit([{ offset: 0, bytes: after }]),
        userError(
          'flash-io',
          /I\/O error; the last changes are kept in .*vars\.fd\.v8a-journal and go in when/,
        ),
      );
      assert.ok(fs.existsSync(journal));
      if (isRetried) {
        isBroken = false;
        after.fill(3, 3000, 3010);
        file.commit([{ offset: 0, bytes: after }]);
        file.close();
      } else assert.throws(() => file.close(), userError('flash-io', /I\/O error/));
      assert.deepEqual(reopened(), after);
      assert.ok(!fs.existsSync(journal));
    }
  });

  test('a file that somebody made shorter is not made longer again', () => {
    fs.writeFileSync(image, pattern(2 * BLOCK, 1));
    const file = open();
    fs.truncateSync(image, BLOCK);
    assert.throws(
      () => file.write({ offset: BLOCK, bytes: new Uint8Array(512) }),
      userError('flash-io', /the file has become shorter/),
    );
    assert.equal(fs.statSync(image).size, BLOCK);
    file.close();
  });
});

describe('flash image: kill -9', () => {
  const before = pattern(2 * BLOCK, 1);
  const after = before.slice();
  after.fill(0xaa, 100, 1400);
  after.fill(0xbb, 6000, 6010);

  for (const fsyncEachCommit of [false, true]) {
    test(`at any call of a commit leaves the image before it or after it (fsync ${fsyncEachCommit})`, () => {
      const seen = new Set<string>();
      let survived = false;
      for (let victim = 0; !survived; victim++) {
        assert.ok(victim < 50);
        for (const share of [0, 0.01, 0.5, 0.99, 1]) {
          fs.writeFileSync(image, before);
          const { files } = dyingFiles(victim, share);
          try {
            open({ files, fsyncEachCommit }).commit([{ offset: 0, bytes: after }]);
            survived = true;
          } catch (error) {
            assert.ok(
              error instanceof Killed || (error instanceof UserError && error.cause instanceof Killed),
              String(error),
            );
          }
          forgetClaims();
          const found = reopened();
          const isAfter = Buffer.compare(found, after) === 0;
          if (!isAfter) assert.deepEqual(found, before);
          seen.add(isAfter ? 'after' : 'before');
          assert.deepEqual(fs.readdirSync(directory), ['vars.fd'], 'nothing is left over');
        }
      }
      assert.equal(seen.size, 2);
    });
  }

  test('during the replay of a journal, the next replay completes it', () => {
    for (let victim = 0; victim < 8; victim++) {
      for (const share of [0, 0.5, 1]) {
        fs.writeFileSync(image, before);
        const first = dyingFiles(4, 0.5);
        assert.throws(() => open({ files: first.files }).commit([{ offset: 0, bytes: after }]));
        forgetClaims();
        assert.ok(fs.existsSync(journal), 'killed in the middle of the image');
        assert.notDeepEqual(new Uint8Array(fs.readFileSync(image)), before);
        try {
          open({ files: dyingFiles(victim, share).files });
        } catch {
          // Killed again.
        }
        forgetClaims();
        assert.deepEqual(reopened(), after);
      }
    }
  });

  test('a journal cut off at any byte is thrown away, a whole one is replayed', () => {
    const changes: FlashRange[] = [{ offset: 512, bytes: after.slice(512, 1024) }];
    const whole = encodeJournal({
      imageBytes: before.length,
      ranges: changes.map(({ offset, bytes }) => ({
        offset,
        bytes,
        before: before.subarray(offset, offset + bytes.length),
      })),
    });
    const expected = before.slice();
    expected.set(after.subarray(512, 1024), 512);
    for (let length = 0; length <= whole.length; length++) {
      const decoded = decodeJournal(Buffer.from(whole.subarray(0, length)));
      assert.equal(decoded !== undefined, length === whole.length);
      // Opening costs more than decoding, so only some of the lengths go all the way.
      if (length % 97 !== 0 && length < whole.length - 2) continue;
      fs.writeFileSync(image, before);
      fs.writeFileSync(journal, whole.subarray(0, length));
      assert.deepEqual(reopened(), length === whole.length ? expected : before);
      assert.ok(!fs.existsSync(journal));
    }
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      assert.equal(decodeJournal(damaged), undefined, `byte ${at}`);
    }
  });

  test('after another program has written the image, a journal is dropped and the user told', () => {
    fs.writeFileSync(image, before);
    // The call after the journal's close is the first write to the image.
    const { files } = dyingFiles(4, 0);
    assert.throws(() => open({ files }).commit([{ offset: 0, bytes: after }]));
    forgetClaims();
    assert.ok(decodeJournal(fs.readFileSync(journal)));
    const foreign = before.slice();
    foreign[200] = 0x77;
    fs.writeFileSync(image, foreign);
    const file = open();
    assert.match(file.notices.join(), /changed by another program/);
    file.close();
    assert.deepEqual(new Uint8Array(fs.readFileSync(image)), foreign);
    assert.ok(!fs.existsSync(journal));
  });

  test('in policy immediate loses a suffix of the command in flight and nothing outside it', () => {
    for (const share of [0, 0.3, 1]) {
      fs.writeFileSync(image, before);
      const { files } = dyingFiles(1, share);
      const bytes = new Uint8Array(BLOCK).fill(0xff);
      assert.throws(() => open({ files }).write({ offset: BLOCK, bytes }));
      forgetClaims();
      const expected = before.slice();
      expected.fill(0xff, BLOCK, BLOCK + Math.floor(BLOCK * share));
      assert.deepEqual(reopened(), expected);
    }
  });

  test('at any instant of many commits leaves a state that was committed, or the next one', () => {
    const update = fc.array(
      fc.record({
        at: fc.integer({ min: 0, max: 2 * BLOCK - 700 }),
        length: fc.integer({ min: 1, max: 700 }),
        value: fc.integer({ min: 0, max: 255 }),
      }),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(
        fc.array(update, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (updates, victim, share) => {
          fs.writeFileSync(image, before);
          const { files } = dyingFiles(victim, share);
          const array = before.slice();
          let committed = before;
          let next = before;
          try {
            const file = open({ files });
            for (const changes of updates) {
              for (const { at, length, value } of changes) array.fill(value, at, at + length);
              next = array.slice();
              file.commit([
                { offset: 0, bytes: array.subarray(0, BLOCK) },
                { offset: BLOCK, bytes: array.subarray(BLOCK) },
              ]);
              committed = next;
            }
          } catch (error) {
            assert.ok(error instanceof Killed || error instanceof UserError);
          }
          forgetClaims();
          const found = reopened();
          if (Buffer.compare(found, next) !== 0) assert.deepEqual(found, committed);
        },
      ),
      { seed: 0x4a11, numRuns: 150 },
    );
  });
});

describe('an image without a machine', () => {
  test('is read while others read it, not while a machine has it', () => {
    fs.writeFileSync(image, pattern(3 * BLOCK + 5, 1), { mode: 0o444 });
    assert.deepEqual(readFlashFile(image), pattern(3 * BLOCK + 5, 1));
    fs.writeFileSync(join(directory, 'other.fd'), pattern(BANK, 2));
    image = join(directory, 'other.fd');
    const file = open();
    assert.throws(
      () => readFlashFile(image),
      userError('flash-locked', /in use by process \d+; stop it first/),
    );
    file.close();
    assert.deepEqual(readFlashFile(image), pattern(BANK, 2));
    assert.deepEqual(fs.readdirSync(directory).sort(), ['other.fd', 'vars.fd']);
  });

  test('is read as a killed machine would have left it', () => {
    const before = pattern(BANK, 1);
    fs.writeFileSync(image, before);
    const bytes = pattern(BLOCK, 2);
    const ranges = [{ offset: BLOCK, bytes, before: before.subarray(BLOCK, 2 * BLOCK) }];
    fs.writeFileSync(journal, encodeJournal({ imageBytes: BANK, ranges }));
    const after = before.slice();
    after.set(bytes, BLOCK);
    assert.deepEqual(readFlashFile(image), after);
    assert.equal(fs.existsSync(journal), false);
  });

  test('is made erased, and never over another file', () => {
    createFlashFile(image, 3 * BLOCK);
    assert.deepEqual(fs.readFileSync(image), Buffer.alloc(3 * BLOCK, 0xff));
    assert.throws(
      () => createFlashFile(image, BLOCK),
      userError('flash-exists', /exists; accepted: the name of a new/),
    );
    assert.equal(fs.statSync(image).size, 3 * BLOCK);
    const nowhere = join(directory, 'no', 'vars.fd');
    assert.throws(
      () => createFlashFile(nowhere, BLOCK),
      userError('flash-uncreatable', /directory does not exist/),
    );
  });
});

describe('firmware image', () => {
  test('is read whole, and nothing is loaded behind it; the file is only read', () => {
    const path = join(directory, 'code.fd');
    fs.writeFileSync(path, pattern(5000, 1), { mode: 0o444 });
    const file = openFirmwareFile(path, BANK);
    assert.equal(file.sizeBytes, 5000);
    const array = new Uint8Array(BANK).fill(0x77);
    file.load((offset, bytes) => array.set(bytes, offset));
    file.close();
    file.close();
    assert.deepEqual(array.subarray(0, 5000), pattern(5000, 1));
    assert.ok(array.subarray(5000).every((byte) => byte === 0x77));
    assert.deepEqual(fs.readdirSync(directory), ['code.fd']);
  });

  test('mistakes are one line each: missing, directory, empty, larger than the bank', () => {
    const path = join(directory, 'code.fd');
    assert.throws(
      () => openFirmwareFile(path, BANK),
      userError('firmware-missing', /code\.fd: does not exist; give/),
    );
    assert.throws(() => openFirmwareFile(directory, BANK), userError('firmware-directory', /is a directory/));
    fs.writeFileSync(path, '');
    assert.throws(() => openFirmwareFile(path, BANK), userError('firmware-empty', /is empty; give/));
    fs.writeFileSync(path, new Uint8Array(BANK + 1));
    assert.throws(
      () => openFirmwareFile(path, BANK),
      userError('firmware-too-large', /32769 bytes do not fit/),
    );
  });
});
