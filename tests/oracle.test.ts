import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { CORTEX_A57 } from '#v8a/cpu/models.js';
import { A64 } from '#v8a/isa/a64.js';
import { compareResults, describeRun } from './oracle/compare.js';
import { QemuUser, missingTool } from './oracle/qemu-user.js';
import { batchSeed, comparableRows, randomBatch } from './oracle/random-cases.js';
import { V8a } from './oracle/v8a.js';

const SEED = Number(process.env['V8A_ORACLE_SEED'] ?? 0xa64);
const CASES_PER_ROW = Number(process.env['V8A_ORACLE_CASES'] ?? 200);

const missing = missingTool();
const needsQemu = missing === undefined ? {} : { skip: `${missing} is not installed` };

for (const model of [CORTEX_A57])
  suite(`every instruction leaves the state that QEMU leaves, as ${model.name}`, needsQemu, () => {
    const v8a = new V8a(model);
    const qemu = new QemuUser(model);
    after(() => qemu.close());
    for (const row of comparableRows(model, A64.rows))
      test(row.name, async () => {
        const batch = randomBatch(model, row, batchSeed(SEED, row.name, 0), CASES_PER_ROW);
        const theirs = await qemu.run(batch);
        const mismatches = compareResults(batch, v8a.run(batch), theirs);
        const wrong = mismatches.map(
          ({ run, differences }) => `${describeRun(batch, run)}: ${differences.join('; ')}`,
        );
        assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${CASES_PER_ROW}`);
      });
  });
