/** A whole Debian on boards of every kind: firmware, shim, GRUB, systemd, login, power-off. */
import { strict as assert } from 'node:assert';
import { after, suite, test } from 'node:test';

import type { MachineOptions } from '#v8a/vm/index.js';

import { newVariableStore, scratch } from '../support/guests.js';
import { skipWithoutDebian, USUAL, withDebian } from './guest.js';

const FACTORS = {
  cpus: [1, 4],
  irqchip: ['gicv2', 'gicv3', 'gicv3-its'],
  acpi: [true, false],
  virtioTransport: ['mmio', 'pci'],
} as const;

type Factor = keyof typeof FACTORS;
type Board = { readonly [F in Factor]: (typeof FACTORS)[F][number] };

const NAMES = Object.keys(FACTORS) as Factor[];

function allBoards(): Board[] {
  return NAMES.reduce<object[]>(
    (boards, name) => boards.flatMap((board) => FACTORS[name].map((value) => ({ ...board, [name]: value }))),
    [{}],
  ) as Board[];
}

/** A choice of boards in which every two values of different factors meet, the board that adds most first. */
function pairwise(boards: readonly Board[]): Board[] {
  const pairsOf = (board: Board): string[] =>
    NAMES.flatMap((a, index) => NAMES.slice(index + 1).map((b) => `${a} ${board[a]} ${b} ${board[b]}`));
  const open = new Set(boards.flatMap(pairsOf));
  const chosen: Board[] = [];
  while (open.size > 0) {
    const gain = (board: Board): number => pairsOf(board).filter((pair) => open.has(pair)).length;
    const best = boards.reduce((a, b) => (gain(b) > gain(a) ? b : a));
    for (const pair of pairsOf(best)) open.delete(pair);
    chosen.push(best);
  }
  return chosen;
}

const describe = ({ cpus, irqchip, acpi, virtioTransport }: Board): string =>
  `${cpus} CPU${cpus === 1 ? '' : 's'}, ${irqchip}, ${acpi ? 'ACPI' : 'device tree'}, ${virtioTransport}`;

const boards = process.env['V8A_DEBIAN_ALL'] === '1' ? allBoards() : pairwise(allBoards());
const table: string[] = [];
const files = scratch();

suite('Debian', { skip: skipWithoutDebian }, () => {
  after(() => {
    files.remove();
    console.log(['', 'instructions to login, seconds altogether', ...table].join('\n'));
  });

  for (const board of boards) {
    test(`${describe(board)}: boots, is complete, complains of nothing, powers off`, async () => {
      const start = performance.now();
      const flash = newVariableStore(files.path('vars.fd'));
      const options: MachineOptions = { ...board, flash };
      await withDebian(options, async (guest) => {
        const instructions = await guest.login();
        assert.equal(await guest.run('systemctl is-system-running --wait'), 'running');
        assert.equal(await guest.run('systemctl --failed --no-legend --plain'), '');
        assert.equal(await guest.run('nproc'), `${board.cpus}`);
        await guest.run(`${board.acpi ? '' : '! '}test -d /sys/firmware/acpi/tables`);
        const disk = await guest.run('readlink -f /sys/block/vda');
        assert.match(disk, board.virtioTransport === 'pci' ? /pci0000:00/ : /virtio_mmio|LNRO0005/);
        const warnings = await guest.run('dmesg --level emerg,alert,crit,err,warn');
        assert.deepEqual(
          warnings.split('\n').filter((line) => line !== '' && !USUAL.test(line)),
          [],
        );
        await guest.powerOff();
        const seconds = (performance.now() - start) / 1000;
        table.push(
          `${describe(board).padEnd(36)}${(instructions / 1e9).toFixed(2).padStart(7)} G${seconds.toFixed(0).padStart(6)} s`,
        );
      });
    });
  }

  test('the virtual clock makes two boots the same, instruction by instruction', async () => {
    const boot = async (): Promise<{ instructions: number; transcript: string }> => {
      const flash = newVariableStore(files.path('vars.fd'));
      let instructions = 0;
      let transcript = '';
      await withDebian({ flash, cpus: 2, seed: 5 }, async (guest) => {
        await guest.waitFor('login: ');
        ({ instructions } = guest.machine.stats());
        ({ transcript } = guest);
      });
      return { instructions, transcript };
    };
    const first = await boot();
    assert.deepEqual(await boot(), first);
  });
});
