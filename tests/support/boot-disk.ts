/** A disk that UEFI firmware boots. */
import { readFileSync } from 'node:fs';

import { makeDisk } from '../../scripts/make-disk.js';

interface BootFiles {
  readonly grub: string;
  readonly kernel: string;
  readonly initrd: string;
}

/** GRUB, where firmware looks for it without being told, a kernel with a command line, and its RAM disk. */
export function makeBootDisk(path: string, { grub, kernel, initrd }: BootFiles, commandLine: string): void {
  const config = [
    'set timeout=0',
    'menuentry tiny {',
    "  echo 'Loading Linux ...'",
    `  linux /linux ${commandLine}`,
    '  initrd /tiny.gz',
    '}',
  ];
  makeDisk(path, {
    'EFI/BOOT/BOOTAA64.EFI': readFileSync(grub),
    'EFI/debian/grub.cfg': `${config.join('\n')}\n`,
    linux: readFileSync(kernel),
    'tiny.gz': readFileSync(initrd),
  });
}
