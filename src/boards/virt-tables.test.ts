/** The tables that the virt board gives firmware through fw_cfg, as firmware takes them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { VirtConfig } from './virt.js';
import { VIRT } from './virt.js';
import { GICS, rig } from './virt-suite.js';

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1').replace(/\0.*$/s, '');
const sumOf = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0);

/** The files of fw_cfg, read as a driver does: key 0x19 is the directory. */
function filesOf({ board }: ReturnType<typeof rig>): Map<string, Uint8Array> {
  const { fwCfg } = board;
  const item = (key: number, sizeBytes: number): Uint8Array => {
    fwCfg.write(8, 2, ((key & 0xff) << 8) | (key >> 8));
    return Uint8Array.from({ length: sizeBytes }, () => fwCfg.read(0, 1));
  };
  const count = viewOf(item(0x19, 4)).getUint32(0);
  const directory = viewOf(item(0x19, 4 + 64 * count));
  return new Map(
    Array.from({ length: count }, (_, index) => {
      const at = 4 + 64 * index;
      const name = textOf(new Uint8Array(directory.buffer, at + 8, 56));
      return [name, item(directory.getUint16(at + 4), directory.getUint32(at))];
    }),
  );
}

/** Carries out the script of the table loader; what each file holds then, and where it was put. */
function loadTables(files: ReadonlyMap<string, Uint8Array>) {
  const script = files.get('etc/table-loader') ?? assert.fail('no script');
  assert.equal(script.length % 128, 0);
  const placed = new Map<string, { base: number; bytes: Uint8Array; zone: number }>();
  const find = (name: string) => placed.get(name) ?? assert.fail(`${name} is not allocated`);
  let free = 0x5000_0000;
  for (let at = 0; at < script.length; at += 128) {
    const view = viewOf(script.subarray(at, at + 128));
    const name = textOf(script.subarray(at + 4, at + 60));
    const command = view.getUint32(0, true);
    if (command === 1) {
      const bytes = Uint8Array.from(files.get(name) ?? assert.fail(`no file ${name}`));
      const alignment = view.getUint32(60, true);
      free = Math.ceil(free / alignment) * alignment;
      placed.set(name, { base: free, bytes, zone: view.getUint8(64) });
      free += bytes.length + 1;
    } else if (command === 2) {
      const { bytes } = find(name);
      const source = find(textOf(script.subarray(at + 60, at + 116)));
      const offset = view.getUint32(116, true);
      assert.equal(view.getUint8(120), 8);
      const pointer = viewOf(bytes).getBigUint64(offset, true);
      assert.ok(pointer < source.bytes.length, 'a pointer points into the file');
      viewOf(bytes).setBigUint64(offset, pointer + BigInt(source.base), true);
    } else {
      assert.equal(command, 3);
      const { bytes } = find(name);
      const [offset, from, length] = [60, 64, 68].map((field) => view.getUint32(field, true)) as [
        number,
        number,
        number,
      ];
      bytes[offset] = (bytes[offset]! - sumOf(bytes.subarray(from, from + length))) & 0xff;
    }
  }
  return placed;
}

/** The tables as an operating system finds them, from the RSDP: each whole, each checksum right. */
function acpiTables(config: Partial<VirtConfig>): Map<string, Uint8Array> {
  const placed = loadTables(filesOf(rig(config)));
  const { bytes: rsdp, zone } = placed.get('etc/acpi/rsdp') ?? assert.fail('no RSDP');
  const { base, bytes } = placed.get('etc/acpi/tables') ?? assert.fail('no tables');
  assert.equal(zone, 2, 'where firmware of PCs would look for it');
  assert.equal(textOf(rsdp.subarray(0, 8)), 'RSD PTR ');
  assert.equal(sumOf(rsdp.subarray(0, 20)), 0);
  assert.equal(sumOf(rsdp), 0);
  const tableAt = (address: bigint): Uint8Array => {
    const offset = Number(address) - base;
    const table = bytes.subarray(offset, offset + viewOf(bytes).getUint32(offset + 4, true));
    assert.equal(sumOf(table), 0, `checksum of ${textOf(table.subarray(0, 4))}`);
    return table;
  };
  const xsdt = tableAt(viewOf(rsdp).getBigUint64(24, true));
  const tables = [xsdt];
  for (let at = 36; at < xsdt.length; at += 8) tables.push(tableAt(viewOf(xsdt).getBigUint64(at, true)));
  const fadt = tables.find((table) => textOf(table.subarray(0, 4)) === 'FACP') ?? assert.fail('no FADT');
  tables.push(tableAt(viewOf(fadt).getBigUint64(140, true)));
  return new Map(tables.map((table) => [textOf(table.subarray(0, 4)), table]));
}

