/** A device for tests: writes what it reads, at once or, with `isHolding`, when told to and in any order. */
import type { Chain } from './chain.js';
import type { VirtioOptions, VirtioPorts } from './virtio-device.js';
import { VirtioDevice } from './virtio-device.js';
import type { Virtqueue } from './virtqueue.js';

/** Chains served before the device asks to be called again. */
export const ECHO_SHARE = 16;
export const ECHO_ID = 42;
/** A feature of the type, and its configuration. */
export const ECHO_FEATURE = 1n << 3n;
export const ECHO_CONFIG = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab];

interface EchoState {
  readonly isHolding: boolean;
}

export class EchoDevice extends VirtioDevice<EchoState> {
  isHolding = false;
  held: Chain[] = [];

  constructor(ports: VirtioPorts, options?: VirtioOptions) {
    super(
      {
        name: 'echo',
        deviceId: ECHO_ID,
        features: ECHO_FEATURE,
        queueSizes: [64, 8],
        configBytes: ECHO_CONFIG.length,
      },
      ports,
      options,
    );
    ECHO_CONFIG.forEach((byte, index) => this.config.setUint8(index, byte));
  }

  /** Changes the first byte of the configuration. */
  setFirst(value: number): void {
    this.changeConfig((config) => {
      config.setUint8(0, value);
    });
  }

  /** Completes a held chain. */
  release(chain: Chain): void {
    this.held = this.held.filter((other) => other !== chain);
    this.#echo(chain);
    for (const queue of this.queues) queue.flush();
  }

  protected serve(queue: Virtqueue): 'done' | 'more' {
    for (let count = 0; count < ECHO_SHARE; count++) {
      const chain = queue.next();
      if (!chain) return 'done';
      if (this.isHolding) this.held.push(chain);
      else this.#echo(chain);
    }
    return 'more';
  }

  #echo(chain: Chain): void {
    const data = new Uint8Array(Math.min(chain.readableBytes, chain.writableBytes, 65536));
    if (chain.read(0, data) && chain.write(0, data)) chain.complete(data.length);
  }

  protected stopped(): void {
    this.held = [];
  }

  protected override queueStopped(): void {
    this.held = [];
  }

  protected saveOwn(): EchoState {
    return { isHolding: this.isHolding };
  }

  protected restoreOwn(own: EchoState, chains: readonly (readonly Chain[])[]): void {
    this.isHolding = own.isHolding;
    this.held = chains.flat();
  }
}
