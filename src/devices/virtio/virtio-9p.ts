/**
 * 9P transport (VIRTIO 1.2 5, device type 9; Linux include/uapi/linux/virtio_9p.h): a folder of the host in the guest.
 * One queue; each chain is a request to read and room for the answer. The protocol is `9p/server.ts`.
 */
import type { FileShare } from '../../bus/index.js';
import { MAX_MESSAGE_BYTES, NinePServer, type ServerState } from '../9p/server.js';
import type { VirtioOptions, VirtioPorts } from './virtio-device.js';
import { VirtioDevice } from './virtio-device.js';
import type { Virtqueue } from './virtqueue.js';

const DEVICE_ID = 9;
const QUEUE_SIZE = 128;
const F_MOUNT_TAG = 1n << 0n;
/** Requests, and bytes of requests and answers, before the guest gets its turn again. */
const TURN_REQUESTS = 64;
const TURN_BYTES = 2 * MAX_MESSAGE_BYTES;

export interface Virtio9pPorts extends VirtioPorts {
  readonly share: FileShare;
}

export class Virtio9p extends VirtioDevice<ServerState> {
  readonly #server: NinePServer;

  /** `tag` is what the guest knows the share by: printable ASCII. */
  constructor(name: string, tag: string, { share, ...ports }: Virtio9pPorts, options?: VirtioOptions) {
    super(
      {
        name,
        deviceId: DEVICE_ID,
        features: F_MOUNT_TAG,
        queueSizes: [QUEUE_SIZE],
        configBytes: 2 + tag.length,
      },
      ports,
      options,
    );
    this.#server = new NinePServer(share);
    this.config.setUint16(0, tag.length, true);
    for (let i = 0; i < tag.length; i++) this.config.setUint8(2 + i, tag.charCodeAt(i));
  }

  protected serve(queue: Virtqueue): 'done' | 'more' {
    let bytes = 0;
    for (let count = 0; count < TURN_REQUESTS && bytes < TURN_BYTES; count++) {
      const chain = queue.next();
      if (!chain) return 'done';
      const request = new Uint8Array(Math.min(chain.readableBytes, MAX_MESSAGE_BYTES));
      if (!chain.read(0, request)) return 'done';
      const reply = this.#server.answer(request, chain.writableBytes);
      if (!chain.write(0, reply)) return 'done';
      chain.complete(reply.length);
      bytes += request.length + reply.length;
    }
    return 'more';
  }

  protected stopped(): void {
    this.#server.reset();
  }

  protected saveOwn(): ServerState {
    return this.#server.saveState();
  }

  protected restoreOwn(own: ServerState): void {
    // Requests are answered as they are taken: no queue had any.
    this.#server.restoreState(own);
  }
}
