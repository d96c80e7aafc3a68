/**
 * `v8a vars` and `v8a flash` as a user runs them: on small stores, and on those of firmware, which must take what was
 * changed, and whose own changes must be read.
 */
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { compact } from '#v8a/varstore/compact.js';
import { readStore } from '#v8a/varstore/store.js';
import { GLOBAL_GUID, SMALL, smallStore, TEST_GUID } from '#v8a/varstore/store-suite.js';
import { VariableStore } from '#v8a/varstore/variable-store.js';

import { kvmtoolFirmware } from '../scripts/make-kvmtool-firmware.js';
import { dialogue, plain, startV8a, v8a, type CliResult } from './support/cli.js';
import {
  AAVMF_CODE, AAVMF_VARS, FLASH_BANK_BYTES, LETTER_A, newVariableStore, scratch, skipWithout,
  skipWithoutKvmtool,
} from './support/guests.js'; // prettier-ignore
import { hasQemu, runQemu } from './support/qemu.js';
import { readVariableStore } from './support/variable-store.js';

const files = scratch();
after(() => files.remove());

/** A command of `v8a vars` that succeeds and has nothing to say on standard error; what it prints. */
async function vars(...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await v8a(['vars', ...args]);
  assert.deepEqual([status, stderr], [0, ''], args.join(' '));
  return stdout;
}

function refused(result: CliResult, status: number, text: RegExp): void {
  assert.deepEqual([result.status, result.stdout], [status, ''], result.stderr);
  assert.match(result.stderr, /^v8a: [^\n]+\n$/);
  assert.match(result.stderr, text);
}

