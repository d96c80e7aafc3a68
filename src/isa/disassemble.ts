/** Words to assembly text. */
import { A64 } from './a64.js';

/**
 * The instruction `word` at address `pc`, as `objdump -d -M no-aliases` prints it: mnemonic, tab, operands. Branch
 * targets are absolute. Words that are no instruction, or none that v8a executes, become an `.inst` directive.
 */
export function disassemble(word: number, pc: bigint): string {
  const row = A64.decode(word);
  return row ? row.text(word, pc) : `.inst\t0x${(word >>> 0).toString(16).padStart(8, '0')} ; undefined`;
}
