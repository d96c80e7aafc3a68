import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { DiskOptions } from '../vm/disk-options.js';
import type { ShareOptions } from '../vm/share-options.js';
import { GIB, KIB, MIB } from '../base/index.js';
import {
  formatSize,
  listOf,
  oneOf,
  parseDisk,
  parseDuration,
  parseEscapes,
  parseMemory,
  parsePort,
  parseSeed,
  parseShare,
  parseSize,
  quoteIfNeeded,
  UnacceptableValue,
} from './parse.js';

describe('sizes', () => {
  const sizes: readonly (readonly [string, number])[] = [
    ['512', 512 * MIB],
    ['512M', 512 * MIB],
    ['512m', 512 * MIB],
    ['512MB', 512 * MIB],
    ['512MiB', 512 * MIB],
    ['1G', GIB],
    ['1.5GiB', 1536 * MIB],
    ['64k', 64 * KIB],
    ['1T', 1024 * GIB],
    ['4096B', 4096],
    [' 1G ', GIB],
  ];
  for (const [text, bytes] of sizes) {
    test(`'${text}' are ${bytes} bytes`, () => {
      assert.equal(parseSize(text), bytes);
    });
  }

  for (const text of [
    '',
    '0',
    '-1',
    '512Q',
    'M',
    '1e3',
    '0x10',
    '1.3B',
    '1 G',
    'lots',
    '99999999999T',
    'NaN',
  ]) {
    test(`'${text}' is no size`, () => {
      assert.throws(() => parseSize(text), UnacceptableValue);
    });
  }

  test('what formatSize writes, parseSize reads', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (bytes) => {
        assert.equal(parseSize(formatSize(bytes)), bytes);
      }),
      { seed: 4, numRuns: 200 },
    );
    assert.equal(formatSize(512 * MIB), '512M');
    assert.equal(formatSize(3 * GIB), '3G');
  });

  test('RAM is whole MiB within the limits', () => {
    assert.deepEqual(parseMemory('3G'), { bytes: 3 * GIB });
    assert.deepEqual(parseMemory('512M@4G'), { bytes: 512 * MIB, base: 4 * GIB });
    assert.deepEqual(parseMemory('512M@0x80000000'), { bytes: 512 * MIB, base: 0x8000_0000 });
    for (const text of ['512M@', '512M@here', '512M@0x', '512M@1G@2G'])
      assert.throws(() => parseMemory(text), UnacceptableValue);
    for (const text of ['1K', '1.5K', '4G', '1048577B'])
      assert.throws(() => parseMemory(text), /from 1M to 3G/);
  });
});

describe('durations', () => {
  for (const [text, ms] of [
    ['60s', 60_000],
    ['60', 60_000],
    ['500ms', 500],
    ['2m', 120_000],
    ['1.5h', 5_400_000],
    ['0.25s', 250],
  ] as const) {
    test(`'${text}' are ${ms} ms`, () => {
      assert.equal(parseDuration(text), ms);
    });
  }

  for (const text of ['', '0', '-5s', 'soon', '5 minutes', '1e9', 's', '0.1ms']) {
    test(`'${text}' is no duration`, () => {
      assert.throws(() => parseDuration(text), UnacceptableValue);
    });
  }
});

describe('escapes', () => {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

  test('become their bytes', () => {
    assert.equal(text(parseEscapes(String.raw`a\rb\nc\td\e[A\\n\x41\x7F`)), 'a\rb\nc\td\u001b[A\\nA\u007f');
    assert.deepEqual([...parseEscapes(String.raw`\xff\x00`)], [0xff, 0x00]);
  });

  test('other text is UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (any) => {
        assert.equal(text(parseEscapes(any.replaceAll('\\', '\\\\'))), any);
      }),
      { seed: 5, numRuns: 200 },
    );
    assert.equal(text(parseEscapes('line\nbreak é 😀')), 'line\nbreak é 😀');
  });

  for (const bad of [
    String.raw`\q`,
    String.raw`end\ `.trim(),
    String.raw`\x4`,
    String.raw`\xgg`,
    String.raw`FS0:\>`,
  ]) {
    test(`'${bad}' is a mistake that names the escapes there are`, () => {
      assert.throws(
        () => parseEscapes(bad),
        /unknown escape \\.?; accepted: \\r \\n \\t \\e \\xNN, and \\\\/,
      );
    });
  }
});

test('text must have at least one character', () => {
  assert.throws(() => parseEscapes(''), UnacceptableValue);
});

test('what would mean something else to a shell, or nothing, is shown in quotes', () => {
  for (const plain of ['512Q', '/usr/share/AAVMF/AAVMF_CODE.fd', 'flash,mmio']) {
    assert.equal(quoteIfNeeded(plain), plain);
  }
  for (const other of ['', 'a b', String.raw`\q`]) assert.equal(quoteIfNeeded(other), `'${other}'`);
});

