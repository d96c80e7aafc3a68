import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { UserError } from '../../base/index.js';
import { readInitrdFile, readKernelFile, unpackKernel } from './kernel-file.js';

const folder = mkdtempSync(join(tmpdir(), 'v8a-kernel-'));
after(() => rmSync(folder, { recursive: true }));

const KERNEL = Uint8Array.from({ length: 10_000 }, (_, index) => index % 251);

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** zboot-header.S: `MZ`, `zimg`, payload offset and size, the name of the compression. */
function zboot(payload: Uint8Array, compression: string): Buffer {
  const image = Buffer.alloc(256 + payload.length + 16);
  image.write('MZ\0\0zimg');
  image.writeUInt32LE(256, 8);
  image.writeUInt32LE(payload.length, 12);
  image.write(compression, 24);
  image.set(payload, 256);
  return image;
}

test('a plain image is taken as it is, also one that is short', () => {
  assert.deepEqual(readKernelFile(file('Image', KERNEL)), KERNEL);
  for (const bytes of [Uint8Array.of(1), KERNEL.subarray(0, 30)])
    assert.equal(unpackKernel(bytes, 'x'), bytes);
});

test('gzip is unpacked', () => {
  assert.deepEqual(new Uint8Array(readKernelFile(file('Image.gz', gzipSync(KERNEL)))), KERNEL);
});

test('EFI zboot with a gzip payload is unpacked (Linux zboot-header.S)', () => {
  const image = zboot(gzipSync(KERNEL), 'gzip');
  assert.deepEqual(new Uint8Array(readKernelFile(file('vmlinuz.efi', image))), KERNEL);
});

for (const [what, bytes, code, message] of [
  ['zboot with another compression is named', zboot(KERNEL, 'zstd'), 'kernel-packed', /zstd/],
  ['zboot that is cut off', zboot(KERNEL, 'gzip').subarray(0, 5000), 'kernel-packed', /cut off/],
  ['gzip that is cut off', gzipSync(KERNEL).subarray(0, 100), 'kernel-packed', /unpacked/],
  ['an empty file', new Uint8Array(), 'kernel-empty', /empty/],
] as const) {
  test(`${what}: a user error`, () => {
    assert.throws(
      () => readKernelFile(file('refused', bytes)),
      (error) => error instanceof UserError && error.code === code && message.test(error.message),
    );
  });
}

test('a RAM disk is taken as it is, packed or not', () => {
  const packed = gzipSync(KERNEL);
  assert.deepEqual(readInitrdFile(file('initrd', packed)), new Uint8Array(packed));
  assert.throws(() => readInitrdFile(join(folder, 'missing')), UserError);
});
