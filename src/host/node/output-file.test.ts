import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { UserError } from '../../base/index.js';
import { isSameFile, OutputFile } from './output-file.js';

const directory = mkdtempSync(join(tmpdir(), 'v8a-output-'));
after(() => {
  rmSync(directory, { recursive: true });
});
const at = (name: string) => join(directory, name);

describe('an output file', () => {
  test('replaces what was in the file', () => {
    writeFileSync(at('old'), 'a long old text');
    const file = new OutputFile('--log', at('old'));
    file.begin();
    file.write('new');
    file.write(Uint8Array.of(0x0a));
    assert.equal(readFileSync(at('old'), 'utf8'), 'new\n', 'at once, before it is closed');
    file.close();
  });

  test('changes nothing on disk when it is closed before it began', () => {
    writeFileSync(at('kept'), 'text');
    const { mtimeMs } = statSync(at('kept'));
    new OutputFile('--log', at('kept')).close();
    assert.equal(readFileSync(at('kept'), 'utf8'), 'text');
    assert.equal(statSync(at('kept')).mtimeMs, mtimeMs);
    new OutputFile('--log', at('never')).close();
    assert.equal(existsSync(at('never')), false);
  });

  test('can be a device', () => {
    const file = new OutputFile('--log', '/dev/null');
    file.begin();
    file.write('x');
    file.close();
  });

  test('that cannot be written is one line with the option, the path and the reason', () => {
    mkdirSync(at('directory'));
    for (const [path, reason] of [
      [at('directory'), 'is a directory'],
      [at('missing/log'), 'no such file or directory'],
    ] as const) {
      assert.throws(
        () => new OutputFile('--log', path),
        (error) => {
          assert.ok(error instanceof UserError);
          assert.equal(error.code, 'file-unwritable');
          assert.equal(
            error.message,
            `--log ${path}: ${reason}; accepted: a file that can be created or written`,
          );
          return true;
        },
      );
    }
  });
});

test('two paths to the same file are known as such, whether it exists or not', () => {
  writeFileSync(at('file'), '');
  symlinkSync(at('file'), at('link'));
  assert.equal(isSameFile(at('file'), at('link')), true);
  assert.equal(isSameFile(at('new'), `${directory}/./x/../new`), true);
  assert.equal(isSameFile(at('file'), at('new')), false);
});
