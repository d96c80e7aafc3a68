/**
 * Every encoding of MRS, MSR, SYS and SYSL at EL1 and EL0: defined where QEMU has it defined, on each CPU model
 * (tests/system/encodings.c). Differences have a reason.
 */
import { strict as assert } from 'node:assert';
import { after, suite, test } from 'node:test';

import { CPU_MODEL_NAMES, cpuModel, exists } from '#v8a/cpu/models.js';
import type { CpuModel } from '#v8a/cpu/models.js';
import { absentSystemEncoding } from '#v8a/isa/absent-system-encodings.js';
import { findSystemEncoding, systemEncodingText } from '#v8a/isa/system-registers.js';
import { v8a } from './support/cli.js';
import { scratch } from './support/guests.js';
import { QEMU, hasQemu } from './support/qemu.js';
import { COMPILER, buildGuest, hasCompiler, runGuestOnQemu } from './support/system-guests.js';

/** Registers that every CPU has, and QEMU 7.2 has not. DDI0487 D19.3. */
const NOT_IN_QEMU = new Set([
  'OSDTRRX_EL1',
  'OSDTRTX_EL1',
  'OSECCR_EL1',
  'DBGPRCR_EL1',
  'DBGCLAIMSET_EL1',
  'DBGCLAIMCLR_EL1',
  'DBGAUTHSTATUS_EL1',
]);

/** FEAT_IDST, which no model of ours has: reads of the identification space trap, those of reserved encodings too. */
function isIdentification(encoding: number): boolean {
  return encoding >> 14 === 3 && ((encoding >> 7) & 15) === 0 && (encoding >> 3) % 16 < 8;
}

/** Why an access is undefined here and not in QEMU, or the other way round. */
function reason(line: string, model: CpuModel, isOurs: boolean): string | undefined {
  const [, instruction, number] = line.split(' ');
  const encoding = Number(number);
  const present = findSystemEncoding(encoding);
  if (isOurs) return present && NOT_IN_QEMU.has(present.name) ? 'QEMU has no such register' : undefined;
  if (model.name === 'max' && instruction === 'MRS' && isIdentification(encoding)) return 'FEAT_IDST';
  if (present) return exists(model, present) ? undefined : 'not advertised';
  return absentSystemEncoding(encoding)?.feature;
}

/** Lines of `some` that aren't among `others`, and have no reason. */
function unexplained(
  some: readonly string[],
  others: readonly string[],
  model: CpuModel,
  isOurs: boolean,
): string[] {
  const known = new Set(others);
  return some
    .filter((line) => !known.has(line) && reason(line, model, isOurs) === undefined)
    .map((line) => `${line} ${systemEncodingText(Number(line.split(' ')[2]))}`);
}

const missing = hasQemu ? (hasCompiler ? undefined : COMPILER) : QEMU;

suite(
  'system register encodings are defined where QEMU has them defined (DDI0487 D19)',
  { skip: missing !== undefined && `${missing} is missing` },
  () => {
    const { path, remove } = scratch();
    after(remove);

    for (const name of CPU_MODEL_NAMES)
      test(name, async () => {
        const guest = { source: 'encodings.c', model: name, irqchip: 'gicv3' } as const;
        const image = path(`${name}.bin`);
        buildGuest(guest, image);
        const result = await v8a([
          ...['run', '--firmware', image, '-m', '512M', '--clock', 'virtual', '--timeout', '60s'],
          ...['--irqchip', 'gicv3', '--cpu', name],
        ]);
        assert.equal(result.status, 0, result.stderr);
        const ours = result.stdout.replaceAll('\r', '').trim().split('\n');
        const theirs = (await runGuestOnQemu(guest, image)).trim().split('\n');
        assert.equal(ours.at(-1), 'done');
        assert.equal(theirs.at(-1), 'done');
        assert.deepEqual(unexplained(ours, theirs, cpuModel(name), true), [], 'defined here only');
        assert.deepEqual(unexplained(theirs, ours, cpuModel(name), false), [], 'defined in QEMU only');
      });
  },
);
