import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test, type TestContext } from 'node:test';
import { claimFile, ClaimedError, type ClaimMode } from './file-claim.js';

let directory = '';
let image = '';

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'v8a-claim-'));
  image = join(directory, 'vars.fd');
  fs.writeFileSync(image, 'x');
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const claims = (): string[] => fs.readdirSync(directory).filter((name) => name !== 'vars.fd');

/** A process that claims the image, says `got it` or the owner's pid, and lives on until it is killed. */
function claimant(): { child: ChildProcess; said: Promise<string> } {
  const module = JSON.stringify(new URL('./file-claim.js', import.meta.url).href);
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { claimFile } from ${module};
       try { claimFile(${JSON.stringify(image)}); console.log('got it'); }
       catch (error) { console.log(error.pid ?? error.message); }
       setInterval(() => {}, 1 << 30);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  return { child, said: once(child.stdout, 'data').then(([data]) => String(data).trim()) };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Plants the claim that another process would have left. */
function plant(pid: number, change: Record<string, string>, mode: ClaimMode = 'exclusive'): string {
  const before = claims();
  const release = claimFile(image, mode);
  const own = claims().find((name) => !before.includes(name)) ?? '';
  const text = JSON.parse(fs.readFileSync(join(directory, own), 'utf8')) as object;
  release();
  const path = `${image}.v8a-lock.${pid}.00000000`;
  fs.writeFileSync(path, JSON.stringify({ ...text, pid, ...change }));
  return path;
}

/** Has a function of the file system do something else for the length of a test. */
function replace(
  t: TestContext,
  name: 'renameSync' | 'writeFileSync',
  implementation: (from: fs.PathLike, to: fs.PathLike) => void,
): void {
  const { mock } = t.mock.method(fs, name, implementation);
  syncBuiltinESMExports();
  t.after(() => {
    mock.restore();
    syncBuiltinESMExports();
  });
}

describe('claims on files', () => {
  test('a second claim in the same process is refused until the first is given up', () => {
    const release = claimFile(image);
    assert.throws(
      () => claimFile(image),
      (error) =>
        error instanceof ClaimedError && error.pid === process.pid && error.doubtfulClaim === undefined,
    );
    assert.equal(claims().length, 1);
    release();
    assert.deepEqual(claims(), []);
    claimFile(image)();
    assert.deepEqual(claims(), []);
  });

  test('a claim of another process is refused with its pid; kill -9 frees it at once', async () => {
    const { child, said } = claimant();
    try {
      assert.equal(await said, 'got it');
      assert.throws(
        () => claimFile(image),
        (error) => error instanceof ClaimedError && error.pid === child.pid,
      );
    } finally {
      await kill(child);
    }
    assert.equal(claims().length, 1, 'the dead process left its claim');
    const release = claimFile(image);
    assert.equal(claims().length, 1, 'and it was removed');
    release();
  });

  test('of several processes that start together, beside a dead claim, exactly one gets the file', async () => {
    const dead = claimant();
    await dead.said;
    await kill(dead.child);
    const all = Array.from({ length: 5 }, claimant);
    try {
      const said = await Promise.all(all.map((one) => one.said));
      const [owner] = all.filter((_, index) => said[index] === 'got it');
      assert.equal(said.filter((text) => text === 'got it').length, 1, said.join());
      assert.equal(said.length, 5);
      assert.ok(said.every((text) => text === 'got it' || Number(text) > 0));
      assert.ok(owner);
    } finally {
      await Promise.all(all.map((one) => kill(one.child)));
    }
  });

  test('a pid that was used again does not keep a claim alive', () => {
    plant(process.pid, { startTime: '1' });
    claimFile(image)();
    assert.deepEqual(claims(), []);
  });

  test('a claim from before the last boot is dead', () => {
    plant(process.pid, { bootId: '00000000-0000-0000-0000-000000000000' });
    claimFile(image)();
    assert.deepEqual(claims(), []);
  });

  test('where the owner cannot be judged the claim counts, and is named', () => {
    for (const change of [{ pidNamespace: 'pid:[1]' }, { bootId: 'another', host: 'another' }]) {
      const path = plant(4_000_000, change);
      assert.throws(
        () => claimFile(image),
        (error) => error instanceof ClaimedError && error.doubtfulClaim === path,
      );
      fs.rmSync(path);
    }
  });

  test('a reader removes the claims of dead readers, and leaves those of living ones', () => {
    const release = claimFile(image, 'shared');
    const [living = ''] = claims();
    plant(process.pid, { startTime: '1' }, 'shared');
    assert.equal(claims().length, 2);
    claimFile(image, 'shared')();
    assert.deepEqual(claims(), [living]);
    release();
  });

  test('a claim that a crash of the host has emptied is removed', () => {
    fs.writeFileSync(`${image}.v8a-lock.1.00000000`, '');
    claimFile(image)();
    assert.deepEqual(claims(), []);
  });

  test('what a process was writing when it was killed is removed, and what a living one writes is not', () => {
    const living = `vars.fd.v8a-lock-draft.${process.pid}.00000000`;
    fs.writeFileSync(join(directory, living), '');
    fs.writeFileSync(`${image}.v8a-lock-draft.4000000.00000000`, '{"pid":');
    claimFile(image)();
    assert.deepEqual(claims(), [living]);
  });

  test('who finds its draft removed writes it again', (t) => {
    const { renameSync } = fs;
    let removals = 0;
    replace(t, 'renameSync', (from, to) => {
      if (removals < 2) {
        removals++;
        fs.rmSync(from);
      }
      renameSync(from, to);
    });
    const release = claimFile(image);
    assert.equal(removals, 2);
    assert.equal(claims().length, 1);
    release();
    assert.deepEqual(claims(), []);
  });

  test('a reader that may not write there still sees a writer', (t) => {
    const release = claimFile(image);
    replace(t, 'writeFileSync', () => {
      throw Object.assign(new Error('read-only file system'), { code: 'EROFS' });
    });
    assert.throws(() => claimFile(image, 'shared'), ClaimedError);
    release();
    claimFile(image, 'shared')();
  });

  test('claims on other files do not count', () => {
    fs.writeFileSync(join(directory, 'vars.fd2'), 'x');
    const release = claimFile(join(directory, 'vars.fd2'));
    claimFile(image)();
    release();
  });
});
