import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../base/index.js';
import { changeBootSettings, readBootSettings, readLoadOption } from './boot-options.js';
import { GLOBAL_GUID, smallStore, TEST_GUID } from './store-suite.js';
import { VariableStore } from './variable-store.js';

const OPTION = [
  ...[0x09, 0x01, 0, 0, 10, 0],
  ...Buffer.from('Ü\0', 'utf16le'),
  ...[1, 1, 6, 0, 0, 5, 0x7f, 0xff, 4, 0],
  ...[0xaa, 0xbb],
];

function store(): VariableStore {
  return VariableStore.read(
    smallStore(
      { guid: GLOBAL_GUID, name: 'Boot000A', data: OPTION },
      { guid: GLOBAL_GUID, name: 'Boot0001', data: [1] },
      { guid: TEST_GUID, name: 'Boot0002', data: OPTION },
      { guid: GLOBAL_GUID, name: 'Boot000b', data: OPTION },
      { guid: GLOBAL_GUID, name: 'BootOrder', attributes: 3, data: [1, 0, 0x0a, 0] },
      { guid: GLOBAL_GUID, name: 'Timeout', data: [5] },
    ),
  );
}

describe('boot options', () => {
  test('EFI_LOAD_OPTION (UEFI 2.10, 3.1.3)', () => {
    assert.deepEqual(readLoadOption(Uint8Array.from(OPTION)), {
      isActive: true,
      isHidden: true,
      isApplication: true,
      description: 'Ü',
      path: 'Pci(0x5,0x0)',
      optionalDataBytes: 2,
    });
    for (const length of [0, 5, 7, 9, 19]) {
      assert.equal(readLoadOption(Uint8Array.from(OPTION.slice(0, length))), undefined);
    }
  });

  test('are those of the global vendor, with upper-case digits (UEFI 2.10, 3.3)', () => {
    const { order, next, timeoutSeconds, options } = readBootSettings(store());
    assert.deepEqual([order, next, timeoutSeconds], [[1, 10], undefined, undefined]);
    assert.deepEqual(
      options.map(({ number, option }) => [number, option?.description]),
      [
        [1, undefined],
        [10, 'Ü'],
      ],
    );
  });

  test('are put in order, chosen and waited for', () => {
    const changing = store();
    changeBootSettings(changing, { order: [10], next: 1, timeoutSeconds: 300 });
    const { order, next, timeoutSeconds } = readBootSettings(changing);
    assert.deepEqual([order, next, timeoutSeconds], [[10], 1, 300]);
    const attributes = (name: string) => changing.find(name)[0]?.attributes;
    assert.deepEqual([attributes('BootOrder'), attributes('BootNext')], [3, 7]);
    changeBootSettings(changing, { next: 'none', order: 'none' });
    assert.deepEqual([changing.find('BootNext'), changing.find('BootOrder')], [[], []]);
  });

  test('that do not exist cannot be chosen', () => {
    const changing = store();
    const before = changing.part.bytes.slice();
    for (const changes of [{ order: [1, 2] }, { next: 2 }]) {
      assert.throws(
        () => changeBootSettings(changing, changes),
        (error: unknown) =>
          error instanceof UserError && /no Boot0002; accepted: 0001, 000A$/.test(error.message),
      );
    }
    assert.deepEqual(changing.part.bytes, before);
  });
});
