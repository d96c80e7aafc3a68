/** Disk and network of Debian, by the guest's own measurements: fio on a second disk, a download from the host. */
import { randomFillSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { debianDisk } from '../scripts/make-debian-disk.js';
import { AAVMF_CODE, newVariableStore, scratch } from '../tests/support/guests.js';
import { type Bench, debianMachine, runGuests, skipped } from './boots.js';
import { type Figure, figureLines, readFigures } from './figures.js';

const MIB = 1024 * 1024;
const DISK_BYTES = 256 * MIB;
const DOWNLOAD_BYTES = 100 * MIB;

const FIGURES: readonly Figure[] = [
  { name: 'randread', title: '4k random read', unit: 'IOPS' },
  { name: 'read', title: '1 MiB sequential read', unit: 'MiB/s' },
  { name: 'download', title: '100 MiB download', unit: 'MB/s' },
];

function commands(port: number): string {
  // Fields of fio's terse output: 7 is KiB/s, 8 is IOPS of reads.
  // Over virtio-mmio the second disk is vdb here and vda under QEMU.
  const disk = `$(lsblk -bdno NAME,SIZE | awk '$2==${DISK_BYTES}{print "/dev/"$1}')`;
  const fio = (name: string, size: string, field: number, divisor: number): string =>
    `fio --name=x --filename=${disk} --direct=1 --ioengine=psync --rw=${name} --bs=${size} --time_based ` +
    `--runtime=4 --minimal | awk -F';' '{print "figure ${name} " $${field}/${divisor}}'`;
  const url = `http://10.0.2.2:${port}/`;
  const seconds = 'date +%s.%N';
  return [
    fio('randread', '4k', 8, 1),
    fio('read', '1M', 7, 1024),
    `s=$(${seconds}); wget -q -O /dev/null ${url}; e=$(${seconds})`,
    `awk -v s=$s -v e=$e 'BEGIN{print "figure download", ${DOWNLOAD_BYTES / 1e6}/(e-s)}'`,
    'echo figures do""ne',
  ].join('; ');
}

export async function inputOutput(bench: Bench): Promise<unknown> {
  const disk = debianDisk();
  if (disk === undefined || AAVMF_CODE === undefined) return skipped('io', 'npm run guests -- --debian');
  const files = scratch();
  const second = files.path('data.img');
  writeFileSync(second, randomFillSync(Buffer.alloc(DISK_BYTES)));
  const body = randomFillSync(Buffer.alloc(DOWNLOAD_BYTES));
  const server = createServer((_request, response) => response.end(body)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const rounds = await runGuests(bench, () => {
      const { v8a, qemu } = debianMachine(disk, newVariableStore(files.path('vars.fd')));
      return {
        v8a: [...v8a, '--disk', `${second},ro`, '--network', 'user'],
        qemu: [
          ...qemu,
          ...['-drive', `if=none,id=d1,format=raw,readonly=on,file=${second}`],
          ...['-device', 'virtio-blk-device,drive=d1'],
          ...['-netdev', 'user,id=n0', '-device', 'virtio-net-device,netdev=n0'],
        ],
        steps: [
          { expect: 'login: ', send: 'root\r' },
          { expect: ':~# ', send: `${commands(port)}\r` },
          { expect: 'figures done' },
        ],
      };
    });
    const figures = readFigures(rounds, FIGURES);
    const names = bench.variants.map(({ name }) => name);
    console.log(["\nio, Debian, by the guest's clock", ...figureLines(figures, names)].join('\n'));
    return figures;
  } finally {
    server.close();
    files.remove();
  }
}
