/**
 * System registers and operations of the manual that no CPU model has: their accesses are undefined. They have names here
 * for the conformance page and for `--trace guest-errors`. Those that some model has are in `system-registers.ts`.
 *
 * DDI0487 issue J.a, D19 and C5.
 */
import { invariant } from '../base/index.js';
import { systemEncoding } from './system-registers.js';

interface Family {
  /** What it belongs to. */
  readonly feature: string;
  readonly kind: 'register' | 'operation';
  /**
   * `NAME op0 op1 CRn CRm op2` each, operations without op0. `NAME{0-15/8}` stands for 16 registers whose encodings are
   * 8 apart.
   */
  readonly names: string;
}

const FAMILIES: readonly Family[] = [
  {
    feature: 'FEAT_BRBE',
    kind: 'register',
    names: `
      BRBINF{0-15/8}_EL1 2 1 8 0 0; BRBINF{16-31/8}_EL1 2 1 8 0 4; BRBSRC{0-15/8}_EL1 2 1 8 0 1;
      BRBSRC{16-31/8}_EL1 2 1 8 0 5; BRBTGT{0-15/8}_EL1 2 1 8 0 2; BRBTGT{16-31/8}_EL1 2 1 8 0 6;
      BRBCR_EL1 2 1 9 0 0; BRBFCR_EL1 2 1 9 0 1; BRBTS_EL1 2 1 9 0 2; BRBINFINJ_EL1 2 1 9 1 0;
      BRBSRCINJ_EL1 2 1 9 1 1; BRBTGTINJ_EL1 2 1 9 1 2; BRBIDR0_EL1 2 1 9 2 0; BRBCR_EL2 2 4 9 0 0;
      BRBCR_EL12 2 5 9 0 0`,
  },
  {
    feature: 'FEAT_MTE',
    kind: 'register',
    names: `
      RGSR_EL1 3 0 1 0 5; GCR_EL1 3 0 1 0 6; TFSR_EL1 3 0 5 6 0; TFSRE0_EL1 3 0 5 6 1; GMID_EL1 3 1 0 0 4;
      TCO 3 3 4 2 7; TFSR_EL2 3 4 5 6 0; TFSR_EL12 3 5 5 6 0`,
  },
  {
    feature: 'FEAT_SVE',
    kind: 'register',
    names: `
      ZCR_EL1 3 0 1 2 0; ZCR_EL2 3 4 1 2 0; ZCR_EL12 3 5 1 2 0`,
  },
  {
    feature: 'FEAT_TRF',
    kind: 'register',
    names: `
      TRFCR_EL1 3 0 1 2 1; TRFCR_EL2 3 4 1 2 1; TRFCR_EL12 3 5 1 2 1`,
  },
  {
    feature: 'FEAT_SME',
    kind: 'register',
    names: `
      SMPRI_EL1 3 0 1 2 4; SMCR_EL1 3 0 1 2 6; SMIDR_EL1 3 1 0 0 6; SVCR 3 3 4 2 2; TPIDR2_EL0 3 3 13 0 5;
      SMPRIMAP_EL2 3 4 1 2 5; SMCR_EL2 3 4 1 2 6; SMCR_EL12 3 5 1 2 6`,
  },
  {
    feature: 'FEAT_PAuth',
    kind: 'register',
    names: `
      APIAKEYLO_EL1 3 0 2 1 0; APIAKEYHI_EL1 3 0 2 1 1; APIBKEYLO_EL1 3 0 2 1 2; APIBKEYHI_EL1 3 0 2 1 3;
      APDAKEYLO_EL1 3 0 2 2 0; APDAKEYHI_EL1 3 0 2 2 1; APDBKEYLO_EL1 3 0 2 2 2; APDBKEYHI_EL1 3 0 2 2 3;
      APGAKEYLO_EL1 3 0 2 3 0; APGAKEYHI_EL1 3 0 2 3 1`,
  },
  {
    feature: 'FEAT_NMI',
    kind: 'register',
    names: `
      ALLINT 3 0 4 3 0; ICC_NMIAR1_EL1 3 0 12 9 5`,
  },
  {
    feature: 'FEAT_RAS',
    kind: 'register',
    names: `
      ERRIDR_EL1 3 0 5 3 0; ERRSELR_EL1 3 0 5 3 1; ERXFR_EL1 3 0 5 4 0; ERXCTLR_EL1 3 0 5 4 1;
      ERXSTATUS_EL1 3 0 5 4 2; ERXADDR_EL1 3 0 5 4 3; ERXPFGF_EL1 3 0 5 4 4; ERXPFGCTL_EL1 3 0 5 4 5;
      ERXPFGCDN_EL1 3 0 5 4 6; ERXMISC0_EL1 3 0 5 5 0; ERXMISC1_EL1 3 0 5 5 1; ERXMISC2_EL1 3 0 5 5 2;
      ERXMISC3_EL1 3 0 5 5 3; DISR_EL1 3 0 12 1 1; VSESR_EL2 3 4 5 2 3; VDISR_EL2 3 4 12 1 1`,
  },
  {
    feature: 'FEAT_SPE',
    kind: 'register',
    names: `
      PMSCR_EL1 3 0 9 9 0; PMSNEVFR_EL1 3 0 9 9 1; PMSICR_EL1 3 0 9 9 2; PMSIRR_EL1 3 0 9 9 3;
      PMSFCR_EL1 3 0 9 9 4; PMSEVFR_EL1 3 0 9 9 5; PMSLATFR_EL1 3 0 9 9 6; PMSIDR_EL1 3 0 9 9 7;
      PMBLIMITR_EL1 3 0 9 10 0; PMBPTR_EL1 3 0 9 10 1; PMBSR_EL1 3 0 9 10 3; PMBIDR_EL1 3 0 9 10 7;
      PMSCR_EL2 3 4 9 9 0; PMSCR_EL12 3 5 9 9 0`,
  },
  {
    feature: 'FEAT_TRBE',
    kind: 'register',
    names: `
      TRBLIMITR_EL1 3 0 9 11 0; TRBPTR_EL1 3 0 9 11 1; TRBBASER_EL1 3 0 9 11 2; TRBSR_EL1 3 0 9 11 3;
      TRBMAR_EL1 3 0 9 11 4; TRBTRG_EL1 3 0 9 11 6; TRBIDR_EL1 3 0 9 11 7`,
  },
  {
    feature: 'FEAT_PMUv3p4',
    kind: 'register',
    names: `
      PMMIR_EL1 3 0 9 14 6`,
  },
  {
    feature: 'more event counters',
    kind: 'register',
    names: `
      PMEVCNTR{6-30/1}_EL0 3 3 14 8 6; PMEVTYPER{6-30/1}_EL0 3 3 14 12 6`,
  },
  {
    feature: 'FEAT_MPAM',
    kind: 'register',
    names: `
      MPAMIDR_EL1 3 0 10 4 4; MPAM1_EL1 3 0 10 5 0; MPAM0_EL1 3 0 10 5 1; MPAMSM_EL1 3 0 10 5 3;
      MPAMHCR_EL2 3 4 10 4 0; MPAMVPMV_EL2 3 4 10 4 1; MPAM2_EL2 3 4 10 5 0; MPAMVPM{0-7/1}_EL2 3 4 10 6 0;
      MPAM1_EL12 3 5 10 5 0`,
  },
  {
    feature: 'FEAT_LS64_ACCDATA',
    kind: 'register',
    names: `
      ACCDATA_EL1 3 0 13 0 5`,
  },
  {
    feature: 'FEAT_CSV2_2',
    kind: 'register',
    names: `
      SCXTNUM_EL1 3 0 13 0 7; SCXTNUM_EL0 3 3 13 0 7; SCXTNUM_EL2 3 4 13 0 7; SCXTNUM_EL12 3 5 13 0 7`,
  },
  {
    feature: 'FEAT_CCIDX',
    kind: 'register',
    names: `
      CCSIDR2_EL1 3 1 0 0 2`,
  },
  {
    feature: 'FEAT_RNG',
    kind: 'register',
    names: `
      RNDR 3 3 2 4 0; RNDRRS 3 3 2 4 1`,
  },
  {
    feature: 'FEAT_AMUv1',
    kind: 'register',
    names: `
      AMCR_EL0 3 3 13 2 0; AMCFGR_EL0 3 3 13 2 1; AMCGCR_EL0 3 3 13 2 2; AMUSERENR_EL0 3 3 13 2 3;
      AMCNTENCLR0_EL0 3 3 13 2 4; AMCNTENSET0_EL0 3 3 13 2 5; AMCG1IDR_EL0 3 3 13 2 6;
      AMCNTENCLR1_EL0 3 3 13 3 0; AMCNTENSET1_EL0 3 3 13 3 1; AMEVCNTR0{0-3/1}_EL0 3 3 13 4 0;
      AMEVTYPER0{0-3/1}_EL0 3 3 13 6 0; AMEVCNTR1{0-15/1}_EL0 3 3 13 12 0; AMEVTYPER1{0-15/1}_EL0 3 3 13 14 0`,
  },
  {
    feature: 'FEAT_ECV',
    kind: 'register',
    names: `
      CNTPCTSS_EL0 3 3 14 0 5; CNTVCTSS_EL0 3 3 14 0 6; CNTPOFF_EL2 3 4 14 0 6`,
  },
  {
    feature: 'FEAT_FGT',
    kind: 'register',
    names: `
      HFGRTR_EL2 3 4 1 1 4; HFGWTR_EL2 3 4 1 1 5; HFGITR_EL2 3 4 1 1 6; HDFGRTR_EL2 3 4 3 1 4;
      HDFGWTR_EL2 3 4 3 1 5; HAFGRTR_EL2 3 4 3 1 6`,
  },
  {
    feature: 'FEAT_HCX',
    kind: 'register',
    names: `
      HCRX_EL2 3 4 1 2 2`,
  },
  {
    feature: 'FEAT_SEL2',
    kind: 'register',
    names: `
      SDER32_EL2 3 4 1 3 1; VSTTBR_EL2 3 4 2 6 0; VSTCR_EL2 3 4 2 6 2; CNTHVS_TVAL_EL2 3 4 14 4 0;
      CNTHVS_CTL_EL2 3 4 14 4 1; CNTHVS_CVAL_EL2 3 4 14 4 2; CNTHPS_TVAL_EL2 3 4 14 5 0;
      CNTHPS_CTL_EL2 3 4 14 5 1; CNTHPS_CVAL_EL2 3 4 14 5 2`,
  },
  {
    feature: 'FEAT_NV2',
    kind: 'register',
    names: `
      VNCR_EL2 3 4 2 2 0`,
  },
  {
    feature: 'FEAT_AMUv1p1',
    kind: 'register',
    names: `
      AMEVCNTVOFF0{0-15/1}_EL2 3 4 13 8 0; AMEVCNTVOFF1{0-15/1}_EL2 3 4 13 10 0`,
  },
  {
    feature: 'FEAT_TCR2',
    kind: 'register',
    names: `
      TCR2_EL1 3 0 2 0 3; TCR2_EL2 3 4 2 0 3; TCR2_EL12 3 5 2 0 3`,
  },
  {
    feature: 'FEAT_SCTLR2',
    kind: 'register',
    names: `
      SCTLR2_EL1 3 0 1 0 3; SCTLR2_EL2 3 4 1 0 3; SCTLR2_EL12 3 5 1 0 3`,
  },
  {
    feature: 'FEAT_AIE',
    kind: 'register',
    names: `
      MAIR2_EL1 3 0 10 2 1; AMAIR2_EL1 3 0 10 3 1; MAIR2_EL2 3 4 10 1 1; AMAIR2_EL2 3 4 10 3 1;
      MAIR2_EL12 3 5 10 2 1; AMAIR2_EL12 3 5 10 3 1`,
  },
  {
    feature: 'FEAT_S1PIE',
    kind: 'register',
    names: `
      PIRE0_EL1 3 0 10 2 2; PIR_EL1 3 0 10 2 3; PIRE0_EL2 3 4 10 2 2; PIR_EL2 3 4 10 2 3;
      PIRE0_EL12 3 5 10 2 2; PIR_EL12 3 5 10 2 3`,
  },
  {
    feature: 'FEAT_S2PIE',
    kind: 'register',
    names: `
      S2PIR_EL2 3 4 10 2 5`,
  },
  {
    feature: 'FEAT_S1POE',
    kind: 'register',
    names: `
      POR_EL1 3 0 10 2 4; POR_EL0 3 3 10 2 4; POR_EL2 3 4 10 2 4; POR_EL12 3 5 10 2 4`,
  },
  {
    feature: 'FEAT_S2POE',
    kind: 'register',
    names: `
      S2POR_EL1 3 0 10 2 5`,
  },
  {
    feature: 'FEAT_GCS',
    kind: 'register',
    names: `
      GCSCR_EL1 3 0 2 5 0; GCSPR_EL1 3 0 2 5 1; GCSCRE0_EL1 3 0 2 5 2; GCSPR_EL0 3 3 2 5 1;
      GCSCR_EL2 3 4 2 5 0; GCSPR_EL2 3 4 2 5 1; GCSCR_EL12 3 5 2 5 0; GCSPR_EL12 3 5 2 5 1`,
  },
  {
    feature: 'FEAT_THE',
    kind: 'register',
    names: `
      RCWSMASK_EL1 3 0 13 0 3; RCWMASK_EL1 3 0 13 0 6`,
  },
  {
    feature: 'FEAT_PFAR',
    kind: 'register',
    names: `
      PFAR_EL1 3 0 6 0 5; PFAR_EL2 3 4 6 0 5; PFAR_EL12 3 5 6 0 5`,
  },
  {
    feature: 'FEAT_FGT2',
    kind: 'register',
    names: `
      HDFGRTR2_EL2 3 4 3 1 0; HDFGWTR2_EL2 3 4 3 1 1; HFGRTR2_EL2 3 4 3 1 2; HFGWTR2_EL2 3 4 3 1 3;
      HFGITR2_EL2 3 4 3 1 7`,
  },
  {
    feature: 'FEAT_PMUv3_ICNTR',
    kind: 'register',
    names: `
      PMICNTR_EL0 3 3 9 4 0; PMICFILTR_EL0 3 3 9 6 0`,
  },
  {
    feature: 'FEAT_PMUv3p9',
    kind: 'register',
    names: `
      PMUACR_EL1 3 0 9 14 4; PMZR_EL0 3 3 9 13 4`,
  },
  {
    feature: 'FEAT_PMUv3_SS',
    kind: 'register',
    names: `
      PMSSCR_EL1 3 0 9 13 3`,
  },
  {
    feature: 'FEAT_EBEP',
    kind: 'register',
    names: `
      PMECR_EL1 3 0 9 14 5`,
  },
  {
    feature: 'FEAT_SEBEP',
    kind: 'register',
    names: `
      PMIAR_EL1 3 0 9 14 7`,
  },
  {
    feature: 'FEAT_Debugv8p9',
    kind: 'register',
    names: `
      MDSELR_EL1 2 0 0 4 2`,
  },
  {
    feature: 'FEAT_STEP2',
    kind: 'register',
    names: `
      MDSTEPOP_EL1 2 0 0 5 2`,
  },
  {
    feature: 'FEAT_ITE',
    kind: 'register',
    names: `
      TRCITECR_EL1 3 0 1 2 3; TRCITECR_EL2 3 4 1 2 3; TRCITECR_EL12 3 5 1 2 3`,
  },
  {
    feature: 'AArch32 at lower levels',
    kind: 'register',
    names: `
      DBGVCR32_EL2 2 4 0 7 0; DACR32_EL2 3 4 3 0 0; IFSR32_EL2 3 4 5 0 1; FPEXC32_EL2 3 4 5 3 0;
      RMR_EL2 3 4 12 0 2`,
  },
  {
    feature: 'GICv3 with virtualization, or with more priorities',
    kind: 'register',
    names: `
      ICC_AP0R{0-3/1}_EL1 3 0 12 8 4; ICC_AP1R{0-3/1}_EL1 3 0 12 9 0; ICH_AP0R{0-3/1}_EL2 3 4 12 8 0;
      ICH_AP1R{0-3/1}_EL2 3 4 12 9 0; ICC_SRE_EL2 3 4 12 9 5; ICH_HCR_EL2 3 4 12 11 0; ICH_VTR_EL2 3 4 12 11 1;
      ICH_MISR_EL2 3 4 12 11 2; ICH_EISR_EL2 3 4 12 11 3; ICH_ELRSR_EL2 3 4 12 11 5; ICH_VMCR_EL2 3 4 12 11 7;
      ICH_LR{0-15/1}_EL2 3 4 12 12 0`,
  },
  {
    feature: 'more breakpoints and watchpoints',
    kind: 'register',
    names: `
      DBGBVR{0-15/8}_EL1 2 0 0 0 4; DBGBCR{0-15/8}_EL1 2 0 0 0 5; DBGWVR{0-15/8}_EL1 2 0 0 0 6;
      DBGWCR{0-15/8}_EL1 2 0 0 0 7`,
  },
  {
    feature: 'Debug state',
    kind: 'register',
    names: `
      DBGDTR_EL0 2 3 0 4 0; DBGDTRRX_EL0/DBGDTRTX_EL0 2 3 0 5 0; DSPSR_EL0 3 3 4 5 0; DLR_EL0 3 3 4 5 1`,
  },
  {
    feature: 'warm reset by software',
    kind: 'register',
    names: `
      RMR_EL1 3 0 12 0 2`,
  },
  {
    feature: 'FEAT_MTE',
    kind: 'operation',
    names: `
      DC IGVAC 0 7 6 3; DC IGSW 0 7 6 4; DC IGDVAC 0 7 6 5; DC IGDSW 0 7 6 6; DC CGSW 0 7 10 4;
      DC CGDSW 0 7 10 6; DC CIGSW 0 7 14 4; DC CIGDSW 0 7 14 6; DC GVA 3 7 4 3; DC GZVA 3 7 4 4;
      DC CGVAC 3 7 10 3; DC CGDVAC 3 7 10 5; DC CGVAP 3 7 12 3; DC CGDVAP 3 7 12 5; DC CGVADP 3 7 13 3;
      DC CGDVADP 3 7 13 5; DC CIGVAC 3 7 14 3; DC CIGDVAC 3 7 14 5`,
  },
  {
    feature: 'FEAT_ATS1A',
    kind: 'operation',
    names: `
      AT S1E1A 0 7 9 2; AT S1E2A 4 7 9 2`,
  },
  {
    feature: 'FEAT_TLBIOS',
    kind: 'operation',
    names: `
      TLBI VMALLE1OS 0 8 1 0; TLBI VAE1OS 0 8 1 1; TLBI ASIDE1OS 0 8 1 2; TLBI VAAE1OS 0 8 1 3;
      TLBI VALE1OS 0 8 1 5; TLBI VAALE1OS 0 8 1 7; TLBI ALLE2OS 4 8 1 0; TLBI VAE2OS 4 8 1 1;
      TLBI ALLE1OS 4 8 1 4; TLBI VALE2OS 4 8 1 5; TLBI VMALLS12E1OS 4 8 1 6; TLBI IPAS2E1OS 4 8 4 0;
      TLBI IPAS2LE1OS 4 8 4 4`,
  },
  {
    feature: 'FEAT_TLBIRANGE',
    kind: 'operation',
    names: `
      TLBI RVAE1IS 0 8 2 1; TLBI RVAAE1IS 0 8 2 3; TLBI RVALE1IS 0 8 2 5; TLBI RVAALE1IS 0 8 2 7;
      TLBI RVAE1OS 0 8 5 1; TLBI RVAAE1OS 0 8 5 3; TLBI RVALE1OS 0 8 5 5; TLBI RVAALE1OS 0 8 5 7;
      TLBI RVAE1 0 8 6 1; TLBI RVAAE1 0 8 6 3; TLBI RVALE1 0 8 6 5; TLBI RVAALE1 0 8 6 7;
      TLBI RIPAS2E1IS 4 8 0 2; TLBI RIPAS2LE1IS 4 8 0 6; TLBI RVAE2IS 4 8 2 1; TLBI RVALE2IS 4 8 2 5;
      TLBI RIPAS2E1 4 8 4 2; TLBI RIPAS2E1OS 4 8 4 3; TLBI RIPAS2LE1 4 8 4 6; TLBI RIPAS2LE1OS 4 8 4 7;
      TLBI RVAE2OS 4 8 5 1; TLBI RVALE2OS 4 8 5 5; TLBI RVAE2 4 8 6 1; TLBI RVALE2 4 8 6 5`,
  },
  {
    feature: 'FEAT_SPECRES2',
    kind: 'operation',
    names: `
      COSP RCTX 3 7 3 6`,
  },
  {
    feature: 'FEAT_DPB2',
    kind: 'operation',
    names: `
      DC CVADP 3 7 13 1`,
  },
  {
    feature: 'FEAT_BRBE',
    kind: 'operation',
    names: `
      BRB IALL 1 7 2 4; BRB INJ 1 7 2 5`,
  },
  {
    feature: 'FEAT_ITE',
    kind: 'operation',
    names: `
      TRCIT 3 7 2 7`,
  },
  {
    feature: 'FEAT_GCS',
    kind: 'operation',
    names: `
      GCSPUSHX 0 7 7 4; GCSPOPCX 0 7 7 5; GCSPOPX 0 7 7 6; GCSPUSHM 3 7 7 0; GCSPOPM 3 7 7 1; GCSSS1 3 7 7 2;
      GCSSS2 3 7 7 3`,
  },
];

