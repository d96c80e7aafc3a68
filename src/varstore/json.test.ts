import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../base/index.js';
import { formatJson, parseJson } from './json.js';
import { GLOBAL_GUID, smallStore } from './store-suite.js';
import { VariableStore } from './variable-store.js';

/** As json.dumps with indent=4 of virt-firmware 24.2 makes it, but for the line end. */
const VIRT_FW_VARS = `{
    "version": 2,
    "variables": [
        {
            "name": "Timeout",
            "guid": "8be4df61-93ca-11d2-aa0d-00e098032b8c",
            "attr": 7,
            "data": "0500"
        },
        {
            "name": "db",
            "guid": "d719b2cb-3d3a-4596-a3bc-dad00e67656f",
            "attr": 39,
            "data": "a1",
            "time": "e7070102030405000000000000000000"
        }
    ]
}
`;

describe('variables as JSON', () => {
  test('are what virt-fw-vars writes, byte for byte', () => {
    const variables = parseJson(VIRT_FW_VARS);
    assert.deepEqual(
      variables.map(({ name, attributes, data }) => [name, attributes, [...data]]),
      [
        ['Timeout', 7, [5, 0]],
        ['db', 39, [0xa1]],
      ],
    );
    assert.deepEqual([...variables[1]!.time.subarray(0, 7)], [0xe7, 7, 1, 2, 3, 4, 5]);
    assert.equal(formatJson(variables), VIRT_FW_VARS);
  });

  test('keep names of any characters', () => {
    const store = VariableStore.read(smallStore());
    for (const name of ['"', 'ä\u{1f600}', '\ud800', '\n']) {
      store.set({ name, guid: GLOBAL_GUID, attributes: 7, data: Uint8Array.of(1) });
    }
    assert.deepEqual(parseJson(formatJson(store.variables)), store.variables);
  });

  test('that are none are refused in one line that says where', () => {
    const variable = (change: object): string =>
      JSON.stringify({
        version: 2,
        variables: [{ name: 'A', guid: GLOBAL_GUID, attr: 7, data: '00', ...change }],
      });
    for (const [text, pattern] of [
      ['{', /is no JSON/],
      ['[]', /no "variables"/],
      ['{"variables": 1}', /no "variables"/],
      ['{"version": 3, "variables": []}', /"version" is 3; accepted: 2/],
      ['{"version": 2, "variables": [1]}', /"variables"\[0\] is no object/],
      [variable({ name: '' }), /\[0\] has no "name"/],
      [variable({ guid: 'x' }), /\[0\] \("A"\): "guid"/],
      [variable({ attr: -1 }), /"attr"/],
      [variable({ attr: 0x1_0000_0000 }), /"attr"/],
      [variable({ attr: '7' }), /"attr"/],
      [variable({ data: '0' }), /"data" is not in hex/],
      [variable({ data: undefined }), /"data" is not in hex/],
      [variable({ time: '00' }), /"time" has 1 bytes/],
      [
        variable({}).replace(
          '[{',
          `[${JSON.stringify({ name: 'A', guid: GLOBAL_GUID, attr: 3, data: '' })},{`,
        ),
        /twice/,
      ],
    ] as const) {
      assert.throws(
        () => parseJson(text),
        (error: unknown) => {
          assert.ok(error instanceof UserError && error.code === 'vars-json', String(error));
          assert.match(error.message, pattern);
          return true;
        },
      );
    }
  });
});
