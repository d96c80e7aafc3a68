import { GIB, MIB } from '../base/index.js';
export { MAX_CPUS } from '../cpu/layout.js';
export { DEFAULT_JIT, TRANSLATION_POLICIES } from '../cpu/translation-policy.js';
export type { TranslationPolicy } from '../cpu/translation-policy.js';
export { CPU_MODEL_NAMES, DEFAULT_CPU_MODEL } from '../cpu/models.js';
export type { CpuModelName } from '../cpu/models.js';

/** Smallest RAM that a board takes. */
export const MIN_MEMORY_BYTES = MIB;

/** RAM, flash arrays and the state of the CPUs share one WebAssembly memory of at most 4 GiB. */
export const MAX_MEMORY_BYTES = 3 * GIB;

export const DEFAULT_MEMORY_BYTES = 512 * MIB;

/** Interrupt controllers. */
export const IRQCHIPS = ['gicv2', 'gicv2m', 'gicv3', 'gicv3-its'] as const;

/** Boards. */
export const MACHINES = ['virt', 'kvmtool'] as const;
export type MachineName = (typeof MACHINES)[number];

/** What QEMU has by default but for the ITS, and what kvmtool has. */
export const DEFAULT_IRQCHIP = { virt: 'gicv3', kvmtool: 'gicv3-its' } as const;

/** How drivers reach virtio devices. */
export const VIRTIO_TRANSPORTS = ['mmio', 'mmio-legacy', 'pci'] as const;

/** What kvmtool has; the tables that EDK2 makes for it describe no disks over MMIO. */
export const DEFAULT_VIRTIO_TRANSPORT = { virt: 'mmio', kvmtool: 'pci' } as const;

/** Devices that only tests want, and how many of them a machine takes. */
export const TEST_DEVICES = ['pci-testdev'] as const;
export const MAX_TEST_DEVICES = 4;

/** RAM is a whole number of MiB between the limits. */
export function isMemorySize(bytes: number): boolean {
  return bytes >= MIN_MEMORY_BYTES && bytes <= MAX_MEMORY_BYTES && Number.isInteger(bytes / MIB);
}
