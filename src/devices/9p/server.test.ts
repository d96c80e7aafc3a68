import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { after, describe, test } from 'node:test';
import { SharedFolder } from '../../host/node/shared-folder.js';
import { CREATE, EXCLUSIVE, NinePClient, READ_WRITE, Refusal } from './client-suite.js';
import { REQUEST } from './message.js';
import { NinePServer } from './server.js';

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const SECRET = 'not for guests';

interface Options {
  readonly walk?: 'descriptor' | 'path';
  readonly isReadOnly?: boolean;
}

/** `share`, which is shared, beside `outside`, which is not. */
function start({ walk = 'descriptor', isReadOnly = false }: Options = {}) {
  const base = mkdtempSync(join(tmpdir(), 'v8a-9p-'));
  folders.push(base);
  const folder = join(base, 'share');
  mkdirSync(join(folder, 'sub', 'deep'), { recursive: true });
  mkdirSync(join(base, 'outside'));
  writeFileSync(join(base, 'outside', 'secret'), SECRET);
  writeFileSync(join(folder, 'hello'), 'hello, guest');
  writeFileSync(join(folder, 'sub', 'deep', 'file'), 'deep');
  const share = new SharedFolder({ directory: folder, isReadOnly, walk });
  const server = new NinePServer(share);
  return { base, folder, server, client: new NinePClient(server).start() };
}

function refused(errno: string, action: () => unknown): void {
  assert.throws(
    action,
    (error) => error instanceof Refusal && error.errno === errno,
    `is refused with ${errno}`,
  );
}

describe('9P2000.L: session', () => {
  test('version agrees on the smaller size, and on no other protocol', () => {
    const { server } = start();
    const client = new NinePClient(server);
    client.start(8192);
    const reply = client.call(REQUEST.VERSION, (request) => request.u32(8192).string('9P2000.u'));
    reply.u32();
    assert.equal(reply.string(), 'unknown');
    refused('EPROTO', () => client.getattr(0));
    refused('EMSGSIZE', () => client.start(1024));
  });

  test('the bytes of version and of its answer, as the document has them', () => {
    const { server } = start();
    const hex = '13 00 00 00 64 ff ff 00 20 00 00 08 00 39 50 32 30 30 30'.replaceAll(' ', '');
    const request = Buffer.concat([Buffer.from(hex, 'hex'), Buffer.from('.L')]);
    request.writeUInt32LE(request.length);
    const reply = Buffer.from(server.answer(request, 100));
    assert.equal(reply.toString('hex'), request.toString('hex').replace(/^(.{8})64/, '$165'));
  });

  test('a fid is used once, and gone after clunk', () => {
    const { client } = start();
    client.find(1, 'hello');
    refused('EBADF', () => client.find(1, 'sub'));
    client.clunk(1);
    refused('EBADF', () => client.clunk(1));
    refused('EBADF', () => client.getattr(1));
  });

  test('version begins anew: fids are gone', () => {
    const { client } = start();
    client.find(1, 'hello');
    client.start();
    refused('EBADF', () => client.getattr(1));
  });

  test('there is an end to fids and to open files', () => {
    const { client } = start();
    for (let fid = 1; fid < 65536; fid++) client.walk(0, fid);
    refused('ENFILE', () => client.walk(0, 70000));
    client.start();
    for (let fid = 1; fid <= 1024; fid++) {
      client.find(fid, 'hello');
      client.open(fid);
    }
    client.find(2000, 'hello');
    refused('ENFILE', () => client.open(2000));
    client.clunk(1);
    client.open(2000);
    client.start();
  });

  test('a state saved and restored knows its fids and opens its files again', () => {
    const { client, server, folder } = start();
    client.find(1, 'hello');
    client.open(1, READ_WRITE);
    client.find(2, 'sub');
    client.open(2);
    client.walk(0, 3);
    const state = structuredClone(server.saveState());
    const share = new SharedFolder({ directory: folder, isReadOnly: false });
    const other = new NinePServer(share);
    other.restoreState(state);
    const restored = new NinePClient(other);
    assert.equal(restored.read(1), 'hello, guest');
    assert.equal(restored.write(1, 0, 'J'), 1);
    assert.deepEqual(restored.list(2), ['.', '..', 'deep']);
    assert.equal(restored.walk(3, 4, 'sub'), 1);
    restored.clunk(4);
    assert.deepEqual(other.saveState(), state);
    other.reset();
    client.start();
  });
});

