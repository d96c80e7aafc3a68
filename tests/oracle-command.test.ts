/** `npm run test:oracle` as a command: what it ends with, what it keeps, what it says of mistakes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { missingTool } from './oracle/qemu-user.js';
import { scratch } from './support/guests.js';

const MAIN = fileURLToPath(new URL('oracle/main.js', import.meta.url));
const missing = missingTool();

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function oracle(...options: string[]): Ran {
  return spawnSync(process.execPath, [MAIN, ...options], { encoding: 'utf8' });
}

suite('npm run test:oracle', { skip: missing !== undefined && `${missing} is not installed` }, () => {
  const { path, remove } = scratch();
  after(remove);

  test('reports each definition with the number of its cases', () => {
    const [json, table] = [path('report.json'), path('report.md')];
    const { status, stdout, stderr } = oracle(
      ...['--rows', 'EXTR', '--cases', '50', '--state', path('all'), '--report', json, '--report', table],
    );
    assert.equal(status, 0, stderr + stdout);
    const [line] = JSON.parse(readFileSync(json, 'utf8')) as {
      subject: string;
      cases: number;
      mismatches: number;
    }[];
    assert.deepEqual([line?.subject, line?.cases, line?.mismatches], ['EXTR', 50, 0]);
    assert.match(readFileSync(table, 'utf8'), /\| EXTR +\| cortex-a57 +\| 50 +\| 0 +\|/);
  });

  test('goes on after an interruption with what is left, with the same options only', () => {
    const folder = path('resumed');
    const options = ['--rows', 'ADR', '--cases', '9000', '--jobs', '1', '--state', folder];
    assert.equal(oracle(...options).status, 0);
    const journal = join(folder, 'oracle.jsonl');
    const lines = readFileSync(journal, 'utf8').split('\n');
    // As a kill leaves it: the last unit is missing, the one before is half written.
    writeFileSync(journal, `${lines.slice(0, -3).join('\n')}\n${lines.at(-3)?.slice(0, 20)}`);
    const other = oracle(...options, '--seed', '7', '--resume');
    assert.equal(other.status, 2);
    assert.match(other.stderr, /^test:oracle: --resume: .* is of a run with .*"seed":1/);
    const resumed = oracle(...options, '--resume');
    assert.equal(resumed.status, 0, resumed.stderr);
    assert.match(resumed.stdout, /9000 cases, at least 9000 of each/);
    const [, rest = '0'] = /\n(\d+) cases in /.exec(resumed.stdout) ?? [];
    assert.ok(Number(rest) > 0 && Number(rest) < 2 * 9000, `${rest} of 18000 cases were left`);
  });

  for (const [options, message] of [
    [
      ['--rows', 'no such'],
      'test:oracle: --rows no such: no definition that is compared has it in its name\n',
    ],
    [['--cases', '0'], 'test:oracle: --cases 0: a number from 1\n'],
    [['--cpu', 'z80'], 'test:oracle: --cpu z80: cortex-a57 or max\n'],
  ] as const)
    test(`${options.join(' ')} is a mistake`, () => {
      const { status, stderr } = oracle(...options, '--state', path('mistakes'));
      assert.equal(status, 2);
      assert.equal(stderr, message);
    });
});
