import { buildVirt, VIRT_FLASH_GEOMETRY } from '../boards/virt.js';
import type { HardwareOptions, MachineDesign } from './build-hardware.js';
import { openFirmwareBank, openVariablesBank } from './flash-images.js';

/** The `virt` board: firmware in the first flash bank, variables in the second. */
export function designVirt(options: HardwareOptions): MachineDesign {
  const firmware = openFirmwareBank(options.firmware, VIRT_FLASH_GEOMETRY.sizeBytes);
  try {
    const variables = openVariablesBank(options.flash, VIRT_FLASH_GEOMETRY);
    const commitPolicy = options.flashCommit;
    return {
      banks: [firmware, variables],
      build: (config, ports) =>
        buildVirt(
          {
            ...config,
            gicVersion: options.irqchip.startsWith('gicv2') ? 2 : 3,
            hasIts: options.irqchip === 'gicv3-its',
            hasAcpi: options.hasAcpi,
            hasFirmware: options.firmware !== undefined,
            flash: [
              { writableBytes: firmware.writableBytes, commitPolicy },
              { writableBytes: variables.writableBytes, commitPolicy, isDirect: options.isFlashDirect },
            ],
          },
          ports,
        ),
    };
  } catch (error) {
    firmware.close();
    throw error;
  }
}