describe('9P2000.L: messages that make no sense', () => {
  const { server } = start();
  const lerror = (bytes: readonly number[], room = 100): number => {
    const reply = Buffer.from(server.answer(Uint8Array.from(bytes), room));
    assert.equal(reply[4], 7, 'the answer is an error');
    return reply.readUInt32LE(7);
  };
  const EPROTO = 71;

  test('no header, a length that is not there or too small, fields that are cut off', () => {
    for (const bytes of [
      [],
      [7, 0, 0],
      [100, 0, 0, 0, 120, 1, 0],
      [6, 0, 0, 0, 120, 1, 0],
      [7, 0, 0, 0, 120, 1, 0],
      [9, 0, 0, 0, 110, 1, 0, 0, 0],
      [255, 255, 255, 255, 120, 1, 0],
    ]) {
      assert.equal(lerror(bytes), EPROTO);
    }
  });

  test('types that there are not', () => {
    for (const type of [0, 6, 7, 9, 30, 32, 101, 102, 106, 112, 114, 124, 126, 255]) {
      assert.equal(lerror([7, 0, 0, 0, type, 5, 0]), 95);
    }
  });

  test('without room for an error there is no answer', () => {
    assert.equal(server.answer(Uint8Array.of(7, 0, 0, 0, 120, 0, 0), 10).length, 0);
  });

  test('an answer for which there is no room is an error', () => {
    const { client } = start();
    client.room = 40;
    refused('EMSGSIZE', () => client.getattr(0));
  });

  test('a request longer than agreed', () => {
    const { client } = start();
    client.start(4096);
    client.create(0, 'new');
    assert.equal(client.write(0, 0, 'x'.repeat(4000)), 4000);
    refused('EPROTO', () => client.write(0, 0, 'x'.repeat(4096)));
  });
});

