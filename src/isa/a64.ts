/** All A64 instructions that v8a knows. */
import { Decoder } from './decoder.js';
import { BRANCHES } from './groups/branches.js';
import { DATA_PROCESSING_IMMEDIATE } from './groups/data-processing-immediate.js';
import { DATA_PROCESSING_REGISTER } from './groups/data-processing-register.js';
import { FLOATING_POINT } from './groups/floating-point.js';
import { LOADS_STORES_SIMD } from './groups/loads-stores-simd.js';
import { LOADS_STORES } from './groups/loads-stores.js';
import { SIMD_COPY } from './groups/simd-copy.js';
import { SIMD_CRYPTO } from './groups/simd-crypto.js';
import { SIMD_MULTIPLY } from './groups/simd-multiply.js';
import { SIMD_SHIFT_IMMEDIATE } from './groups/simd-shift-immediate.js';
import { SIMD_THREE_SAME } from './groups/simd-three-same.js';
import { SIMD_TWO_REGISTER } from './groups/simd-two-register.js';
import { SYSTEM } from './groups/system.js';
import { SYSTEM_REGISTER_MOVES } from './groups/system-register-moves.js';
import type { Row } from './row.js';

const A64_ROWS: readonly Row[] = [
  ...DATA_PROCESSING_IMMEDIATE,
  ...BRANCHES,
  ...SYSTEM,
  ...SYSTEM_REGISTER_MOVES,
  ...LOADS_STORES,
  ...DATA_PROCESSING_REGISTER,
  ...LOADS_STORES_SIMD,
  ...FLOATING_POINT,
  ...SIMD_COPY,
  ...SIMD_THREE_SAME,
  ...SIMD_TWO_REGISTER,
  ...SIMD_MULTIPLY,
  ...SIMD_SHIFT_IMMEDIATE,
  ...SIMD_CRYPTO,
];

export const A64 = new Decoder(A64_ROWS);
