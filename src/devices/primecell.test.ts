import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apbClockNode } from './primecell.js';

test('the clock is the node that QEMU gives its virt board', () => {
  assert.deepEqual(apbClockNode(), {
    name: 'apb-pclk',
    label: 'apb-pclk',
    properties: {
      compatible: 'fixed-clock',
      '#clock-cells': { cells: [0] },
      'clock-frequency': { cells: [0x16e_3600] },
      'clock-output-names': 'clk24mhz',
    },
  });
});
