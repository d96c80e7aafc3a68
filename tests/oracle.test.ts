import assert from 'node:assert/strict';
import { test } from 'node:test';
import { A64 } from '#v8a/isa/a64.js';
import { disassemble } from '#v8a/isa/disassemble.js';
import type { Case, Result } from './oracle/format.js';
import { PROGRAM } from './oracle/format.js';
import { missingTool, qemuUser } from './oracle/qemu-user.js';
import { isComparable, randomCases } from './oracle/random-cases.js';
import { v8aInterpreter } from './oracle/v8a.js';

const SEED = Number(process.env['V8A_ORACLE_SEED'] ?? 0xa64);
const CASES_PER_ROW = Number(process.env['V8A_ORACLE_CASES'] ?? 40);

/** Bits of FPSR that v8a does not keep: IDC, IXC, UFC, OFC. See the deviation in src/isa/fp-values.ts. */
const FPSR_NOT_KEPT = 0x9c;

const missing = missingTool();
const needsQemu = missing === undefined ? {} : { skip: `${missing} is not installed` };

function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** What `ours` has that `theirs` hasn't, for people. */
function differences(ours: Result, theirs: Result): string[] {
  const found: string[] = [];
  const compare = (what: string, a: bigint | number | string, b: bigint | number | string): void => {
    if (a === b) return;
    const text = (value: bigint | number | string): string =>
      typeof value === 'string' ? value : hex(value);
    found.push(`${what} ${text(a)}, QEMU ${text(b)}`);
  };
  compare('ending', ours.ending, theirs.ending);
  compare('pc', ours.after.pc, theirs.after.pc);
  compare('sp', ours.after.sp, theirs.after.sp);
  compare('nzcv', ours.after.nzcv, theirs.after.nzcv);
  compare('fpsr', ours.after.fpsr & ~FPSR_NOT_KEPT, theirs.after.fpsr & ~FPSR_NOT_KEPT);
  compare('fpcr', ours.after.fpcr, theirs.after.fpcr);
  ours.after.x.forEach((value, i) => {
    compare(`x${i}`, value, theirs.after.x[i] ?? 0n);
  });
  ours.after.v.forEach((value, i) => {
    compare(`v${i}`, value, theirs.after.v[i] ?? 0n);
  });
  const memory = ({ changes }: Result): string =>
    changes.map(({ offset, value }) => `[${hex(offset)}] = ${hex(value)}`).join(' ');
  compare('memory', memory(ours), memory(theirs));
  return found;
}

function describe({ words, before }: Case): string {
  const text = words
    .map((word, i) => `${hex(word)} ${disassemble(word, PROGRAM + 4n * BigInt(i))}`)
    .join('; ');
  const fields = new Set<string>();
  for (const match of text.matchAll(/\b[xw](\d+)\b/g)) fields.add(match[1] ?? '');
  const registers = [...fields].map((n) => `x${n}=${hex(before.x[Number(n)] ?? 0n)}`).join(' ');
  return `${text.replaceAll('\t', ' ')} (${registers} nzcv=${hex(before.nzcv)})`;
}

test('every instruction leaves the state that QEMU leaves', needsQemu, async (t) => {
  const rows = A64.rows.filter(isComparable);
  const cases = rows.map((row) => randomCases([row], SEED, CASES_PER_ROW, { withFpModes: false }));
  const all = cases.flat();
  const theirs = qemuUser.runCases(all);
  const ours = v8aInterpreter.runCases(all);
  let first = 0;
  for (const [i, row] of rows.entries()) {
    const mine = cases[i] ?? [];
    const at = first;
    first += mine.length;
    await t.test(row.name, () => {
      const wrong = mine.flatMap((c, k) => {
        const [a, b] = [ours[at + k], theirs[at + k]];
        assert.ok(a && b);
        const found = differences(a, b);
        return found.length === 0 ? [] : [`${describe(c)}: ${found.join('; ')}`];
      });
      assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${mine.length}`);
    });
  }
});