for (const walk of ['descriptor', 'path'] as const) {
  const begin = (isReadOnly = false) => start({ walk, isReadOnly });

  describe(`9P2000.L: files, where folders are walked by ${walk}`, () => {
    test('reads what the host wrote, in parts and to the end', () => {
      const { client } = begin();
      client.find(1, 'hello');
      refused('EBADF', () => client.read(1));
      client.open(1);
      assert.equal(client.read(1), 'hello, guest');
      assert.equal(client.read(1, 7, 3), 'gue');
      assert.equal(client.read(1, 12), '');
      assert.equal(client.read(1, Number.MAX_SAFE_INTEGER), '');
      refused('EBADF', () => client.write(1, 0, 'x'));
      client.room = 16;
      assert.equal(client.read(1), 'hello', 'as much as there is room for');
    });

    test('creates, writes, appends, cuts off', () => {
      const { client, folder } = begin();
      client.walk(0, 1);
      client.create(1, 'new', READ_WRITE | CREATE | EXCLUSIVE, 0o640);
      assert.equal(client.write(1, 0, 'abcdef'), 6);
      assert.equal(client.write(1, 3, 'D'), 1);
      client.setattr(1, 8, { size: 5 });
      assert.equal(readFileSync(join(folder, 'new'), 'utf8'), 'abcDe');
      assert.equal(statSync(join(folder, 'new')).mode & 0o777, 0o640 & ~process.umask());
      client.call(REQUEST.FSYNC, (request) => request.u32(1).u32(0));

      client.find(2, 'new');
      client.open(2, 1 | 0o2000);
      client.write(2, 0, '!');
      assert.equal(readFileSync(join(folder, 'new'), 'utf8'), 'abcDe!');
      client.find(3, 'new');
      client.open(3, 1 | 0o1000);
      assert.equal(client.getattr(2).size, 0n);
      client.walk(0, 4);
      refused('EEXIST', () => client.create(4, 'new', READ_WRITE | CREATE | EXCLUSIVE));
      client.create(4, 'new');
      refused('EFBIG', () => client.setattr(4, 8, { size: 2 ** 60 }));
    });

    test('permissions, times, owner', () => {
      const { client, folder } = begin();
      client.find(1, 'hello');
      client.setattr(1, 1, { mode: 0o6751 });
      assert.equal(statSync(join(folder, 'hello')).mode & 0o7777, 0o751, 'without set-ID bits');
      client.setattr(1, 0x20 | 0x100, { mtime: 981_173_106 });
      assert.equal(client.getattr(1).mtime, 981_173_106n);
      client.setattr(1, 0x20);
      assert.ok(client.getattr(1).mtime > 1_600_000_000n, 'now');
      client.symlink(0, 'link', 'hello');
      client.find(2, 'link');
      refused('EOPNOTSUPP', () => client.setattr(2, 1, { mode: 0o777 }));
      assert.equal(statSync(join(folder, 'hello')).mode & 0o7777, 0o751);
    });

    test('directories: made, listed in order and in parts, removed', () => {
      const { client, folder } = begin();
      client.mkdir(0, 'many');
      for (let i = 0; i < 300; i++) writeFileSync(join(folder, 'many', `name-${i}`), '');
      client.find(1, 'many');
      client.open(1);
      const names = client.list(1, 1000);
      const expected = ['.', '..', ...Array.from({ length: 300 }, (_, i) => `name-${i}`).sort()];
      assert.deepEqual(names, expected);
      assert.deepEqual(client.list(1), expected, 'again from the start');
      refused('EINVAL', () => client.list(1, 10));
      refused('EISDIR', () => client.read(1));
      refused('ENOTEMPTY', () => client.unlinkat(0, 'many', 0x200));
      client.mkdir(0, 'empty');
      refused('EISDIR', () => client.unlinkat(0, 'empty'));
      client.unlinkat(0, 'empty', 0x200);
      refused('ENOTDIR', () => client.unlinkat(0, 'hello', 0x200));
      client.find(2, 'many');
      refused('EISDIR', () => client.open(2, READ_WRITE));
    });

    test('renaming takes the fids below along', () => {
      const { client, folder } = begin();
      client.find(1, 'sub/deep/file');
      client.find(2, 'sub/deep');
      client.renameat(0, 'sub', 0, 'bus');
      client.open(1);
      assert.equal(client.read(1), 'deep');
      client.call(REQUEST.RENAME, (request) => request.u32(1).u32(0).string('up'));
      assert.equal(client.getattr(1).size, 4n);
      assert.equal(readFileSync(join(folder, 'up'), 'utf8'), 'deep');
      client.create(2, 'next');
      assert.equal(statSync(join(folder, 'bus', 'deep', 'next')).size, 0);
      client.find(3, 'bus/deep');
      refused('EINVAL', () => client.renameat(0, 'bus', 3, 'inside itself'));
    });

    test('links of both kinds', () => {
      const { client, folder } = begin();
      client.find(1, 'hello');
      client.call(REQUEST.LINK, (request) => request.u32(0).u32(1).string('again'));
      assert.equal(client.getattr(1).links, 2n);
      client.find(2, 'again');
      assert.equal(client.getattr(2).id, client.getattr(1).id);
      client.symlink(0, 'soft', '/etc/hostname');
      assert.equal(readlinkSync(join(folder, 'soft')), '/etc/hostname');
      client.find(3, 'soft');
      assert.equal(client.readlink(3), '/etc/hostname');
      assert.equal(client.getattr(3).qidType, 2);
      refused('ELOOP', () => client.open(3));
      refused('EINVAL', () => client.readlink(1));
    });

    test('remove gives the fid up even where the file stays', () => {
      const { client } = begin();
      const remove = (fid: number) => client.call(REQUEST.REMOVE, (request) => request.u32(fid));
      client.find(1, 'hello');
      remove(1);
      refused('EBADF', () => client.getattr(1));
      refused('ENOENT', () => client.find(2, 'hello'));
      client.find(3, 'sub');
      refused('ENOTEMPTY', () => remove(3));
      refused('EBADF', () => client.getattr(3));
      refused('EBUSY', () => remove(0));
    });

    test('names are bytes', () => {
      const { client, folder } = begin();
      client.walk(0, 1);
      client.create(1, 'a\xff\xfe b');
      client.walk(0, 2);
      client.open(2);
      assert.ok(client.list(2).includes('a\xff\xfe b'));
      assert.equal(statSync(Buffer.from(`${folder}/a\xff\xfe b`, 'latin1')).size, 0);
    });

    test('statfs, locks, nodes, extended attributes', () => {
      const { client } = begin();
      const statfs = client.call(REQUEST.STATFS, (request) => request.u32(0));
      assert.equal(statfs.u32(), 0x01021997);
      assert.ok(statfs.u32() >= 512);
      assert.ok(statfs.u64() > 0n);
      client.find(1, 'hello');
      client.open(1);
      const locked = client.call(REQUEST.LOCK, (request) =>
        request.u32(1).u8(1).u32(0).u64(0).u64(0).u32(1).string('tiny'),
      );
      assert.equal(locked.u8(), 0);
      const held = client.call(REQUEST.GETLOCK, (request) =>
        request.u32(1).u8(1).u64(5).u64(6).u32(7).string('tiny'),
      );
      assert.deepEqual(
        [held.u8(), held.u64(), held.u64(), held.u32(), held.string()],
        [2, 5n, 6n, 7, 'tiny'],
      );
      const mknod = (mode: number, name: string) =>
        client.call(REQUEST.MKNOD, (request) => request.u32(0).string(name).u32(mode).u32(1).u32(3).u32(0));
      mknod(0o100600, 'plain');
      refused('EPERM', () => mknod(0o020666, 'null'));
      refused('EOPNOTSUPP', () =>
        client.call(30, (request) => request.u32(1).u32(9).string('security.capability')),
      );
    });

    test('pipes and devices are seen and not opened', { skip: process.platform === 'win32' }, () => {
      const { client, folder } = begin();
      execFileSync('mkfifo', [join(folder, 'pipe')]);
      client.find(1, 'pipe');
      assert.equal(client.getattr(1).mode & 0o170000, 0o010000);
      refused('ENXIO', () => client.open(1));
      refused('ENXIO', () => client.open(1, READ_WRITE));
      refused('ENXIO', () => client.setattr(1, 8, { size: 0 }));
      client.walk(0, 2);
      refused('ENXIO', () => client.create(2, 'pipe'));
    });

    test('a share that is only read: EROFS for every change', () => {
      const { client, folder } = begin(true);
      client.find(1, 'hello');
      refused('EROFS', () => client.open(1, READ_WRITE));
      refused('EROFS', () => client.open(1, 0o1000));
      client.open(1);
      assert.equal(client.read(1), 'hello, guest');
      refused('EROFS', () => client.setattr(1, 1, { mode: 0 }));
      refused('EROFS', () => client.setattr(1, 8));
      client.walk(0, 2);
      refused('EROFS', () => client.create(2, 'new'));
      refused('EROFS', () => client.mkdir(0, 'new'));
      refused('EROFS', () => client.symlink(0, 'new', 'x'));
      refused('EROFS', () => client.unlinkat(0, 'hello'));
      refused('EROFS', () => client.unlinkat(0, 'sub', 0x200));
      refused('EROFS', () => client.renameat(0, 'hello', 0, 'x'));
      refused('EROFS', () => client.call(REQUEST.LINK, (request) => request.u32(0).u32(1).string('x')));
      refused('EROFS', () =>
        client.call(REQUEST.MKNOD, (request) =>
          request.u32(0).string('x').u32(0o100644).u32(0).u32(0).u32(0),
        ),
      );
      client.find(3, 'hello');
      refused('EROFS', () => client.call(REQUEST.REMOVE, (request) => request.u32(3)));
      assert.equal(readFileSync(join(folder, 'hello'), 'utf8'), 'hello, guest');
    });
  });

  describe(`9P2000.L: nothing outside the folder, where folders are walked by ${walk}`, () => {
    test('.. of the root is the root', () => {
      const { client } = begin();
      assert.equal(client.walk(0, 1, '..', '..', '..', 'sub', '..', '..', 'hello'), 7);
      client.open(1);
      assert.equal(client.read(1), 'hello, guest');
      refused('ENOENT', () => client.find(2, '../outside'));
    });

    test('names with slashes, zero bytes, dots or nothing in them are refused', () => {
      const { client } = begin();
      for (const name of [
        '../outside/secret',
        'sub/deep',
        '/etc/passwd',
        'hello\0',
        '',
        '.',
        'a'.repeat(256),
      ]) {
        const errno = name.length > 255 ? 'ENAMETOOLONG' : 'EINVAL';
        refused(errno, () => client.walk(0, 1, name));
        client.walk(0, 1);
        refused(errno, () => client.create(1, name));
        client.clunk(1);
        refused(errno, () => client.mkdir(0, name));
        refused(errno, () => client.symlink(0, name, 'x'));
        refused(errno, () => client.unlinkat(0, name));
        refused(errno, () => client.renameat(0, 'hello', 0, name));
        refused(errno, () => client.renameat(0, name, 0, 'x'));
      }
      refused('EINVAL', () => client.mkdir(0, '..'));
      refused('EINVAL', () => client.unlinkat(0, '..', 0x200));
    });

    test('a path has an end', () => {
      const { client } = begin();
      client.walk(0, 1);
      let depth = 0;
      assert.throws(() => {
        for (; depth < 100; depth++) {
          client.mkdir(1, 'd'.repeat(250));
          client.walk(1, 1, 'd'.repeat(250));
        }
      }, /ENAMETOOLONG/);
      assert.equal(depth, 16);
    });

    test('links that lead out, made by either side, are links and nothing more', () => {
      const { client, folder, base } = begin();
      symlinkSync(join(base, 'outside'), join(folder, 'by-host'));
      client.symlink(0, 'by-guest', '../outside');
      client.symlink(0, 'file', '../outside/secret');
      client.symlink(0, 'new', '../outside/new');
      for (const name of ['by-host', 'by-guest']) {
        assert.equal(client.walk(0, 1, name, 'secret'), 1);
        client.walk(0, 1, name);
        refused('ELOOP', () => client.open(1));
        refused('ENOTDIR', () => client.create(1, 'x'));
        refused('ENOTDIR', () => client.mkdir(1, 'x'));
        refused('ENOTDIR', () => client.unlinkat(1, 'secret'));
        refused('ENOTDIR', () => client.renameat(1, 'secret', 0, 'secret'));
        refused('ENOTDIR', () => client.renameat(0, 'hello', 1, 'secret'));
        client.clunk(1);
      }
      client.find(2, 'file');
      refused('ELOOP', () => client.open(2, READ_WRITE | 0o1000));
      refused('ELOOP', () => client.setattr(2, 8, { size: 0 }));
      refused('EOPNOTSUPP', () => client.setattr(2, 1, { mode: 0 }));
      client.setattr(2, 0x20 | 0x100, { mtime: 1 });
      client.walk(0, 3);
      refused('ELOOP', () => client.create(3, 'new'));
      refused('ELOOP', () => client.create(3, 'file'));
      assert.equal(client.getattr(2).qidType, 2);
      const secret = statSync(join(base, 'outside', 'secret'));
      assert.ok(secret.mtimeMs > 1_600_000_000_000);
      assert.equal(readFileSync(join(base, 'outside', 'secret'), 'utf8'), SECRET);
    });

    test('a directory that becomes a link under a fid leads nowhere', () => {
      const { client, folder, base } = begin();
      client.find(1, 'sub/deep');
      client.find(2, 'sub');
      rmSync(join(folder, 'sub'), { recursive: true });
      symlinkSync(join(base, 'outside'), join(folder, 'sub'));
      refused('ENOTDIR', () => client.getattr(1));
      refused('ENOTDIR', () => client.walk(2, 3, 'secret'));
      refused('ENOTDIR', () => client.create(2, 'secret'));
      assert.equal(readFileSync(join(base, 'outside', 'secret'), 'utf8'), SECRET);
    });
  });
}
