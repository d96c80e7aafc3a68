/** All A64 instructions that v8a knows. */
import { Decoder } from './decoder.js';
import { BRANCHES } from './groups/branches.js';
import { DATA_PROCESSING_IMMEDIATE } from './groups/data-processing-immediate.js';
import { DATA_PROCESSING_REGISTER } from './groups/data-processing-register.js';
import { LOADS_STORES } from './groups/loads-stores.js';
import { SYSTEM } from './groups/system.js';
import type { Row } from './row.js';

const A64_ROWS: readonly Row[] = [
  ...DATA_PROCESSING_IMMEDIATE,
  ...BRANCHES,
  ...SYSTEM,
  ...LOADS_STORES,
  ...DATA_PROCESSING_REGISTER,
];

export const A64 = new Decoder(A64_ROWS);
