/** What tests of the virt board share. */
import { MIB } from '../base/index.js';
import { CORTEX_A57 } from '../cpu/models.js';
import { boardRig } from './board-suite.js';
import type { BoardPorts } from './ports.js';
import { buildVirt, type VirtConfig } from './virt.js';

/** Every interrupt controller of the board. */
export const GICS = [
  { gic: 'GICv2', gicVersion: 2, hasIts: false },
  { gic: 'GICv3', gicVersion: 3, hasIts: false },
  { gic: 'GICv3 with ITS', gicVersion: 3, hasIts: true },
] as const;

/** A board with fakes on all its ports. */
export function rig(changes: Partial<VirtConfig> = {}, otherPorts: Partial<BoardPorts> = {}) {
  const config: VirtConfig = {
    ramBytes: 512 * MIB,
    gicVersion: 2,
    hasIts: false,
    cpuCount: 1,
    cpu: CORTEX_A57,
    hasAcpi: true,
    virtioTransport: 'mmio',
    pciTestdevCount: 0,
    hasFirmware: true,
    flash: [
      { writableBytes: 0, commitPolicy: 'quiet' },
      { writableBytes: 64 * MIB, commitPolicy: 'quiet' },
    ],
    ...changes,
  };
  return boardRig((ports) => buildVirt(config, ports), otherPorts);
}