suite('v8a vars on a small store', { concurrency: 1 }, () => {
  const path = files.path('small.fd');
  const store = smallStore(
    { name: 'A', data: [0x41, 0x0a, 0x80] },
    { name: 'Two', data: [1] },
    { name: 'Two', guid: GLOBAL_GUID, data: [2] },
    { name: 'S', attributes: 0x27, data: [3] },
  );
  const reset = (): void => writeFileSync(path, store);
  reset();

  test('list is the same as the file alone', async () => {
    const list = await vars('list', path);
    assert.equal(
      list,
      [
        'NAME  VENDOR                                ATTRIBUTES   BYTES',
        `A     ${TEST_GUID}  NV+BS+RT         3`,
        `Two   ${TEST_GUID}  NV+BS+RT         1`,
        'Two   EfiGlobalVariable                     NV+BS+RT         1',
        `S     ${TEST_GUID}  NV+BS+RT+AT      1`,
        '',
      ].join('\n'),
    );
    assert.equal(await vars(path), list);
    assert.deepEqual(readFileSync(path), Buffer.from(store));
  });

  test('get shows a variable; --raw gives its bytes', async () => {
    const shown = await vars('get', path, 'A');
    assert.match(
      shown,
      /^Name +A\nVendor +6b1f6f0e-[^\n]+\nAttributes +NV\+BS\+RT\nData +3 bytes\n00000000 {2}41 0a 80 +\|A\.\.\|\n$/,
    );
    assert.equal(await vars('get', path, 'Two', '--guid', 'EfiGlobalVariable', '--raw'), '\x02');
    refused(
      await v8a(['vars', 'get', path, 'Two']),
      2,
      /several vendors .*--guid with 6b1f6f0e-.* or EfiGlobalVariable/,
    );
    refused(await v8a(['vars', 'get', path, 'none']), 1, /there is no variable none$/m);
    refused(
      await v8a(['vars', 'get', path, 'A', '--guid', GLOBAL_GUID]),
      1,
      /no variable A of EfiGlobalVariable$/m,
    );
  });

  test('set takes hexadecimal, text and files', async () => {
    const data = files.path('data.bin');
    writeFileSync(data, Uint8Array.of(0, 0xff, 0x0d));
    await vars('set', path, 'A', '--hex', '01 02');
    assert.equal(await vars('get', path, 'A', '--raw'), '\x01\x02');
    await vars('set', path, 'PlatformLang', '--text', 'de\\x00');
    assert.equal(await vars('get', path, 'PlatformLang', '--guid', GLOBAL_GUID, '--raw'), 'de\0');
    await vars('set', path, 'new', '--file', data, '--guid', TEST_GUID, '--attributes', 'NV+BS');
    const found = VariableStore.read(readFileSync(path)).find('new')[0];
    assert.deepEqual([found?.attributes, [...(found?.data ?? [])]], [3, [0, 0xff, 0x0d]]);
    refused(await v8a(['vars', 'set', path, 'another', '--hex', '00']), 2, /--guid is missing/);
    refused(await v8a(['vars', 'set', path, 'S', '--hex', '00']), 2, /only with a signature; --force/);
    await vars('set', path, 'S', '--hex', '00', '--force');
    await vars('delete', path, 'new');
    refused(await v8a(['vars', 'delete', path, 'new']), 1, /there is no variable new/);
    assert.match(await vars('check', path), /\nsound\n$/);
  });

  test('export and import are a round trip, and change no byte where nothing differs', async () => {
    reset();
    const json = files.path('vars.json');
    assert.equal(await vars('export', path, json), '');
    assert.equal(await vars('export', path), readFileSync(json, 'utf8'));
    const before = statSync(path).mtimeMs;
    const same = await v8a(['vars', 'import', path, json]);
    assert.deepEqual([same.status, same.stderr], [0, 'v8a: 0 set, 4 as they were\n']);
    assert.deepEqual([readFileSync(path), statSync(path).mtimeMs], [Buffer.from(store), before]);

    const other = files.path('other.fd');
    writeFileSync(other, smallStore({ name: 'gone', data: [1] }, { name: 'A', data: [9] }));
    refused(await v8a(['vars', 'import', other, json]), 2, /"S" of .*signature/);
    assert.deepEqual(
      readFileSync(other),
      Buffer.from(smallStore({ name: 'gone', data: [1] }, { name: 'A', data: [9] })),
    );
    const moved = await v8a(['vars', 'import', other, json, '--replace', '--force']);
    assert.deepEqual([moved.status, moved.stderr], [0, 'v8a: 4 set, 0 as they were, 1 deleted\n']);
    assert.equal(await vars('export', other), readFileSync(json, 'utf8'));
  });

  test('boot options: what there is, an order, a next one', async () => {
    const option = [
      1,
      0,
      0,
      0,
      10,
      0,
      ...Buffer.from('disk\0', 'utf16le'),
      1,
      1,
      6,
      0,
      0,
      5,
      0x7f,
      0xff,
      4,
      0,
    ];
    writeFileSync(
      path,
      smallStore(
        { guid: GLOBAL_GUID, name: 'Boot0000', data: option },
        { guid: GLOBAL_GUID, name: 'Boot0001', data: [0] },
        { guid: GLOBAL_GUID, name: 'BootOrder', data: [7, 0, 0, 0] },
      ),
    );
    assert.equal(
      await vars('boot', path),
      [
        'BootOrder  0007, 0000',
        'BootNext   not set',
        'Timeout    not set',
        '',
        '2.  Boot0000  disk  active  Pci(0x5,0x0)',
        '-   Boot0001  ?             is no load option'.replace('-   ', ' -  '),
        'BootOrder names Boot0007, which does not exist',
        '',
      ].join('\n'),
    );
    refused(await v8a(['vars', 'boot', path, '--order', '0007']), 2, /no Boot0007; accepted: 0000, 0001/);
    await vars('boot', path, '--order', 'boot0001,0', '--next', '0', '--timeout', '3');
    assert.match(await vars('boot', path), /^BootOrder {2}0001, 0000\nBootNext {3}0000\nTimeout {4}3 s\n/);
  });

  test('check tells what repair puts right, by their exit statuses too', async () => {
    writeFileSync(path, smallStore({ name: 'A', data: [1], state: 0x3e }, { name: 'A', data: [2] }));
    const checked = await v8a(['vars', 'check', path]);
    assert.equal(checked.status, 1);
    assert.match(
      checked.stdout,
      /warning +0x00000064 +"A" has been replaced, .* \('v8a vars repair' puts it right\)/,
    );
    const listed = await v8a(['vars', path]);
    assert.equal(listed.status, 0);
    assert.match(listed.stderr, /^v8a: .*: not sound; 'v8a vars check .*small\.fd' says what is wrong\n$/);
    assert.match(await vars('repair', path), /^repaired +0x00000064 .*\nsound now\n$/);
    assert.match(await vars('repair', path), /^sound; nothing to repair\n$/);
    const damaged = smallStore({ name: 'A', data: [1], state: 0xbf });
    writeFileSync(path, damaged);
    const left = await v8a(['vars', 'repair', path]);
    assert.equal(left.status, 1);
    assert.match(left.stdout, /^error +0x00000064 .*state 0xbf.*\(cannot be put right without guessing\)\n$/);
    assert.deepEqual(readFileSync(path), Buffer.from(damaged));
  });

  test('a store that is full is said to be, and stays as it is', async () => {
    reset();
    const big = files.path('big.bin');
    writeFileSync(big, new Uint8Array(SMALL.storeEnd));
    refused(
      await v8a(['vars', 'set', path, 'A', '--file', big]),
      2,
      /"A" needs \d+ bytes.*delete a variable/,
    );
    assert.deepEqual(readFileSync(path), Buffer.from(store));
  });

  test('a mistake is one line that names the file, and nothing is left behind', async () => {
    const directory = files.path('mistakes');
    mkdirSync(directory);
    const inside = (name: string): string => `${directory}/${name}`;
    writeFileSync(inside('text'), 'no flash image');
    writeFileSync(inside('empty'), '');
    writeFileSync(inside('zeros'), new Uint8Array(0x3000));
    writeFileSync(inside('small.fd'), store);
    writeFileSync(inside('read-only.fd'), store, { mode: 0o444 });
    const names = readdirSync(directory).sort();
    for (const [args, text] of [
      [['list', inside('missing')], /missing: does not exist/],
      [['list', directory], /mistakes: is a directory/],
      [['list', inside('empty')], /empty: is empty/],
      [['list', inside('text')], /text: no variable store/],
      [['list', inside('zeros')], /zeros: no variable store .*all zeros; firmware formats it/],
      [['set', inside('zeros'), 'Timeout', '--hex', '0000'], /zeros: no variable store/],
      [
        ['set', inside('read-only.fd'), 'A', '--hex', '00'],
        /read-only\.fd: cannot be written: permission denied/,
      ],
      [['set', inside('small.fd'), 'A', '--file', inside('missing')], /--file .*missing: does not exist/],
      [
        ['set', inside('small.fd'), 'A', '--hex', '00', '--attributes', 'BS'],
        /small\.fd: "A": BS is without NV/,
      ],
      [['import', inside('small.fd'), inside('text')], /import of .*text: is no JSON/],
      [['import', inside('small.fd'), directory], /import of .*mistakes: is a directory/],
      [
        ['export', inside('small.fd'), inside('small.fd')],
        /small\.fd: is the flash image; accepted: another file/,
      ],
      [
        ['export', inside('small.fd'), `${inside('no')}/json`],
        /export to .*no\/json: no such file or directory/,
      ],
    ] as const) {
      refused(await v8a(['vars', ...args]), 2, text);
    }
    assert.deepEqual(readdirSync(directory).sort(), names);
    assert.match(await vars(inside('read-only.fd')), /^NAME/);
  });

  test('an image that a machine uses is neither changed nor read', async () => {
    const firmware = files.path('firmware.bin');
    writeFileSync(firmware, LETTER_A);
    const flash = files.path('in-use.fd');
    const bank = new Uint8Array(FLASH_BANK_BYTES).fill(0xff);
    bank.set(store);
    writeFileSync(flash, bank);
    const machine = startV8a(['run', '-f', firmware, '-F', flash, '--timeout', '100s', '--expect', 'never']);
    const ended = once(machine, 'close');
    try {
      assert.ok(machine.stdout);
      await Promise.race([once(machine.stdout, 'data'), ended]);
      for (const args of [['list'], ['check'], ['repair'], ['delete', 'A']]) {
        const [command = '', ...rest] = args;
        refused(
          await v8a(['vars', command, flash, ...rest]),
          2,
          /in-use\.fd: in use by process \d+; stop it first/,
        );
      }
      refused(await v8a(['flash', 'show', flash]), 2, /in use by process/);
    } finally {
      machine.kill('SIGKILL');
      await ended;
    }
    assert.match(await vars('delete', flash, 'A'), /^$/);
  });
});