/** In our IORT. */
const ROOT_COMPLEX_ID_AT = 76;
const hasIasl = spawnSync('iasl', ['-v']).error === undefined;

for (const { gic, gicVersion, hasIts } of GICS) {
  for (const cpuCount of [1, 8]) {
    test(
      `iasl disassembles every table and compiles it again without a complaint (${gic}, ${cpuCount} CPUs)`,
      { skip: !hasIasl && 'no iasl' },
      () => {
        const folder = mkdtempSync(join(tmpdir(), 'v8a-acpi-'));
        try {
          for (const [signature, table] of acpiTables({ gicVersion, hasIts, cpuCount })) {
            const iasl = (...args: string[]): string => {
              const { status, stdout, stderr } = spawnSync('iasl', args, { cwd: folder, encoding: 'utf8' });
              assert.equal(status, 0, `${signature}: ${stdout}${stderr}`);
              return stdout + stderr;
            };
            writeFileSync(join(folder, `${signature}.aml`), table);
            const disassembly = iasl('-dl', '-d', `${signature}.aml`);
            assert.doesNotMatch(disassembly, /error|warning|invalid|incorrect/i, signature);
            const compilation = iasl('-oa', '-p', 'again', `${signature}.dsl`);
            // Compilers of before DEN0049E take the identifiers of nodes for reserved, and clear them.
            const expected =
              signature === 'IORT' ? /0 Errors, [01] Warnings/ : /0 Errors, 0 Warnings, 0 Remarks/;
            assert.match(compilation, expected, signature);
            const again = readFileSync(join(folder, 'again.aml'));
            if (signature === 'IORT')
              again.set(table.subarray(ROOT_COMPLEX_ID_AT, ROOT_COMPLEX_ID_AT + 4), ROOT_COMPLEX_ID_AT);
            // The compiler signs what it made; behind the header nothing may differ.
            assert.deepEqual([...again.subarray(36)], [...table.subarray(36)], signature);
          }
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
    );
  }
}

test('FADT: hardware-reduced, PSCI by HVC (ACPI 5.2.9)', () => {
  const fadt = acpiTables({}).get('FACP') ?? assert.fail();
  assert.ok((viewOf(fadt).getUint32(112, true) & (1 << 20)) !== 0);
  assert.equal(viewOf(fadt).getUint16(129, true), 3);
});

/** Entries of the MADT: type, and the bytes. */
function madtEntries(config: Partial<VirtConfig>): { type: number; view: DataView }[] {
  const madt = acpiTables(config).get('APIC') ?? assert.fail();
  const entries = [];
  for (let at = 44; at < madt.length; at += madt[at + 1]!) {
    entries.push({ type: madt[at]!, view: viewOf(madt.subarray(at, at + madt[at + 1]!)) });
  }
  return entries;
}

test('MADT: a CPU interface for each CPU, and what its interrupt controller has (ACPI 5.2.12)', () => {
  const gicv2 = madtEntries({ gicVersion: 2, cpuCount: 3 });
  assert.deepEqual(
    gicv2.map(({ type }) => type),
    [0xc, 0xb, 0xb, 0xb, 0xd],
  );
  const [distributor, first, , third, frame] = gicv2.map(({ view }) => view) as [
    DataView,
    DataView,
    DataView,
    DataView,
    DataView,
  ];
  assert.equal(distributor.getBigUint64(8, true), BigInt(VIRT.gicd.base));
  assert.equal(distributor.getUint8(20), 2);
  assert.equal(first.getBigUint64(32, true), BigInt(VIRT.gicc.base));
  assert.equal(third.getUint32(8, true), 2);
  assert.equal(third.getUint32(12, true), 1, 'enabled');
  assert.equal(third.getUint32(20, true), 23, 'performance interrupt');
  assert.equal(third.getBigUint64(68, true), 2n);
  assert.equal(frame.getBigUint64(8, true), BigInt(VIRT.gicv2m.base));
  assert.deepEqual([frame.getUint16(20, true), frame.getUint16(22, true)], [64, 80]);

  const gicv3 = madtEntries({ gicVersion: 3, cpuCount: 2 });
  assert.deepEqual(gicv3.map(({ type }) => type).slice(0, 4), [0xc, 0xb, 0xb, 0xe]);
  assert.equal(gicv3[1]!.view.getBigUint64(32, true), 0n);
  assert.equal(gicv3[3]!.view.getBigUint64(4, true), BigInt(VIRT.gicr.base));
  assert.equal(gicv3[3]!.view.getUint32(12, true), 2 * 0x2_0000);

  const its = madtEntries({ gicVersion: 3, hasIts: true })[3]!;
  assert.equal(its.type, 0xf);
  assert.equal(its.view.getBigUint64(8, true), BigInt(VIRT.its.base));
});

test('IORT: requester IDs are the device IDs of the ITS (DEN0049)', () => {
  assert.ok(!acpiTables({ gicVersion: 3 }).has('IORT'));
  const iort = acpiTables({ gicVersion: 3, hasIts: true }).get('IORT') ?? assert.fail('no IORT');
  const view = viewOf(iort);
  const groupAt = view.getUint32(40, true);
  assert.equal(view.getUint8(groupAt), 0);
  assert.equal(view.getUint32(groupAt + 20, true), 0, 'the ITS of the MADT');
  const rootAt = groupAt + view.getUint16(groupAt + 1, true);
  assert.equal(view.getUint8(rootAt), 2);
  const mappingAt = rootAt + view.getUint32(rootAt + 12, true);
  const mapping = [0, 4, 8, 12].map((at) => view.getUint32(mappingAt + at, true));
  assert.deepEqual(mapping, [0, 0xffff, 0, groupAt]);
});

test('without ACPI there is no table, no script and no event device, but SMBIOS', () => {
  const off = rig({ hasAcpi: false });
  assert.deepEqual([...filesOf(off).keys()], ['etc/smbios/smbios-tables', 'etc/smbios/smbios-anchor']);
  assert.equal(
    off.board.map.some(({ device }) => device.name === 'ged'),
    false,
  );
  off.board.pressPowerKey();
});

test('the power button reaches a guest that goes by ACPI through the event device (ACPI 5.6.9)', () => {
  const { board, read } = rig();
  board.pressPowerKey();
  const intid = 32 + VIRT.ged.spi;
  assert.ok((read(VIRT.gicd.base + 0x200 + 4 * (intid >> 5)) & (1 << (intid & 31))) !== 0);
  assert.equal(read(VIRT.ged.base), 2);
  assert.equal(read(VIRT.ged.base), 0);
});

test('SMBIOS: entry point and structures fit together (DSP0134 3.0, 5.2.2, 6.1)', () => {
  const files = filesOf(rig({ cpuCount: 4 }));
  const anchor = files.get('etc/smbios/smbios-anchor') ?? assert.fail();
  const tables = files.get('etc/smbios/smbios-tables') ?? assert.fail();
  assert.equal(anchor.length, 24);
  assert.equal(textOf(anchor.subarray(0, 5)), '_SM3_');
  assert.equal(sumOf(anchor), 0);
  assert.equal(viewOf(anchor).getUint32(12, true), tables.length);
  const structures = new Map<number, { formatted: DataView; strings: string[] }>();
  for (let at = 0; at < tables.length;) {
    const formatted = viewOf(tables.subarray(at, at + tables[at + 1]!));
    let end = at + tables[at + 1]!;
    while (tables[end] !== 0 || tables[end + 1] !== 0) end++;
    const strings = Buffer.from(tables.subarray(at + tables[at + 1]!, end))
      .toString('latin1')
      .split('\0');
    structures.set(tables[at]!, { formatted, strings });
    at = end + 2;
  }
  assert.deepEqual([...structures.keys()], [0, 1, 3, 4, 16, 17, 19, 32, 127]);
  // Lengths of DSP0134 3.0 (7.1 to 7.45).
  assert.deepEqual(
    [...structures.values()].map(({ formatted }) => formatted.byteLength),
    [24, 27, 22, 48, 23, 40, 31, 11, 4],
  );
  const at = (type: number) => structures.get(type) ?? assert.fail();
  assert.deepEqual(at(1).strings, ['v8a', 'v8a Virtual Machine', 'virt']);
  assert.equal(at(0).formatted.getUint8(0x13) & (1 << 4), 1 << 4, 'a virtual machine');
  assert.equal(at(4).formatted.getUint8(0x23), 4, 'cores');
  assert.equal(at(17).formatted.getUint16(0x0c, true), 512, 'MiB');
  assert.equal(at(19).formatted.getUint32(4, true), VIRT.ram.base / 1024);
  assert.equal(at(19).formatted.getUint32(8, true), (VIRT.ram.base + 512 * 2 ** 20) / 1024 - 1);
});
