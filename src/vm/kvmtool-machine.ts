import { UserError } from '../base/index.js';
import { buildKvmtool, KVMTOOL, KVMTOOL_FLASH_GEOMETRY } from '../boards/kvmtool.js';
import { readFirmwareFile } from '../host/node/kernel-file.js';
import type { HardwareOptions, MachineDesign } from './build-hardware.js';
import { openTrimmedBank } from './flash-images.js';

/** The `kvmtool` board: firmware or a kernel in RAM, and a flash bank where there is an image for it. */
export function designKvmtool(options: HardwareOptions): MachineDesign {
  const { firmware: given, firmwareAddress, commandLine, memoryBase } = options;
  const image = typeof given === 'string' ? readFirmwareFile(given) : given;
  if (image?.length === 0) throw new UserError('option', 'firmware of 0 bytes: accepted: an image');
  const flash =
    options.flash === undefined
      ? undefined
      : openTrimmedBank(options.flash, KVMTOOL.flash.sizeBytes, KVMTOOL_FLASH_GEOMETRY.blockBytes);
  return {
    banks: flash ? [flash] : [],
    build: (config, ports) =>
      buildKvmtool(
        {
          ...config,
          irqchip: options.irqchip,
          ...(memoryBase === undefined ? {} : { ramBase: memoryBase }),
          ...(image
            ? {
                firmware: {
                  image,
                  ...(firmwareAddress === undefined ? {} : { address: firmwareAddress }),
                  commandLine,
                },
              }
            : {}),
          ...(flash
            ? {
                flash: {
                  sizeBytes: flash.bankBytes,
                  writableBytes: flash.writableBytes,
                  commitPolicy: options.flashCommit,
                  isDirect: options.isFlashDirect,
                },
              }
            : {}),
        },
        ports,
      ),
  };
}
