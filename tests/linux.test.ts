/** Debian's kernel with a small initial RAM disk through the command: started directly, and by UEFI firmware. */
import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';

import { guestFile } from '../scripts/fetch-guests.js';
import { tinyInitramfs } from '../scripts/make-initramfs.js';
import { dialogue, plain, v8a } from './support/cli.js';
import { AAVMF_CODE, skipWithout } from './support/guests.js';
import { complaints } from './support/linux.js';

const KERNEL = guestFile('linux');
const INITRD = tinyInitramfs();

const kernel = [
  ...['run', '--kernel', KERNEL ?? '', '--initrd', INITRD ?? '', '--append', 'console=ttyAMA0'],
  ...['--clock', 'virtual', '--timeout', '500s', '--trace', 'guest-errors'],
];

async function boot(
  options: readonly string[],
  ...steps: readonly { expect: string; send: string }[]
): Promise<string> {
  const { status, stdout, stderr } = await v8a([...kernel, ...options, ...dialogue(...steps)]);
  assert.equal(status, 0, `${plain(stdout).slice(-3000)}\n${stderr}`);
  assert.deepEqual(complaints(stdout), []);
  return `${plain(stdout)}\n${stderr}`;
}

/** `assert.match` with a message of bearable length. */
function assertPrinted(output: string, pattern: RegExp): void {
  assert.ok(pattern.test(output), `${pattern} is not in the output, which ends with\n${output.slice(-2000)}`);
}

const PROMPT = 'tiny# ';
const OFF = { expect: PROMPT, send: 'poweroff -f\r' };

suite('Linux, started directly', { skip: skipWithout(KERNEL, INITRD) }, () => {
  for (const irqchip of ['gicv2', 'gicv3', 'gicv3-its']) {
    test(`reaches a shell and powers off: ${irqchip}, 2 CPUs, no complaint`, async () => {
      const output = await boot(
        ['--irqchip', irqchip, '-c', '2'],
        { expect: PROMPT, send: 'cat /proc/cmdline; grep -c ^processor /proc/cpuinfo\r' },
        OFF,
      );
      assertPrinted(output, /^console=ttyAMA0$/m);
      assertPrinted(output, /^2$/m);
      assertPrinted(output, /enabled with armv8_pmuv3 PMU driver, 7 counters available/);
      assertPrinted(output, /Power down/);
      assert.doesNotMatch(output, /guest-errors/);
    });
  }

  test('uses what --cpu max has', async () => {
    const output = await boot(['--cpu', 'max', '-c', '2'], OFF);
    assertPrinted(output, /CPU features: detected: Hardware dirty bit management/);
    assertPrinted(output, /CPU features: detected: LSE atomic instructions/);
  });

  test('translated code executes the same instructions, whenever it is there', async () => {
    const run = async (jit: string): Promise<string> =>
      (await boot(['--jit', jit, '-c', '2', '--stats'], OFF)).replaceAll(
        /^(?:mips|host seconds executing): .*\n/gm,
        '',
      );
    const interpreted = await run('off');
    assertPrinted(interpreted, /^instructions: \d+$/m);
    for (const jit of ['sync', 'async']) assert.equal(await run(jit), interpreted, `--jit ${jit}`);
  });

  test('a reset starts the kernel again, as it was', async () => {
    const output = await boot([], { expect: PROMPT, send: 'reboot -f\r' }, OFF);
    assert.equal(output.match(/tiny guest on/g)?.length, 2);
  });
});

suite('Linux, handed to AAVMF', { skip: skipWithout(KERNEL, INITRD, AAVMF_CODE) }, () => {
  const firmware = ['--firmware', AAVMF_CODE ?? '', '-c', '2'];

  test('goes by the ACPI and SMBIOS tables', async () => {
    const output = await boot(
      firmware,
      {
        expect: PROMPT,
        send: 'cd /sys/firmware/acpi/tables; echo [A-Z]*; cat /sys/class/dmi/id/sys_vendor\r',
      },
      OFF,
    );
    assertPrinted(output, /enabled with armv8_pmuv3_0 PMU driver, 7 counters available/);
    assertPrinted(output, /EFI stub: Generating empty DTB/);
    assertPrinted(output, /^APIC DBG2 DSDT FACP GTDT MCFG PPTT SPCR$/m);
    assertPrinted(output, /^v8a$/m);
    assertPrinted(output, /Brought up 1 node, 2 CPUs/);
    assertPrinted(output, /ACPI: button: Power Button/);
  });

  test('--acpi off: goes by the device tree', async () => {
    const output = await boot(
      [...firmware, '--acpi', 'off'],
      { expect: PROMPT, send: 'ls /proc/device-tree\r' },
      OFF,
    );
    assertPrinted(output, /EFI stub: Using DTB from configuration table/);
    assertPrinted(output, /ACPI: Interpreter disabled|ACPI: Unable to load|ACPI disabled/);
    assertPrinted(output, /pcie@10000000/);
  });
});
