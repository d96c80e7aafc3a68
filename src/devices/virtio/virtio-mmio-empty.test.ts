import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_TRACE } from '../../base/index.js';
import { deviceSuite } from '../device-suite.js';
import { VirtioMmioEmpty } from './virtio-mmio-empty.js';

function rig() {
  return { device: new VirtioMmioEmpty('virtio-mmio0', { trace: NO_TRACE }), observe: () => undefined };
}

deviceSuite({
  title: 'empty virtio-mmio slot (VIRTIO 1.2 4.2)',
  make: rig,
  registers: [
    { name: 'MagicValue', at: 0x00, size: 4, reset: Buffer.from('virt').readUInt32LE(), writable: 0 },
    { name: 'Version (legacy)', at: 0x04, size: 4, reset: 1, writable: 0 },
    { name: 'DeviceID', at: 0x08, size: 4, reset: 0, writable: 0 },
    { name: 'VendorID', at: 0x0c, size: 4, reset: Buffer.from('QEMU').readUInt32LE(), writable: 0 },
    // Everything else of 4.2.2 and 4.2.4, and the configuration space.
    ...Array.from({ length: (0x200 - 0x10) / 4 }, (_, index) => 0x10 + index * 4).map((at) => ({
      name: `offset ${at}`,
      at,
      size: 4 as const,
      reset: 0,
      writable: 0,
    })),
  ],
  activity: ({ device }) => device.write(0x70, 4, 1),
});

test('describe() is the node that QEMU gives its virt board', () => {
  assert.deepEqual(rig().device.describe({ base: 0xa00_0200, spi: 17 }), [
    {
      name: 'virtio_mmio@a000200',
      properties: {
        compatible: 'virtio,mmio',
        reg: { cells: [0, 0xa00_0200, 0, 0x200] },
        interrupts: { cells: [0, 17, 1] },
        'dma-coherent': true,
      },
    },
  ]);
});
