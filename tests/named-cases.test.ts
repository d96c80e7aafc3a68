/** The named cases, whose results are kept, so that they need no QEMU; where it is installed it must agree. */
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { NAMED_CASES } from './oracle/cases.js';
import { MODELS } from './oracle/check.js';
import { decodeResult } from './oracle/format.js';
import { batchOfNamed, expectedResult } from './oracle/named-cases.js';
import { QemuUser, missingTool } from './oracle/qemu-user.js';
import { V8a } from './oracle/v8a.js';

for (const model of MODELS)
  suite(`named cases, as ${model.name}`, () => {
    const v8a = new V8a(model);
    const qemu = missingTool() === undefined ? new QemuUser(model) : undefined;
    after(() => qemu?.close());
    for (const named of NAMED_CASES.filter(({ cpus }) => cpus?.includes(model.name) !== false))
      test(named.title, async () => {
        const batch = batchOfNamed(named);
        assert.deepEqual(decodeResult(v8a.run(batch), 0), expectedResult(named), 'v8a');
        if (qemu && named.departure === undefined)
          assert.deepEqual(decodeResult(await qemu.run(batch), 0), expectedResult(named), 'QEMU');
      });
  });
