/** All A64 instructions that v8a knows. */
import { Decoder } from './decoder.js';
import { BRANCHES } from './groups/branches.js';
import { DATA_PROCESSING_IMMEDIATE } from './groups/data-processing-immediate.js';
import { DATA_PROCESSING_REGISTER } from './groups/data-processing-register.js';
import { FLOATING_POINT } from './groups/floating-point.js';
import { LOADS_STORES_SIMD } from './groups/loads-stores-simd.js';
import { LOADS_STORES } from './groups/loads-stores.js';
import { NOT_ADVERTISED } from './groups/not-advertised.js';
import { SIMD_COPY } from './groups/simd-copy.js';
import { SIMD_CRYPTO } from './groups/simd-crypto.js';
import { SIMD_FLOAT } from './groups/simd-float.js';
import { SIMD_MULTIPLY } from './groups/simd-multiply.js';
import { SIMD_SHIFT_IMMEDIATE } from './groups/simd-shift-immediate.js';
import { SIMD_THREE_SAME } from './groups/simd-three-same.js';
import { SIMD_TWO_REGISTER } from './groups/simd-two-register.js';
import { SYSTEM } from './groups/system.js';
import { SYSTEM_REGISTER_MOVES } from './groups/system-register-moves.js';
import type { Row } from './row.js';

/** Instructions that the manual's encoding tables list together. */
interface InstructionGroup {
  /** As in DDI0487 C4.1. */
  readonly title: string;
  readonly rows: readonly Row[];
}

export const A64_GROUPS: readonly InstructionGroup[] = [
  { title: 'Data processing, immediate', rows: DATA_PROCESSING_IMMEDIATE },
  { title: 'Branches and exception generation', rows: BRANCHES },
  { title: 'Hints, barriers and PSTATE', rows: SYSTEM },
  { title: 'System instructions and system register moves', rows: SYSTEM_REGISTER_MOVES },
  { title: 'Loads and stores', rows: LOADS_STORES },
  { title: 'Data processing, register', rows: DATA_PROCESSING_REGISTER },
  { title: 'Loads and stores of SIMD&FP registers', rows: LOADS_STORES_SIMD },
  { title: 'Scalar floating point', rows: FLOATING_POINT },
  { title: 'Advanced SIMD copy, modified immediate, permute and table lookup', rows: SIMD_COPY },
  { title: 'Advanced SIMD three same', rows: SIMD_THREE_SAME },
  {
    title: 'Advanced SIMD two-register miscellaneous, across lanes and scalar pairwise',
    rows: SIMD_TWO_REGISTER,
  },
  { title: 'Advanced SIMD three different and by indexed element', rows: SIMD_MULTIPLY },
  { title: 'Advanced SIMD shift by immediate', rows: SIMD_SHIFT_IMMEDIATE },
  { title: 'Advanced SIMD floating point', rows: SIMD_FLOAT },
  { title: 'Cryptographic Extension', rows: SIMD_CRYPTO },
  { title: 'Extensions that no CPU model has', rows: NOT_ADVERTISED },
];

export const A64 = new Decoder(A64_GROUPS.flatMap((group) => group.rows));
