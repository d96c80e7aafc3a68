/** From the start of the process to the first instruction of the guest, and to the end of one that has nothing to do. */
import { writeFileSync } from 'node:fs';

import { scratch } from '../tests/support/guests.js';
import { QEMU, qemuArguments } from '../tests/support/qemu.js';
import type { Bench } from './boots.js';
import { type Run, QEMU_NAME, alternate, columns, spread, timed } from './measure.js';

/** Firmware that shows a sign and switches the machine off. */
const IMAGE = Uint32Array.of(
  0xd2a12001, // movz x1, #0x0900, lsl #16: the UART
  0x52806020, // movz w0, #0x301
  0xb9003020, // str w0, [x1, #0x30]: UARTCR
  0x52800420, // movz w0, #'!'
  0xb9000020, // str w0, [x1]: UARTDR
  0x52800100, // movz w0, #8
  0x72b08000, // movk w0, #0x8400, lsl #16: SYSTEM_OFF of PSCI
  0xd4000002, // hvc #0
);
const SIGN = { expect: '!' };

interface Startup {
  readonly name: string;
  readonly runs: readonly Run[];
}

export async function startup({ runs, variants }: Bench): Promise<readonly Startup[]> {
  const files = scratch();
  try {
    const image = files.path('sign-and-off.bin');
    writeFileSync(image, IMAGE);
    const empty = files.path('empty.cjs');
    writeFileSync(empty, '');
    const nodes = [...new Set(variants.map(({ node }) => node))];
    const { ours, theirs } = await alternate(
      runs,
      [
        ...variants.map(
          ({ v8a }) =>
            () =>
              timed(v8a('--firmware', image), [SIGN]),
        ),
        ...nodes.map((node) => () => timed([node, empty])),
      ],
      () => timed([QEMU, ...qemuArguments({ firmware: image })], [SIGN]),
    );
    const versionOf = new Map(
      variants.map(({ node, name }) => [node, name.replace(/^v8a, |, --jit.*/g, '')]),
    );
    const result = [
      ...variants.map(({ name }) => name),
      ...nodes.map((node) => `${versionOf.get(node) ?? node}, empty program`),
      QEMU_NAME,
    ].map((name, index) => ({ name, runs: ours[index] ?? theirs }));
    const line = ({ name, runs: all }: Startup): string =>
      columns(
        name,
        spread(
          all.map(({ wallSeconds }) => 1000 * wallSeconds),
          0,
        ),
        spread(
          all.map(({ cpuSeconds }) => 1000 * cpuSeconds),
          0,
        ),
      );
    console.log(
      [
        '\nstartup, from the start of the process to what the guest first shows',
        columns('', 'wall ms', 'cpu ms, to the end'),
        ...result.map(line),
      ].join('\n'),
    );
    return result;
  } finally {
    files.remove();
  }
}
