import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatDevicePath, printable } from './device-path.js';

const END = '7fff0400';

describe('device paths as text (UEFI 2.10, 10.6)', () => {
  for (const [what, bytes, text] of [
    ['a disk behind a PCI device', '02010c00d041030a00000000010106000001030208000000010004012a0001000000000800000000000000f80f000000000004030201ffeebbaa99887766554433220202', 'PciRoot(0x0)/Pci(0x1,0x0)/Scsi(0x0,0x1)/HD(1,GPT,01020304-EEFF-AABB-9988-776655443322,0x800,0xFF800)'], // prettier-ignore
    ['a class of USB devices', '030f0b00ffffffff030101', 'UsbClass(0xFFFF,0xFFFF,0x3,0x1,0x1)'],
    ['a serial line', '030e1300000000000096000000000000080101030a14006560a6df19b4d3119a2d0090273fc14d', 'Uart(38400,8,N,1)/VenVt100()'], // prettier-ignore
    ['a file in a firmware volume', '0407140093fd219e729c154c8c4be77f1db2d7920406140083a5047c3e9e1c4fad65e05268d0b4d1', 'Fv(9E21FD93-9C72-4C15-8C4B-E77F1DB2D792)/FvFile(7C04A583-9E3E-4F1C-AD65-E05268D0B4D1)'], // prettier-ignore
    ['a network card', `030b2500525400123456${'00'.repeat(26)}01`, 'MAC(525400123456,0x1)'],
    ['an NVMe disk', '03171000010000000102030405060708', 'NVMe(0x1,08-07-06-05-04-03-02-01)'],
    ['a URI', `03180c00${Buffer.from('http://x').toString('hex')}`, 'Uri(http://x)'],
    ['a SATA disk', '03120a000100ffff0000', 'Sata(0x1,0xFFFF,0x0)'],
    ['an ACPI device', '02010c00d041010502000000', 'Serial(0x2)'],
    ['a part of an MBR', '04012a000100000001000000000000000200000000000000785634120000000000000000000000000101', 'HD(1,MBR,0x12345678,0x1,0x2)'], // prettier-ignore
    ['a node that is not known', '03630600abcd', 'Path(3,99,abcd)'],
    ['a node of another length', '0302050001', 'Path(3,2,01)'],
  ] as const) {
    test(what, () => assert.equal(formatDevicePath(Buffer.from(bytes + END, 'hex')), text));
  }

  test('a file has its name', () => {
    const name = Buffer.from('\\EFI\\x.efi\0', 'utf16le');
    const node = Buffer.concat([Buffer.from([4, 4, 4 + name.length, 0]), name]);
    assert.equal(formatDevicePath(Buffer.concat([node, Buffer.from(END, 'hex')])), '\\EFI\\x.efi');
  });

  test('instances are separated by commas', () => {
    const path = Buffer.from(`0101060000057f0104000302080001000200${END}`, 'hex');
    assert.equal(formatDevicePath(path), 'Pci(0x5,0x0),Scsi(0x1,0x2)');
  });

  test('what is not a path is shown as far as it is one, and said', () => {
    const pci = '010106000005';
    for (const [bytes, text] of [
      ['', ''],
      [pci, 'Pci(0x5,0x0) [without end]'],
      [`${pci}0101ff0000`, 'Pci(0x5,0x0) [cut off]'],
      [`${pci}01010000`, 'Pci(0x5,0x0) [cut off]'],
      [`${pci}${END}0102`, 'Pci(0x5,0x0) [and 2 bytes more]'],
    ] as const) {
      assert.equal(formatDevicePath(Buffer.from(bytes, 'hex')), text);
    }
  });

  test('control characters do not reach a terminal', () => {
    assert.equal(printable('a\x1b[2J\u202eb\ud800ä\u{1f600}'), 'a\\u001b[2J\\u202eb\\ud800ä\u{1f600}');
    assert.equal(formatDevicePath(Buffer.from(`031806001b5b${END}`, 'hex')), 'Uri(\\u001b[)');
  });
});
