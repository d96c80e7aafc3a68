/** The dialogue of docs/library.md runs, and says what it promises. */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';

function runExample(name: string): string {
  const path = fileURLToPath(new URL(`./examples/${name}.js`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [path], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

suite('examples', () => {
  test('a dialogue with a guest is the same in every run, to the instruction', () => {
    const first = runExample('dialogue');
    assert.match(first, /^Your name\? Ada\r\nAda, power-off, \d+ instructions\n$/);
    assert.equal(runExample('dialogue'), first);
  });
});