suite('v8a flash', () => {
  test('create makes an erased image for a machine, and show tells so', async () => {
    const path = files.path('new.fd');
    assert.deepEqual(await v8a(['flash', 'create', path, '512K']), { status: 0, stdout: '', stderr: '' });
    assert.deepEqual(readFileSync(path), Buffer.alloc(512 * 1024, 0xff));
    const { stdout } = await v8a(['flash', 'show', path, '--block-size', '64K']);
    assert.match(
      stdout,
      /new\.fd: 512K, 8 blocks of 64K\nBLOCKS +FROM +CONTENTS\n0-7 +0x00000000 +erased\nnothing in it is known/,
    );
    refused(
      await v8a(['flash', 'create', path, '1M']),
      2,
      /new\.fd: exists; accepted: the name of a new file/,
    );
  });
});

/** What AAVMF is asked to type, and what it answers. */
const setvar = (name: string, value: string): string =>
  `setvar ${name} -guid ${TEST_GUID} -nv -bs ${value}\r`;
const dump = (name: string): string => `dmpstore -guid ${TEST_GUID} ${name}\r`;

/** Boots AAVMF to its shell, types commands and powers off; what it printed. */
async function boot(flash: string, ...commands: readonly string[]): Promise<string> {
  const steps = [...commands, 'reset -s\r'].map((send) => ({ expect: 'Shell>', send }));
  const { status, stdout, stderr } = await v8a([
    ...['run', '--firmware', AAVMF_CODE ?? '', '--flash', flash, '--clock', 'virtual', '--timeout', '500s'],
    ...dialogue(...steps),
  ]);
  assert.equal(status, 0, `${plain(stdout).slice(-2000)}\n${stderr}`);
  return plain(stdout);
}

