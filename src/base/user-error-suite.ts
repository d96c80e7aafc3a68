import assert from 'node:assert/strict';
import { UserError } from './errors.js';

/** What `assert.throws` takes: a `UserError` with that code whose one line has `text` in it. */
export function userError(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  };
}
