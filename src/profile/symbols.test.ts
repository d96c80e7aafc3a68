import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../base/index.js';
import { SymbolTable } from './symbols.js';

const text = (lines: string): Uint8Array => new TextEncoder().encode(lines);

interface ElfSymbol {
  readonly name: string;
  readonly value: number;
  readonly sizeBytes?: number;
  readonly type?: number;
  readonly section?: number;
}

/** An ELF file of two sections: a symbol table and its names. gABI 4. */
function elf(symbols: readonly ElfSymbol[]): Uint8Array {
  const names = text(`\0${symbols.map(({ name }) => `${name}\0`).join('')}`);
  const tableAt = 64 + 2 * 64;
  const namesAt = tableAt + symbols.length * 24;
  const bytes = new Uint8Array(namesAt + names.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setBigUint64(40, 64n, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, 2, true);
  const section = (index: number, type: number, at: number, sizeBytes: number, link: number): void => {
    const header = 64 + index * 64;
    view.setUint32(header + 4, type, true);
    view.setBigUint64(header + 24, BigInt(at), true);
    view.setBigUint64(header + 32, BigInt(sizeBytes), true);
    view.setUint32(header + 40, link, true);
  };
  section(0, 2, tableAt, symbols.length * 24, 1);
  section(1, 3, namesAt, names.length, 0);
  let nameAt = 1;
  symbols.forEach(({ name, value, sizeBytes = 0, type = 2, section: index = 1 }, i) => {
    const at = tableAt + i * 24;
    view.setUint32(at, nameAt, true);
    view.setUint8(at + 4, type);
    view.setUint16(at + 6, index, true);
    view.setBigUint64(at + 8, BigInt(value), true);
    view.setBigUint64(at + 16, BigInt(sizeBytes), true);
    nameAt += name.length + 1;
  });
  bytes.set(names, namesAt);
  return bytes;
}

const nameAt = (table: SymbolTable, address: bigint): string | undefined => table.find(address)?.name;

describe('symbols of a list', () => {
  const table = SymbolTable.parse(
    text(
      [
        'ffff800008010000 T _stext',
        'ffff800008010100 t do_it',
        'ffff800008010200 t vm_get\t[virtio_mmio]',
        '0000000000000fff A _kernel_flags',
        '                 U printk',
        'ffff800008010300 t $x',
        '',
      ].join('\n'),
    ),
    'System.map',
  );

  test('reach to the next, and the last one over a page', () => {
    assert.equal(nameAt(table, 0xffff_8000_0800_ffffn), undefined);
    assert.equal(nameAt(table, 0xffff_8000_0801_0000n), '_stext');
    assert.equal(nameAt(table, 0xffff_8000_0801_00fcn), '_stext');
    assert.equal(nameAt(table, 0xffff_8000_0801_0100n), 'do_it');
    assert.equal(nameAt(table, 0xffff_8000_0801_0304n), 'vm_get');
    assert.equal(nameAt(table, 0xffff_8000_0801_11fcn), 'vm_get');
    assert.equal(nameAt(table, 0xffff_8000_0801_1200n), undefined);
  });

  test('leave out numbers, what is undefined, and mapping symbols', () => {
    assert.equal(nameAt(table, 0x1000n), undefined);
    assert.equal(table.find(0xffff_8000_0801_0300n)?.start, 0xffff_8000_0801_0200n);
  });
});

describe('symbols of an ELF file', () => {
  const symbols = [
    { name: '$x', value: 0x1000, type: 0 },
    { name: 'alias', value: 0x1000, type: 0 },
    { name: 'main', value: 0x1000, sizeBytes: 0x40 },
    { name: 'data', value: 0x1080, sizeBytes: 8, type: 1 },
    { name: 'elsewhere', value: 0x1088, section: 0 },
    { name: 'label', value: 0x1100, type: 0 },
  ];

  test('reach as far as they say, and code without a size to what comes next', () => {
    const table = SymbolTable.parse(elf(symbols), 'a.elf');
    assert.equal(nameAt(table, 0x103cn), 'main');
    assert.equal(nameAt(table, 0x1040n), undefined);
    assert.equal(nameAt(table, 0x1080n), undefined);
    assert.equal(nameAt(table, 0x1100n), 'label');
  });

  test('are moved by the offset', () => {
    const table = SymbolTable.parse(elf(symbols), 'a.elf', 0xffff_ffff_ffff_f000n);
    assert.equal(nameAt(table, 0x3cn), 'main');
    assert.equal(nameAt(table, 0x1100n), undefined);
  });

  test('are a mistake where there are none, whatever is cut off', () => {
    const whole = elf(symbols);
    const none: (readonly [what: string, bytes: Uint8Array])[] = [
      ['empty', new Uint8Array()],
      ['another text', text('hello\n')],
      ['stripped', elf([])],
      ['32 bits', whole.with(4, 1)],
    ];
    for (let length = 0; length < 64 + 128 + 24; length += 8)
      none.push([`${length}`, whole.slice(0, length)]);
    for (const [what, bytes] of none) {
      assert.throws(
        () => SymbolTable.parse(bytes, 'symbols x'),
        (error) => error instanceof UserError && /^symbols x: has no symbols; accepted: /.test(error.message),
        what,
      );
    }
  });
});
