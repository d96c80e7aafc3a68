/**
 * The Cryptographic Extension of Armv8.0: not done yet, and not advertised by ID_AA64ISAR0_EL1, so that its
 * instructions are Undefined. DDI0487 C4.1.97.
 */
import type { Row } from '../row.js';
import { unimplemented } from '../row.js';

function twoRegister(name: string, start: string, opcode: string): Row {
  return unimplemented(name, `${start} 00 10100 ${opcode} 10 Vn:5 Vd:5`, `DDI0487 C7.2 ${name}`);
}

function threeRegister(name: string, opcode: string): Row {
  return unimplemented(name, `01 0 11110 00 0 Vm:5 0 ${opcode} 00 Vn:5 Vd:5`, `DDI0487 C7.2 ${name}`);
}

const AES = '01001110';
const SHA = '01011110';

export const SIMD_CRYPTO: readonly Row[] = [
  twoRegister('AESE', AES, '00100'),
  twoRegister('AESD', AES, '00101'),
  twoRegister('AESMC', AES, '00110'),
  twoRegister('AESIMC', AES, '00111'),
  twoRegister('SHA1H', SHA, '00000'),
  twoRegister('SHA1SU1', SHA, '00001'),
  twoRegister('SHA256SU0', SHA, '00010'),
  threeRegister('SHA1C', '000'),
  threeRegister('SHA1P', '001'),
  threeRegister('SHA1M', '010'),
  threeRegister('SHA1SU0', '011'),
  threeRegister('SHA256H', '100'),
  threeRegister('SHA256H2', '101'),
  threeRegister('SHA256SU1', '110'),
  unimplemented('PMULL (64-bit)', '0 Q 0 01110 11 1 Vm:5 1110 00 Vn:5 Vd:5', 'DDI0487 C7.2 PMULL'),
];