/** A register or operation, or several that are numbered. */
interface AbsentSystemEncoding {
  readonly name: string;
  readonly feature: string;
  readonly kind: Family['kind'];
  /** In the form of `systemEncoding`. */
  readonly encodings: readonly number[];
}

function parse({ feature, kind, names }: Family): AbsentSystemEncoding[] {
  return names.split(';').map((text) => {
    const parts = /^(\D.*?)((?: \d+){4,5})$/.exec(text.trim());
    const [name = '', numbers = ''] = parts?.slice(1) ?? [];
    invariant(name !== '', `a name and an encoding: ${text}`);
    const [op2 = 0, crm = 0, crn = 0, op1 = 0, op0 = 1] = numbers.trim().split(' ').map(Number).reverse();
    const first = systemEncoding(op0, op1, crn, crm, op2);
    const [from = 0, to = 0, step = 0] = (/\{(\d+)-(\d+)\/(\d+)\}/.exec(name) ?? []).slice(1).map(Number);
    return {
      name: name.replace(/\{.*\}/, '<n>'),
      feature,
      kind,
      encodings: Array.from({ length: to - from + 1 }, (_, n) => first + n * step),
    };
  });
}

export const ABSENT_SYSTEM_ENCODINGS: readonly AbsentSystemEncoding[] = FAMILIES.flatMap(parse);

