/**
 * `npm run test:fuzz-virtio`: any number of random chains for every type of virtio device over every transport.
 *
 * Options: `--chains N` for each device, shared by the transports (1,000,000), `--seed N` (1), `--device NAME` and
 * `--transport modern|legacy|pci` for one of them.
 */
import { parseArgs } from 'node:util';

import { fuzz, TRANSPORTS } from './fuzz.js';
import { SUBJECTS } from './subjects.js';

const { values } = parseArgs({
  options: {
    chains: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    device: { type: 'string' },
    transport: { type: 'string' },
  },
});

const devices = Object.keys(SUBJECTS).filter((name) => values.device === undefined || name === values.device);
const transports = TRANSPORTS.filter((name) => values.transport === undefined || name === values.transport);
const [chains, seed] = [Number(values.chains), Number(values.seed)];
if (devices.length === 0 || transports.length === 0 || !(chains >= 1) || !Number.isSafeInteger(seed)) {
  console.error(
    `fuzz-virtio: devices are ${Object.keys(SUBJECTS).join(', ')}, transports ${TRANSPORTS.join(', ')}; chains and seed are numbers`,
  );
  process.exit(2);
}

for (const device of devices) {
  for (const transport of transports) {
    const start = performance.now();
    try {
      const counts = fuzz(device, transport, Math.ceil(chains / transports.length), seed);
      const seconds = (performance.now() - start) / 1000;
      console.log(
        `virtio-${device} over ${transport}: ${counts.chains} chains, ${counts.completed} of them in right rings and given back;` +
          ` ${counts.episodes} resets, ${counts.needingReset} of them needed; ${Math.round(counts.chains / seconds)} chains/s`,
      );
    } catch (error) {
      console.error(error);
      process.exitCode = 1;
    }
  }
}