describe('disks', () => {
  const disks: readonly (readonly [string, DiskOptions])[] = [
    ['a.img', { file: 'a.img' }],
    ['a.img,ro', { file: 'a.img', readOnly: true }],
    ['a.img,overlay', { file: 'a.img', overlay: true }],
    ['/x/a b.img,overlay=o.img,serial=one two', { file: '/x/a b.img', overlay: 'o.img', serial: 'one two' }],
    ['a.qcow2,format=qcow2,ro', { file: 'a.qcow2', format: 'qcow2', readOnly: true }],
    ['a,,b.img,ro', { file: 'a,b.img', readOnly: true }],
    ['a,,,ro', { file: 'a,', readOnly: true }],
    ['a=b,overlay=c=d,,e', { file: 'a=b', overlay: 'c=d,e' }],
  ];
  for (const [text, disk] of disks) test(`'${text}'`, () => assert.deepEqual(parseDisk(text), disk));

  const mistakes: readonly (readonly [string, RegExp])[] = [
    ['', /^names no file; accepted: <file>/],
    [',ro', /^names no file/],
    ['a.img,rw', /^rw is not supported; accepted: <file>\[,ro\]/],
    ['a.img,ro=1', /^ro=1 is not supported/],
    ['a.img,overlay=', /^overlay= is not supported/],
    ['a.img,format=vmdk', /^format=vmdk is no format that can be read; accepted: format=raw, format=qcow2$/],
    ['a.img,serial=', /^serial= is no serial number; accepted: 1 to 20 printable characters/],
    ['a.img,serial=123456789012345678901', /is no serial number/],
    ['a.img,ro,overlay', /^has ro and overlay; accepted: one of the two$/],
  ];
  for (const [text, message] of mistakes)
    test(`'${text}' is a mistake`, () => assert.throws(() => parseDisk(text), { message }));
});

describe('shared folders', () => {
  const shares: readonly (readonly [string, ShareOptions])[] = [
    ['/home/me,home', { directory: '/home/me', tag: 'home', readOnly: false }],
    ['.,v8a-1.x,ro', { directory: '.', tag: 'v8a-1.x', readOnly: true }],
    ['a,,b,ro,ro', { directory: 'a,b', tag: 'ro', readOnly: true }],
  ];
  for (const [text, share] of shares) test(`'${text}'`, () => assert.deepEqual(parseShare(text), share));

  const mistakes: readonly (readonly [string, RegExp])[] = [
    ['', /^names no directory; accepted: <directory>,<tag>\[,ro\]$/],
    ['.', /^has no tag; accepted: <directory>,<tag>\[,ro\], the tag of 1 to 31 letters/],
    ['.,', /^has no tag/],
    ['.,a b', /^has the tag 'a b'/],
    [`.,${'x'.repeat(32)}`, /^has the tag x+; accepted/],
    ['.,home,rw', /^rw is not supported; accepted: <dir/],
  ];
  for (const [text, message] of mistakes)
    test(`'${text}' is a mistake`, () => assert.throws(() => parseShare(text), { message }));
});

describe('ports', () => {
  test('a name and a file, or a socket', () => {
    assert.deepEqual(parsePort('org.x.1,/tmp/a,,b'), { name: 'org.x.1', kind: 'file', path: '/tmp/a,b' });
    assert.deepEqual(parsePort('x,socket=/tmp/s'), { name: 'x', kind: 'socket', path: '/tmp/s' });
  });
  for (const [text, message] of [
    ['', /^has no name of a port; accepted: <name>,<file> or <name>,socket=<path>, the name of 1 to 63/],
    ['a b,c', /^has no name/],
    ['a', /^does not name one file or socket; accepted: <name>,<file> or/],
    ['a,socket=', /^does not name one/],
    ['a,b,c', /^does not name one/],
  ] as const)
    test(`'${text}' is a mistake`, () => assert.throws(() => parsePort(text), { message }));
});

test('a seed is a whole number', () => {
  assert.equal(parseSeed('0'), 0);
  for (const text of ['', '-1', '1.5', '0x10', '99999999999999999'])
    assert.throws(() => parseSeed(text), /is no seed/);
});

describe('words', () => {
  test('one of a few', () => {
    assert.equal(oneOf('real', 'virtual')('real'), 'real');
    assert.throws(() => oneOf('real', 'virtual')('sundial'), /is not supported; accepted: real, virtual$/);
  });

  test('a list, or all', () => {
    const parse = listOf(['flash', 'mmio', 'irq']);
    assert.deepEqual(parse('mmio, flash'), ['mmio', 'flash']);
    assert.deepEqual(parse('all'), ['flash', 'mmio', 'irq']);
    for (const bad of ['flash,everything', '', 'flash,']) assert.throws(() => parse(bad), UnacceptableValue);
    assert.throws(() => parse('flash,everything'), {
      message: 'everything is not supported; accepted: all, or some of flash,mmio,irq',
    });
    assert.throws(() => parse('everything'), { message: /^is not supported; / });
  });
});
