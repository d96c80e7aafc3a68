/**
 * Encodings of extensions that no CPU model has, so that every word of the manual's tables has a name here. Those that
 * share a group with implemented instructions are in that group's file; SVE and SME are one row each.
 */
import { notAdvertised } from '../row.js';

const C6 = 'DDI0487 C6.2';
const C7 = 'DDI0487 C7.2';

/** FCMLA and FCADD have no bytes, and doublewords in 128 bits only. */
const hasComplexLanes = ({ Q, size }: Readonly<Record<string, number>>): boolean =>
  size !== 0 && (size !== 3 || Q === 1);

export const NOT_ADVERTISED = [
  notAdvertised('SVE and SVE2 instructions (FEAT_SVE)', 'op0:3 0010 op1:25', 'DDI0487 C4.1'),
  notAdvertised('SME instructions (FEAT_SME)', '1 op0:2 0000 op1:25', 'DDI0487 C4.1'),

  // Loads and stores
  notAdvertised(
    'LDCLRP, LDSETP, SWPP (FEAT_LSE128)',
    '00 011001 acquire release 1 Rt2:5 o3 opc:3 00 Rn:5|sp Rt:5',
    C6,
    ({ o3, opc }) => (o3 === 0 ? opc === 1 || opc === 3 : opc === 0),
  ),
  notAdvertised(
    'RCWCLR, RCWSWP, RCWSET and their kind (FEAT_THE)',
    '0 S 111000 acquire release 1 Rs:5 1 opc:3 00 Rn:5|sp Rt:5',
    C6,
    ({ opc }) => opc === 1 || opc === 2 || opc === 3,
  ),
  notAdvertised(
    'RCWCLRP, RCWSWPP, RCWSETP and their kind (FEAT_THE, FEAT_D128)',
    '0 S 011001 acquire release 1 Rt2:5 1 opc:3 00 Rn:5|sp Rt:5',
    C6,
    ({ opc }) => opc === 1 || opc === 2 || opc === 3,
  ),
  notAdvertised(
    'RCWCAS, RCWCASP and their kind (FEAT_THE)',
    '0 S 011001 acquire release 1 Rs:5 0 000 1 isPair Rn:5|sp Rt:5',
    C6,
  ),
  notAdvertised('STILP, LDIAPP (FEAT_LRCPC3)', '1 size0 011001 0 L 0 Rt2:5 000 isOffset 10 Rn:5|sp Rt:5', C6),
  notAdvertised(
    'STLR (pre-index), LDAPR (post-index) (FEAT_LRCPC3)',
    '1 size0 011001 1 L 0 00000 0000 10 Rn:5|sp Rt:5',
    C6,
  ),
  notAdvertised(
    'STLUR, LDAPUR (SIMD&FP) (FEAT_LRCPC3)',
    'size:2 011101 opc:2 0 imm9:9 10 Rn:5|sp Vt:5',
    C7,
    ({ size, opc }) => size === 0 || (opc ?? 0) < 2,
  ),
  notAdvertised('LDAP1, STL1 (FEAT_LRCPC3)', '0 Q 0011010 L 0 00001 100001 Rn:5|sp Vt:5', C7),
  notAdvertised('GCSSTR, GCSSTTR (FEAT_GCS)', '11011001 00011111 000 op 11 Rn:5|sp Rt:5', C6),

  // System
  notAdvertised('TSTART (FEAT_TME)', '1101010100 1 00 011 0011 0000 011 Rt:5', C6),
  notAdvertised('TTEST (FEAT_TME)', '1101010100 1 00 011 0011 0001 011 Rt:5', C6),
  notAdvertised('SYSP (FEAT_SYSINSTR128)', '1101010101 0 01 op1:3 CRn:4 CRm:4 op2:3 Rt:5', C6),
  notAdvertised('MSRR, MRRS (FEAT_SYSREG128)', '1101010101 L 1 o0 op1:3 CRn:4 CRm:4 op2:3 Rt:5', C6),

  // Scalar floating point
  notAdvertised('FJCVTZS (FEAT_JSCVT)', '0 00 11110 01 1 11 110 000000 Vn:5 Rd:5', C7),
  notAdvertised('BFCVT (FEAT_BF16)', '0 00 11110 01 1 000110 10000 Vn:5 Vd:5', C7),
  notAdvertised(
    'FRINT32Z, FRINT32X, FRINT64Z, FRINT64X (scalar) (FEAT_FRINTTS)',
    '0 00 11110 0 sz 1 0100 op:2 10000 Vn:5 Vd:5',
    C7,
  ),

  // Advanced SIMD
  notAdvertised(
    'FRINT32Z, FRINT32X, FRINT64Z, FRINT64X (vector) (FEAT_FRINTTS)',
    '0 Q U 01110 0 sz 10000 1111 op 10 Vn:5 Vd:5',
    C7,
    ({ Q, sz }) => sz === 0 || Q === 1,
  ),
  notAdvertised(
    'FCMLA (vector) (FEAT_FCMA)',
    '0 Q 1 01110 size:2 0 Vm:5 1 10 rot:2 1 Vn:5 Vd:5',
    C7,
    hasComplexLanes,
  ),
  notAdvertised('FCADD (FEAT_FCMA)', '0 Q 1 01110 size:2 0 Vm:5 1 11 rot 0 1 Vn:5 Vd:5', C7, hasComplexLanes),
  notAdvertised(
    'FCMLA (by element) (FEAT_FCMA)',
    '0 Q 1 01111 size:2 L Vm:5 0 rot:2 1 H 0 Vn:5 Vd:5',
    C7,
    ({ Q, size, L, H }) => (size === 1 ? H === 0 || Q === 1 : size === 2 && L === 0 && Q === 1),
  ),
  notAdvertised('FMLAL, FMLSL (vector) (FEAT_FHM)', '0 Q 0 01110 S 0 1 Vm:5 11101 1 Vn:5 Vd:5', C7),
  notAdvertised('FMLAL2, FMLSL2 (vector) (FEAT_FHM)', '0 Q 1 01110 S 0 1 Vm:5 11001 1 Vn:5 Vd:5', C7),
  notAdvertised('FMLAL, FMLSL (by element) (FEAT_FHM)', '0 Q 0 01111 10 L M Vm:4 0 S 00 H 0 Vn:5 Vd:5', C7),
  notAdvertised('FMLAL2, FMLSL2 (by element) (FEAT_FHM)', '0 Q 1 01111 10 L M Vm:4 1 S 00 H 0 Vn:5 Vd:5', C7),
  notAdvertised('BFDOT (vector) (FEAT_BF16)', '0 Q 1 01110 01 0 Vm:5 1 1111 1 Vn:5 Vd:5', C7),
  notAdvertised('BFDOT (by element) (FEAT_BF16)', '0 Q 0 01111 01 L Vm:5 1111 H 0 Vn:5 Vd:5', C7),
  notAdvertised('BFMLALB, BFMLALT (vector) (FEAT_BF16)', '0 Q 1 01110 11 0 Vm:5 1 1111 1 Vn:5 Vd:5', C7),
  notAdvertised(
    'BFMLALB, BFMLALT (by element) (FEAT_BF16)',
    '0 Q 0 01111 11 L M Vm:4 1111 H 0 Vn:5 Vd:5',
    C7,
  ),
  notAdvertised('BFMMLA (FEAT_BF16)', '0 1 1 01110 01 0 Vm:5 1 1101 1 Vn:5 Vd:5', C7),
  notAdvertised('BFCVTN, BFCVTN2 (FEAT_BF16)', '0 Q 0 01110 10 10000 10110 10 Vn:5 Vd:5', C7),
  notAdvertised('SMMLA, UMMLA (FEAT_I8MM)', '0 1 U 01110 10 0 Vm:5 1010 01 Vn:5 Vd:5', C7),
  notAdvertised('USMMLA (FEAT_I8MM)', '0 1 0 01110 10 0 Vm:5 1010 11 Vn:5 Vd:5', C7),
  notAdvertised('USDOT (vector) (FEAT_I8MM)', '0 Q 0 01110 10 0 Vm:5 1001 11 Vn:5 Vd:5', C7),
  notAdvertised(
    'SUDOT, USDOT (by element) (FEAT_I8MM)',
    '0 Q 0 01111 isUnsigned 0 L Vm:5 1111 H 0 Vn:5 Vd:5',
    C7,
  ),

  // Cryptographic Extension of Armv8.2
  notAdvertised(
    'SHA512H, SHA512H2, SHA512SU1 (FEAT_SHA512)',
    '11001110011 Vm:5 1000 op:2 Vn:5 Vd:5',
    C7,
    ({ op }) => op !== 3,
  ),
  notAdvertised('RAX1 (FEAT_SHA3)', '11001110011 Vm:5 1000 11 Vn:5 Vd:5', C7),
  notAdvertised('SHA512SU0 (FEAT_SHA512)', '11001110110 00000 1000 00 Vn:5 Vd:5', C7),
  notAdvertised('EOR3, BCAX (FEAT_SHA3)', '110011100 0 op Vm:5 0 Va:5 Vn:5 Vd:5', C7),
  notAdvertised('XAR (FEAT_SHA3)', '11001110100 Vm:5 imm6:6 Vn:5 Vd:5', C7),
  notAdvertised('SM3PARTW1, SM3PARTW2 (FEAT_SM3)', '11001110011 Vm:5 1100 0 op Vn:5 Vd:5', C7),
  notAdvertised('SM3SS1 (FEAT_SM3)', '11001110010 Vm:5 0 Va:5 Vn:5 Vd:5', C7),
  notAdvertised(
    'SM3TT1A, SM3TT1B, SM3TT2A, SM3TT2B (FEAT_SM3)',
    '11001110010 Vm:5 10 imm2:2 op:2 Vn:5 Vd:5',
    C7,
  ),
  notAdvertised('SM4E (FEAT_SM4)', '11001110110 00000 1000 01 Vn:5 Vd:5', C7),
  notAdvertised('SM4EKEY (FEAT_SM4)', '11001110011 Vm:5 1100 10 Vn:5 Vd:5', C7),
];
