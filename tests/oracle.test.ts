/** Every instruction compared with QEMU, a seeded subset: `npm run test:oracle` has more. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { MODELS, check, openPair } from './oracle/check.js';
import { missingTool } from './oracle/qemu-user.js';
import { subjectsOf } from './oracle/random-cases.js';
import type { Pair } from './oracle/reduce.js';

const SEED = 0xa64;
const CASES = 400;

const missing = missingTool();
const needsQemu = missing === undefined ? {} : { skip: `${missing} is not installed` };

/** Fewer cases where code is translated, which takes longer than executing it. */
const TRANSLATED_CASES = 40;

for (const model of MODELS)
  for (const jit of ['always', 'random'] as const)
    suite(
      `translated code leaves the state that QEMU leaves, as ${model.name}, --jit ${jit}`,
      needsQemu,
      () => {
        let pair: Pair;
        before(() => {
          pair = openPair(model, jit);
        });
        after(() => pair.qemu.close());
        test(`${TRANSLATED_CASES} cases of every definition, ${CASES} programs`, async () => {
          for (const subject of subjectsOf(model)) {
            const cases = subject.isOfPrograms === true ? CASES : TRANSLATED_CASES;
            const { mismatches, examples } = await check(pair, subject, SEED, 0, cases);
            assert.equal(mismatches, 0, `${subject.name}:\n${examples.map(({ line }) => line).join('\n')}`);
          }
        });
      },
    );

for (const model of MODELS)
  suite(`every instruction leaves the state that QEMU leaves, as ${model.name}`, needsQemu, () => {
    let pair: Pair;
    before(() => {
      pair = openPair(model);
    });
    after(() => pair.qemu.close());
    for (const subject of subjectsOf(model))
      test(subject.name, async () => {
        const { mismatches, examples } = await check(pair, subject, SEED, 0, CASES);
        const told = examples.map(({ differences, line }) => [...differences, line].join('\n'));
        assert.equal(mismatches, 0, `${mismatches} of ${CASES} cases differ:\n${told.join('\n')}`);
      });
  });
