import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantError } from '../../base/index.js';
import type { AcpiObject } from '../../bus/index.js';
import { encodeSystemBus } from './aml.js';

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const ascii = (text: string): string => hexOf(Buffer.from(text, 'latin1'));
/** `Scope (\_SB)`, as long as one byte of length holds. */
const inScope = (content: string): string =>
  `10${(6 + content.length / 2).toString(16).padStart(2, '0')}5c${ascii('_SB_')}${content}`;
const inDevice = (content: string): string =>
  inScope(`5b82${(5 + content.length / 2).toString(16).padStart(2, '0')}${ascii('A___')}${content}`);

/** A device `A` with the object `B`, encoded by hand. */
function expectObject(object: AcpiObject, content: string): void {
  assert.equal(hexOf(encodeSystemBus([{ name: 'A', objects: { B: object } }])), inDevice(content));
}

test('integers take the shortest encoding (20.2.3)', () => {
  const name = `08${ascii('B___')}`;
  expectObject(0, `${name}00`);
  expectObject(1, `${name}01`);
  expectObject(2, `${name}0a02`);
  expectObject(0x100, `${name}0b0001`);
  expectObject(0x1_0000, `${name}0c00000100`);
  expectObject(0x40_1000_0000, `${name}0e0000001040000000`);
  expectObject(0xffff_ffff_ffff_ffffn, `${name}0effffffffffffffff`);
});

test('strings, identifiers, UUIDs, packages and references (20.2.3, 19.6)', () => {
  const name = `08${ascii('B___')}`;
  expectObject('Hi', `${name}0d${ascii('Hi')}00`);
  expectObject({ eisaId: 'PNP0A08' }, `${name}0c41d00a08`);
  expectObject({ unicode: 'A' }, `${name}11070a0441000000`);
  expectObject(
    { uuid: '33db4d5b-1ff7-401c-9657-7441c03dd766' },
    `${name}11130a105b4ddb33f71f1c4096577441c03dd766`,
  );
  expectObject({ package: [1, { object: 'GSI0' }] }, `${name}12070201${ascii('GSI0')}`);
});

test('lengths of 64 and more take more bytes: 4 bits in the first, 8 in each other (20.2.4)', () => {
  for (const [payload, followers] of [
    [20, 0],
    [200, 1],
    [5000, 2],
  ] as const) {
    const bytes = encodeSystemBus([{ name: 'A', objects: { B: { bytes: new Uint8Array(payload) } } }]);
    const lead = bytes[1]!;
    assert.equal(lead >> 6, followers);
    const value = [...bytes.subarray(2, 2 + followers)].reduce(
      (sum, byte, i) => sum + (byte << (4 + 8 * i)),
      followers === 0 ? lead : lead & 0xf,
    );
    assert.equal(value, bytes.length - 1, 'PkgLength counts all but the opcode');
  }
});

test('names: paths, filling, and what is no name (20.2.2)', () => {
  const named = (name: string): string => hexOf(encodeSystemBus([{ name, objects: {} }])).slice(12 + 2 * 3);
  assert.ok(named('\\_SB.PCI0').endsWith(`5c2e${ascii('_SB_PCI0')}`));
  assert.ok(named('\\_SB.PCI0.X').endsWith(`5c2f03${ascii('_SB_PCI0X___')}`));
  for (const name of ['', '0AB', 'lower', 'TOOLONG', 'A..B'])
    assert.throws(() => named(name), InvariantError, name);
});

test('methods and their statements (20.2.5)', () => {
  expectObject(
    { arguments: 2, isSerialized: true, body: [['Return', { argument: 1 }]] },
    `1408${ascii('B___')}0aa469`,
  );
  expectObject(
    { arguments: 0, body: [['If', ['LNotEqual', { local: 0 }, 1], [['Notify', 'PWRB', 0x80]]]] },
    `1413${ascii('B___')}00a00c9293600186${ascii('PWRB')}0a80`,
  );
});

test('a region in memory with 32-bit fields (19.6.100, 19.6.48)', () => {
  expectObject(
    { base: 0x0908_0000, sizeBytes: 4, fields: ['ESEL'] },
    `5b80${ascii('B___')}000c000008090a04` + `5b810b${ascii('B___')}43${ascii('ESEL')}20`,
  );
});

test('resource descriptors (6.4)', () => {
  const template = (bytes: string): string => {
    const size = bytes.length / 2 + 2;
    const encoded = size.toString(16).padStart(2, '0');
    return `08${ascii('B___')}11${(size + 3).toString(16).padStart(2, '0')}0a${encoded}${bytes}7900`;
  };
  expectObject(
    { resources: [{ kind: 'memory32-fixed', base: 0x0900_0000, sizeBytes: 0x1000 }] },
    template('860900010000000900100000'),
  );
  expectObject(
    { resources: [{ kind: 'interrupt', gsi: 41, trigger: 'edge-rising' }] },
    template('890600030129000000'),
  );
  expectObject(
    { resources: [{ kind: 'bus-numbers', first: 0, count: 256 }] },
    template('880d00020c000000' + '0000ff0000000001'),
  );
});