/** What `dmpstore` prints of a variable of two bytes. */
const dumped = (name: string, bytes: string): RegExp =>
  new RegExp(`'${TEST_GUID.toUpperCase()}:${name}' DataSize = 0x02\\s+00000000: ${bytes} `);

suite('v8a vars and AAVMF', { skip: skipWithout(AAVMF_CODE, AAVMF_VARS), concurrency: 1 }, () => {
  const flash = files.path('vars.fd');
  /** Offsets of AAVMF's layout, in erase blocks of 256 KiB: variables, working block, spare. */
  const [WORKING, SPARE] = [0x4_0000, 0x8_0000] as const;

  test('what AAVMF wrote is read, and exporting and importing it changes nothing', async () => {
    await boot(newVariableStore(flash), setvar('keep', '=0x1234'));
    const before = readFileSync(flash);
    assert.match(await vars('check', flash), /authenticated variable store .*\nsound\n$/s);
    const store = VariableStore.read(before);
    for (const vendor of [TEST_GUID, GLOBAL_GUID]) {
      const expected = [...(readVariableStore(before, vendor) ?? [])].sort();
      const found = store.variables.filter(({ guid }) => guid === vendor);
      assert.ok(expected.length > 0);
      assert.deepEqual(found.map(({ name, data }) => [name, Buffer.from(data)]).sort(), expected);
    }
    const shell = /^1\. +Boot0001 +EFI Internal Shell +active +Fv\([-0-9A-F]+\)\/FvFile\(7C04A583-/m;
    assert.doesNotMatch(await vars('boot', flash), shell);
    assert.match(await vars('boot', flash), /^1\. +Boot0000 +UiApp +active, hidden, application +Fv\(/m);

    const json = files.path('aavmf.json');
    await vars('export', flash, json);
    const { status, stderr } = await v8a(['vars', 'import', flash, json, '--replace']);
    assert.deepEqual(
      [status, stderr],
      [0, `v8a: 0 set, ${store.variables.length} as they were, 0 deleted\n`],
    );
    assert.ok(readFileSync(flash).equals(before), 'not a byte has changed');
    await vars('boot', flash, '--order', '0001,0000', '--timeout', '1');
    assert.match(await vars('boot', flash), shell);
  });

  test('AAVMF has what was set and not what was deleted; its reclaim has the result that ours has', async () => {
    await vars('set', flash, 'ours', '--guid', TEST_GUID, '--hex', '1234');
    await vars('delete', flash, 'keep');
    // Deleted variables up to the end, so that AAVMF has to reclaim.
    const image = readFileSync(flash);
    const full = VariableStore.read(image);
    const fill = (length: number): void => {
      // Another value each time: one that is there already would not be written again.
      const data = new Uint8Array(length).fill(full.space.freeBytes >> 8);
      assert.equal(full.set({ name: 'fill', guid: TEST_GUID, attributes: 3, data }), 'appended');
    };
    while (full.space.freeBytes > 8000) fill(7000);
    fill(full.space.freeBytes - 200 - 72);
    image.set(full.part.bytes, full.part.offset);
    writeFileSync(flash, image);

    const console = await boot(flash, dump('ours'), dump('keep'), setvar('theirs', '=0x5678'));
    assert.match(console, dumped('ours', '12 34'));
    assert.match(console, /No matching variables found\. .*Name keep/);
    assert.match(await vars('get', flash, 'theirs'), /NV\+BS\nData +2 bytes\n00000000 {2}78 56 /);
    assert.match(await vars('check', flash), /\nsound\n$/);

    // AAVMF counts its boots in MTC, then reclaims, then sets what it was told to.
    const theirs = readFileSync(flash);
    const after = VariableStore.read(theirs);
    const [mtc] = after.find('MTC');
    assert.ok(mtc);
    full.set(mtc);
    const reclaimed = VariableStore.read(compact(readStore(full.part.bytes)) ?? new Uint8Array());
    const data = Uint8Array.of(0x78, 0x56);
    reclaimed.set({ name: 'theirs', guid: TEST_GUID, attributes: 3, data });
    assert.ok(theirs.subarray(0, WORKING).equals(reclaimed.part.bytes.subarray(0, WORKING)), 'byte for byte');
  });

  test('an interrupted update is carried to the end that AAVMF carries it to', async () => {
    const cut = readFileSync(flash);
    const [header, record] = [WORKING + 32, WORKING + 72];
    assert.deepEqual([cut[header], cut[record]], [0xf8, 0xf9], 'AAVMF has noted its update as done');
    // As it was when the spare area was written and the first bytes of the target were.
    cut[header] = 0xfc;
    cut[record] = 0xfd;
    cut.copyWithin(SPARE, 0, WORKING);
    cut.fill(0xff, 0x800, WORKING);
    const byFirmware = files.path('by-firmware.fd');
    const byRepair = files.path('by-repair.fd');
    writeFileSync(byFirmware, cut);
    writeFileSync(byRepair, cut);
    refused(await v8a(['vars', 'delete', byRepair, 'ours']), 2, /was interrupted.*'v8a vars repair' first/);
    assert.match(await vars('repair', byRepair), /^repaired +0x00040020 .*\nsound now\n$/);
    assert.ok(readFileSync(byRepair).subarray(0, WORKING).equals(readFileSync(flash).subarray(0, WORKING)));
    for (const path of [byFirmware, byRepair])
      assert.match(await boot(path, dump('ours')), dumped('ours', '12 34'));
    assert.ok(readFileSync(byRepair).equals(readFileSync(byFirmware)), 'byte for byte');
  });

  test('QEMU takes what was set, and what it wrote is read', { skip: !hasQemu && 'no qemu' }, async () => {
    const theirs = files.path('qemu.fd');
    copyFileSync(flash, theirs);
    await vars('set', theirs, 'ours', '--hex', '4321');
    const { status, console } = await runQemu({
      firmware: AAVMF_CODE ?? '',
      flash: theirs,
      steps: [dump('ours'), setvar('keep', '=0x1234'), 'reset -s\r'].map((send) => ({
        expect: 'Shell>',
        send,
      })),
      timeoutMs: 300_000,
    });
    assert.equal(status, 0, console);
    assert.match(plain(console), dumped('ours', '43 21'));
    assert.match(await vars('get', theirs, 'keep'), /00000000 {2}34 12 /);
    assert.match(await vars('check', theirs), /\nsound\n$/);
  });
});

suite('v8a vars and EDK2’s firmware for kvmtool', { skip: skipWithoutKvmtool, concurrency: 1 }, () => {
  const flash = files.path('kvmtool.img');
  /** From the menu that the firmware shows when there is nothing to boot to its shell. */
  const toShell = [
    { expect: 'Select Language', send: '\\e[B\\e[B\r' },
    { expect: 'UEFI Shell', send: '\\e[A\r' },
  ];
  const bootShell = async (steps: typeof toShell, ...commands: readonly string[]): Promise<string> => {
    const typed = [...commands, 'reset -s\r'].map((send) => ({ expect: 'Shell>', send }));
    const { status, stdout, stderr } = await v8a([
      ...['run', '--machine', 'kvmtool', '--firmware', kvmtoolFirmware() ?? '', '--flash', flash],
      ...['--clock', 'virtual', '--timeout', '500s'],
      ...dialogue(...steps, ...typed),
    ]);
    assert.equal(status, 0, `${plain(stdout).slice(-2000)}\n${stderr}`);
    return plain(stdout);
  };

  test('what it wrote is read, and exporting and importing it changes nothing', async () => {
    writeFileSync(flash, Buffer.alloc(2 * 1024 * 1024, 0xff));
    await bootShell(toShell, setvar('keep', '=0x1234'));
    const before = readFileSync(flash);
    assert.match(await vars('check', flash), /authenticated variable store .*\nsound\n$/s);
    assert.match(await vars('get', flash, 'keep'), /NV\+BS\nData +2 bytes\n00000000 {2}34 12 /);
    const json = files.path('kvmtool.json');
    await vars('export', flash, json);
    const { status, stderr } = await v8a(['vars', 'import', flash, json, '--replace']);
    const { length } = VariableStore.read(before).variables;
    assert.deepEqual([status, stderr], [0, `v8a: 0 set, ${length} as they were, 0 deleted\n`]);
    assert.ok(readFileSync(flash).equals(before), 'not a byte has changed');
  });

  test('it has what was set and not what was deleted, and boots what comes first in the order', async () => {
    await vars('set', flash, 'ours', '--guid', TEST_GUID, '--hex', '1234');
    await vars('delete', flash, 'keep');
    const [, shell = ''] = /Boot([0-9A-F]{4}) +UEFI Shell/.exec(await vars('boot', flash)) ?? [];
    await vars('boot', flash, '--next', shell);
    const console = await bootShell([], dump('ours'), dump('keep'), setvar('theirs', '=0x5678'));
    assert.match(console, dumped('ours', '12 34'));
    assert.match(console, /No matching variables found\. [^\n]*\n?, Name keep/);
    assert.match(await vars('get', flash, 'theirs'), /00000000 {2}78 56 /);
    assert.match(await vars('boot', flash), /^BootNext +not set$/m);
    assert.match(await vars('check', flash), /\nsound\n$/);
  });
});
