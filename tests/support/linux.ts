/** What Linux says about hardware and tables that are wrong. */
import { plain } from './cli.js';

const COMPLAINT =
  /\berror\b|\bfail|unable|\binvalid\b|\bbug\b|warning|mismatch|could not|not found|call trace|unexpected|too (many|few)/i;
/** What it says under QEMU 7.2 as well. */
const USUAL =
  /EFI_RNG_PROTOCOL unavailable|UEFI not found|No NUMA configuration|Failed to initialise from firmware|DMI not present|Early cacheinfo failed|HYP mode not available|4010000000-0x401fffffff\] could not be reserved/;

export function complaints(console: string): string[] {
  return plain(console)
    .split('\n')
    .filter((line) => COMPLAINT.test(line) && !USUAL.test(line));
}
