/** Entropy device (VIRTIO 1.2 5.4): fills buffers with random bytes. */
import type { ByteSource } from '../../bus/index.js';
import type { VirtioOptions, VirtioPorts } from './virtio-device.js';
import { VirtioDevice } from './virtio-device.js';
import type { Virtqueue } from './virtqueue.js';

const DEVICE_ID = 4;
const QUEUE_SIZE = 8;
/** Most bytes for one buffer, however long it is (5.4.6.1), and for one notification. */
const BUFFER_BYTES = 4096;
const TURN_BYTES = 16 * BUFFER_BYTES;

export interface VirtioRngPorts extends VirtioPorts {
  readonly random: ByteSource;
}

/** Where the bytes come from is the machine's business: what a snapshot holds is the device. */
export class VirtioRng extends VirtioDevice<null> {
  readonly #random: ByteSource;

  constructor(name: string, { random, ...ports }: VirtioRngPorts, options?: VirtioOptions) {
    super(
      { name, deviceId: DEVICE_ID, features: 0n, queueSizes: [QUEUE_SIZE], configBytes: 0 },
      ports,
      options,
    );
    this.#random = random;
  }

  protected serve(queue: Virtqueue): 'done' | 'more' {
    for (let bytes = 0; bytes < TURN_BYTES; bytes += BUFFER_BYTES) {
      const chain = queue.next();
      if (!chain) return 'done';
      const data = new Uint8Array(Math.min(chain.writableBytes, BUFFER_BYTES));
      this.#random.fill(data);
      if (chain.write(0, data)) chain.complete(data.length);
    }
    return 'more';
  }

  protected stopped(): void {
    // Nothing is kept.
  }

  protected saveOwn(): null {
    return null;
  }

  protected restoreOwn(): void {
    // Buffers are filled as they are taken: no queue had any.
  }
}
