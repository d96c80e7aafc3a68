/** A file system that Debian makes, fills and checks on a second disk, looked at from outside. */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { newVariableStore, scratch } from '../support/guests.js';
import { skipWithoutDebian, withDebian } from './guest.js';

const files = scratch();
after(() => files.remove());

/** Runs a tool of e2fsprogs. Returns its status. */
function tool(name: string, ...args: string[]): number | null {
  const { error, status } = spawnSync(name, args, { stdio: 'ignore' });
  if (error) throw error;
  return status;
}

/** e2fsck(8): errors corrected, such as what is left of a journal. */
const CORRECTED = 1;
const DATA = '/dev/disk/by-id/virtio-DATA';

for (const virtioTransport of ['mmio', 'pci'] as const) {
  suite(`Debian writes a disk over ${virtioTransport}`, { skip: skipWithoutDebian }, () => {
    test('fio reads what it wrote, a flush reaches the file, the file system is clean', async () => {
      const image = files.path(`data-${virtioTransport}.img`);
      const snapshot = files.path('snapshot.img');
      writeFileSync(image, '');
      truncateSync(image, 512 * 1024 * 1024);
      const flash = newVariableStore(files.path('vars.fd'));
      await withDebian(
        { flash, virtioTransport, cpus: 2, disks: [{ file: image, serial: 'DATA' }] },
        async (guest) => {
          await guest.login();
          await guest.run(`mkfs.ext4 -q ${DATA} && mount ${DATA} /mnt && cd /mnt`);
          const report = await guest.run(
            'fio --name=verify --filename=/mnt/fio --size=48m --rw=randwrite --bssplit=512/20:4k/40:64k/40' +
              ' --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1 --fsync=64',
          );
          assert.match(report, /err= 0/);
          await guest.run('head -c 5000000 /dev/urandom > flushed && sync flushed');
          const sum = (await guest.run('sha256sum flushed')).split(' ')[0];
          // What a kill would leave: nothing but the file.
          await guest.machine.pause();
          copyFileSync(image, snapshot);
          guest.machine.resume();
          await guest.run('cd / && umount /mnt');
          await guest.powerOff();

          assert.equal(tool('e2fsck', '-fn', image), 0);
          assert.ok([0, CORRECTED].includes(tool('e2fsck', '-fy', snapshot) ?? -1));
          assert.equal(tool('e2fsck', '-fn', snapshot), 0);
          const copy = files.path('copy');
          assert.equal(tool('debugfs', '-R', `dump /flushed ${copy}`, snapshot), 0);
          assert.equal(createHash('sha256').update(readFileSync(copy)).digest('hex'), sum);
        },
      );
    });
  });
}