/** Groups of encodings whose names are not given. */
interface Space {
  readonly name: string;
  readonly feature: string;
  contains(op0: number, op1: number, crn: number): boolean;
}

export const ABSENT_SYSTEM_SPACES: readonly Space[] = [
  {
    name: 'registers of the trace unit (TRC…): op0 2, op1 1',
    feature: 'FEAT_ETMv4, FEAT_ETE',
    contains: (op0, op1) => op0 === 2 && op1 === 1,
  },
  {
    name: 'registers and operations of EL3: op1 6',
    feature: 'EL3',
    contains: (op0, op1) => op0 !== 2 && op1 === 6,
  },
  {
    name: 'secure physical timer (CNTPS…): op0 3, op1 7',
    feature: 'EL3',
    contains: (op0, op1) => op0 === 3 && op1 === 7,
  },
  {
    name: 'TLBI …NXS: CRn 9',
    feature: 'FEAT_XS',
    contains: (op0, _, crn) => op0 === 1 && crn === 9,
  },
  {
    name: 'IMPLEMENTATION DEFINED registers and operations: CRn 11 and 15',
    feature: 'the part',
    contains: (op0, _, crn) => op0 !== 2 && (crn === 11 || crn === 15),
  },
];

const BY_ENCODING = new Map(ABSENT_SYSTEM_ENCODINGS.flatMap((one) => one.encodings.map((e) => [e, one])));

/** What an encoding is that no register or operation of a CPU model has; undefined where the manual has none either. */
export function absentSystemEncoding(
  encoding: number,
): { readonly name: string; readonly feature: string } | undefined {
  const [op0, op1, crn] = [encoding >> 14, (encoding >> 11) & 7, (encoding >> 7) & 15];
  return BY_ENCODING.get(encoding) ?? ABSENT_SYSTEM_SPACES.find((space) => space.contains(op0, op1, crn));
}
