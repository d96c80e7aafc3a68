import process from 'node:process';
import type { ByteSource } from '../../bus/index.js';

/** Loaded when there is something random: it takes milliseconds. */
const crypto = () => process.getBuiltinModule('node:crypto');

/** Random bytes of the host's. */
export const hostRandom: ByteSource = {
  fill: (into) => {
    crypto().randomFillSync(into);
  },
};

/** The same bytes for the same seed, in every run: the key stream of AES-256 in counter mode. */
export function seededRandom(seed: number): ByteSource {
  const { createCipheriv, createHash } = crypto();
  const key = createHash('sha256').update(`v8a ${seed}`).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return {
    fill: (into) => {
      into.set(cipher.update(new Uint8Array(into.length)));
    },
  };
}
