/** All A64 instructions that v8a knows. */
import { Decoder } from './decoder.js';
import { DATA_PROCESSING_IMMEDIATE } from './groups/data-processing-immediate.js';
import type { Row } from './row.js';

const A64_ROWS: readonly Row[] = [...DATA_PROCESSING_IMMEDIATE];

export const A64 = new Decoder(A64_ROWS);
