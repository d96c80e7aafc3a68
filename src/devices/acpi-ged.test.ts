import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_TRACE } from '../base/index.js';
import { AcpiGed } from './acpi-ged.js';
import { deviceSuite } from './device-suite.js';

function rig() {
  let level = false;
  const device = new AcpiGed({ irq: { set: (value) => (level = value) }, trace: NO_TRACE });
  return { device, observe: () => level };
}

deviceSuite<ReturnType<AcpiGed['saveState']>, ReturnType<typeof rig>>({
  title: 'ACPI event device (QEMU acpi_hw_reduced_hotplug)',
  make: rig,
  registers: [{ name: 'event selector', at: 0, size: 4, reset: 0, writable: 0 }],
  activity: ({ device }) => device.powerDown(),
  stimulate: ({ device }) => device.powerDown(),
});

test('an event raises the interrupt; reading the selector takes the events and ends it (ACPI 5.6.9)', () => {
  const { device, observe } = rig();
  device.powerDown();
  assert.equal(observe(), true);
  assert.equal(device.read(0, 4), 2);
  assert.equal(observe(), false);
  assert.equal(device.read(0, 4), 0);
});

test('its resources are the interrupt alone, which is an edge (ACPI 5.6.9.1)', () => {
  const [ged, button] = rig().device.describeAcpi({ base: 0x0908_0000, spi: 9 });
  assert.deepEqual(ged?.objects['_CRS'], {
    resources: [{ kind: 'interrupt', gsi: 41, trigger: 'edge-rising' }],
  });
  assert.deepEqual(button?.objects['_HID'], { eisaId: 'PNP0C0C' });
});
