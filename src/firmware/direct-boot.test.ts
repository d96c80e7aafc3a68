import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GIB, MIB, UserError } from '../base/index.js';
import { planDirectBoot } from './direct-boot.js';
import { parseKernelImage } from './kernel-image.js';

const RAM = { base: 0x4000_0000, sizeBytes: 512 * MIB };

/** An arm64 Image header (booting.rst) in `fileBytes` bytes. */
function linuxImage(fileBytes: number, textOffset: number, imageSize: number): Uint8Array {
  const bytes = new Uint8Array(fileBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, BigInt(textOffset), true);
  view.setBigUint64(16, BigInt(imageSize), true);
  bytes.set([0x41, 0x52, 0x4d, 0x64], 56); // ARM\x64
  return bytes;
}

interface Load {
  readonly virtual: number;
  readonly physical: number;
  readonly bytes: readonly number[];
  readonly memoryBytes: number;
}

/** An ELF executable (gABI 4, 5). */
function elf(entry: number, loads: readonly Load[], machine = 183): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, machine, true);
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, loads.length, true);
  loads.forEach(({ virtual, physical, bytes: content, memoryBytes }, index) => {
    const at = 64 + 56 * index;
    const offset = 1024 + 256 * index;
    view.setUint32(at, 1, true);
    [offset, virtual, physical, content.length, memoryBytes].forEach((value, field) =>
      view.setBigUint64(at + 8 + 8 * field, BigInt(value), true),
    );
    bytes.set(content, offset);
  });
  return bytes;
}

test('an Image goes to its text_offset, 2 MiB up where that is 0 (booting.rst; QEMU 7.2)', () => {
  const boot = planDirectBoot(linuxImage(64 * 1024, 0, 1 * MIB), undefined, RAM);
  assert.deepEqual(
    boot.images.map(({ address, bytes, sizeBytes }) => [address, bytes.length, sizeBytes]),
    [[0x4020_0000, 64 * 1024, MIB]],
  );
  // Where the RAM disk would be, at the next 2 MiB.
  assert.equal(boot.deviceTreeAddress, 0x4800_0000);
  assert.deepEqual(boot.entry, { pc: 0x4020_0000, x0: 0x4800_0000 });
  const [segment] = parseKernelImage(linuxImage(4096, 0x8_0000, 4096)).segments;
  assert.equal(segment?.at, 0x8_0000);
});

test('an Image from before Linux 3.17, whose image_size is 0, goes to 512 KiB', () => {
  assert.equal(parseKernelImage(linuxImage(4096, 0x1234_5678, 0)).entry, 0x8_0000);
});

test('a raw program goes to 512 KiB and gets the device tree too', () => {
  const boot = planDirectBoot(Uint8Array.of(1, 2, 3), undefined, RAM);
  assert.deepEqual(boot.images, [{ address: 0x4008_0000, bytes: Uint8Array.of(1, 2, 3), sizeBytes: 3 }]);
  assert.deepEqual(boot.entry, { pc: 0x4008_0000, x0: boot.deviceTreeAddress });
});

test('the RAM disk is behind half of RAM or 128 MiB, and behind a large kernel; chosen says where', () => {
  const initrd = new Uint8Array(3 * MIB + 5);
  const boot = planDirectBoot(linuxImage(4096, 0, MIB), initrd, RAM);
  assert.equal(boot.images[1]?.address, 0x4800_0000);
  assert.deepEqual(boot.chosen, {
    'linux,initrd-start': { cells: [0, 0x4800_0000] },
    'linux,initrd-end': { cells: [0, 0x4800_0000 + initrd.length] },
  });
  assert.equal(boot.deviceTreeAddress, 0x4840_0000);

  const small = planDirectBoot(linuxImage(4096, 0, MIB), initrd, { ...RAM, sizeBytes: 64 * MIB });
  assert.equal(small.images[1]?.address, 0x4200_0000);
  const large = planDirectBoot(linuxImage(4096, 0, 200 * MIB), initrd, RAM);
  assert.equal(large.images[1]?.address, 0x4020_0000 + 200 * MIB);
});

test('an ELF executable goes where it says; it is told nothing and finds the device tree at the start of RAM', () => {
  const boot = planDirectBoot(
    elf(0xffff_0010, [
      { virtual: 0xffff_0000, physical: 0x4010_0000, bytes: [1, 2, 3], memoryBytes: 4096 },
      { virtual: 0x4020_0000, physical: 0x4020_0000, bytes: [4], memoryBytes: 1 },
    ]),
    undefined,
    RAM,
  );
  assert.deepEqual(
    boot.images.map(({ address, bytes, sizeBytes }) => [address, [...bytes], sizeBytes]),
    [
      [0x4010_0000, [1, 2, 3], 4096],
      [0x4020_0000, [4], 1],
    ],
  );
  assert.deepEqual(boot.entry, { pc: 0x4010_0010, x0: 0 }, 'the entry is a virtual address');
  assert.equal(boot.deviceTreeAddress, 0x4000_0000);

  const atStart = elf(0x4000_0000, [
    { virtual: 0x4000_0000, physical: 0x4000_0000, bytes: [1], memoryBytes: 3 * MIB },
  ]);
  assert.equal(planDirectBoot(atStart, undefined, RAM).deviceTreeAddress, 0x4040_0000);
});

test('what cannot be loaded is a user error', () => {
  const load = { virtual: 0x4010_0000, physical: 0x4010_0000, bytes: [1], memoryBytes: 1 };
  const refused = (image: Uint8Array, initrd?: Uint8Array, ram = RAM): void => {
    assert.throws(() => planDirectBoot(image, initrd, ram), UserError);
  };
  refused(elf(0x4010_0000, [load], 62)); // x86-64
  refused(elf(0x4010_0000, []));
  refused(elf(0x4010_0000, [{ ...load, physical: 0x3fff_ffff }]));
  refused(elf(0x4010_0000, [{ ...load, memoryBytes: GIB }]));
  refused(elf(0x4010_0000, [{ ...load, memoryBytes: 0 }]));
  refused(elf(0x4010_0000, [load]).subarray(0, 100));
  refused(elf(0x4010_0000, [load]).subarray(0, 20));
  refused(elf(0x4010_0000, [load]).with(4, 1));
  refused(linuxImage(4096, 0, 600 * MIB));
  refused(linuxImage(4096, 0, MIB), new Uint8Array(MIB), { ...RAM, sizeBytes: 4 * MIB });
});
