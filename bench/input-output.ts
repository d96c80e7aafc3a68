/** Disk and network of Debian, by the guest's own measurements: fio on a second disk, a download from the host. */
import { randomFillSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { debianDisk } from '../scripts/make-debian-disk.js';
import { dialogue } from '../tests/support/cli.js';
import { AAVMF_CODE, newVariableStore, scratch } from '../tests/support/guests.js';
import { QEMU, QEMU_QUIT } from '../tests/support/qemu.js';
import { type Bench, debianMachine } from './boots.js';
import { type Run, alternate, fail, spread, timed } from './measure.js';

const MIB = 1024 * 1024;
const DISK_BYTES = 256 * MIB;
const DOWNLOAD_BYTES = 100 * MIB;

/** What is measured: the line that the guest prints, and its unit. */
const FIGURES = [
  ['randread', '4k random read', 'IOPS'],
  ['read', '1 MiB sequential read', 'MiB/s'],
  ['download', '100 MiB download', 'MB/s'],
] as const;

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

function figure({ output }: Run, name: string): number {
  // The shell's own escape sequences may stand before it on its line.
  const found = new RegExp(`figure ${name} ([\\d.]+)`).exec(output);
  return found ? Number(found[1]) : fail(`the guest printed no figure ${name}:\n${output.slice(-1000)}`);
}

export async function inputOutput({ runs, names, v8a }: Bench): Promise<unknown> {
  const disk = debianDisk();
  if (disk === undefined || AAVMF_CODE === undefined) {
    console.log('\nio: skipped: its guest is missing; `npm run guests -- --debian` gets it');
    return undefined;
  }
  const files = scratch();
  const second = files.path('data.img');
  writeFileSync(second, randomFillSync(Buffer.alloc(DISK_BYTES)));
  const body = randomFillSync(Buffer.alloc(DOWNLOAD_BYTES));
  const server = createServer((_request, response) => response.end(body)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const steps = [
    { expect: 'login: ', send: 'root\r' },
    { expect: ':~# ', send: `${commands(port)}\r` },
    { expect: 'figures done' },
  ];
  const machine = (): ReturnType<typeof debianMachine> =>
    debianMachine(disk, newVariableStore(files.path('vars.fd')));
  try {
    const pairs = await alternate(
      runs,
      () =>
        timed(
          v8a(
            ...machine().v8a,
            ...['--disk', `${second},ro`, '--network', 'user', '--timeout', '3000s'],
            ...dialogue(...steps),
          ),
        ),
      () =>
        timed(
          [
            ...[QEMU, ...machine().qemu],
            ...['-drive', `if=none,id=d1,format=raw,readonly=on,file=${second}`],
            ...['-device', 'virtio-blk-device,drive=d1'],
            ...['-netdev', 'user,id=n0', '-device', 'virtio-net-device,netdev=n0'],
          ],
          steps.map((step) => ({ send: QEMU_QUIT, ...step })),
        ),
    );
    const figures = FIGURES.map(([name, title, unit]) => {
      const [ours, theirs] = [pairs.ours, pairs.theirs].map((all) => all.map((run) => figure(run, name)));
      return { name, title, unit, ours: ours ?? [], theirs: theirs ?? [] };
    });
    console.log(
      [
        "\nio, Debian, by the guest's clock",
        ...figures.map(
          ({ title, unit, ours, theirs }) =>
            `  ${`${title}, ${unit}`.padEnd(32)}${spread(ours, 1).padEnd(28)}${spread(theirs, 1).padEnd(28)}` +
            `speed, QEMU = 1: ${spread(ours.map((value, index) => value / (theirs[index] ?? NaN)))}`,
        ),
        `  (${names.join(', ')})`,
      ].join('\n'),
    );
    return figures;
  } finally {
    server.close();
    files.remove();
  }
}
