/*
 * A host at EL2 (FEAT_VHE): what names mean there, its traps, the translation of its levels and of a guest's, its
 * timers. The program is the host (HCR_EL2.E2H and TGE are set); guests run with TGE clear.
 */
#include "levels.h"

#define E2H (1ul << 34)
#define HOST_HCR (RW | E2H | TGE)
#define GUEST_HCR (RW | E2H)

static volatile u32 interrupts;
static void clear_pending(void);
void on_irq(u64 vector) {
  interrupts++;
  print(" EL2 vector ");
  print_hex(vector * 0x80);
  clear_pending();
}

static void set_hcr(u64 value) {
  WRITE(hcr_el2, value);
  asm volatile("tlbi alle1; dsb sy; isb" ::: "memory");
}

/* Runs below with another HCR_EL2, and tells. */
static void below_with(const char *name, u64 hcr, u32 word, u64 spsr, u64 x0, u64 x1) {
  set_hcr(hcr);
  u64 result = run_below(word, spsr, x0, x1);
  set_hcr(HOST_HCR);
  print(name);
  print_outcome((u64)(code + 1), result);
}

/* ---- names */

static void names(void) {
  /* Each pair of registers gets values through all names; `mask` is what they keep. */
#define PAIR(el1, el2, el12, mask)            \
  do {                                        \
    u64 before1 = READ(el12), before2 = READ(el2); \
    WRITE(el12, 0x1111111111111111ul & (mask));    \
    WRITE(el1, 0x2222222222222222ul & (mask));     \
    print(#el1 " ");                          \
    print_hex(READ(el1) & (mask));            \
    print(" ");                               \
    print_hex(READ(el2) & (mask));            \
    print(" ");                               \
    print_hex(READ(el12) & (mask));           \
    WRITE(el2, 0x4444444444444444ul & (mask));     \
    print(" ");                               \
    print_hex(READ(el1) & (mask));            \
    print(" ");                               \
    print_hex(READ(el12) & (mask));           \
    print("\n");                              \
    WRITE(el12, before1);                     \
    WRITE(el2, before2);                      \
  } while (0)
  PAIR(ttbr1_el1, s3_4_c2_c0_1, s3_5_c2_c0_1, 0xfffffffff000);
  PAIR(esr_el1, esr_el2, s3_5_c5_c2_0, 0xffffffff);
  PAIR(far_el1, far_el2, s3_5_c6_c0_0, ~0ul);
  PAIR(spsr_el1, spsr_el2, s3_5_c4_c0_0, 0xf01003cf);
  PAIR(elr_el1, elr_el2, s3_5_c4_c0_1, ~0ul);
  PAIR(contextidr_el1, s3_4_c13_c0_1, s3_5_c13_c0_1, 0xffffffff);
  PAIR(cntkctl_el1, cnthctl_el2, s3_5_c14_c1_0, 0x3ff);
  PAIR(cpacr_el1, cptr_el2, s3_5_c1_c0_2, 3ul << 20);
  PAIR(cntp_cval_el0, cnthp_cval_el2, s3_5_c14_c2_2, ~0ul);
  PAIR(cntv_cval_el0, s3_4_c14_c3_2, s3_5_c14_c3_2, ~0ul);
  /* Those that the program itself is in need of. */
#define GUEST_OF(el1, el2, el12, mask)          \
  do {                                          \
    u64 before = READ(el12), here = READ(el1);  \
    WRITE(el12, 0x5555555555555555ul & (mask)); \
    print(#el1 " ");                            \
    print_hex(READ(el12) & (mask));             \
    print(READ(el1) == here && READ(el2) == here ? " apart\n" : " mixed up\n"); \
    WRITE(el12, before);                        \
  } while (0)
  GUEST_OF(sctlr_el1, sctlr_el2, s3_5_c1_c0_0, 0x1005);
  GUEST_OF(ttbr0_el1, ttbr0_el2, s3_5_c2_c0_0, 0xfffffffff000);
  GUEST_OF(tcr_el1, tcr_el2, s3_5_c2_c0_2, 0x7f3fffff3ful);
  GUEST_OF(mair_el1, mair_el2, s3_5_c10_c2_0, ~0ul);
  GUEST_OF(vbar_el1, vbar_el2, s3_5_c12_c0_0, ~0x7fful);
  /* Registers without another meaning. */
  WRITE(tpidr_el1, 0x77);
  WRITE(tpidr_el2, 0x88);
  print("tpidr ");
  print_hex(READ(tpidr_el1));
  print(" ");
  print_hex(READ(tpidr_el2));
  print("\n");
  /* What a guest sees of them. */
  WRITE(s3_5_c13_c0_1, 0x1234);
  WRITE(s3_4_c13_c0_1, 0x5678);
  below_with("guest contextidr", GUEST_HCR, MRS(3, 0, 13, 0, 1), GUEST_EL1H, 0, 0);
  below_with("guest writes contextidr", GUEST_HCR, MSR(3, 0, 13, 0, 1), GUEST_EL1H, 0, 0x4321);
  print("then ");
  print_hex(READ(s3_5_c13_c0_1));
  print(" ");
  print_hex(READ(s3_4_c13_c0_1));
  print("\n");
  below_with("guest contextidr_el12", GUEST_HCR, MRS(3, 5, 13, 0, 1), GUEST_EL1H, 0, 0);
  below_with("guest contextidr_el2", GUEST_HCR, MRS(3, 4, 13, 0, 1), GUEST_EL1H, 0, 0);
  below_with("EL0 contextidr_el12", HOST_HCR, MRS(3, 5, 13, 0, 1), EL0T, 0, 0);
  below_with("EL0 cntp_ctl_el02", HOST_HCR, MRS(3, 5, 14, 2, 1), EL0T, 0, 0);
  here("cntvoff_el12", MRS(3, 5, 14, 0, 3), 0, 0);
  here("actlr_el12", MRS(3, 5, 1, 0, 1), 0, 0);
  here("tpidr_el12", MRS(3, 5, 13, 0, 4), 0, 0);
}

/* ---- traps */

static const struct { const char *name; u32 word; } TRAPPABLE[] = {
    {"fmov", FMOV_X3_D0}, {"read fpcr", MRS(3, 3, 4, 4, 0)}, {"read cpacr", MRS(3, 0, 1, 0, 2)}, {"read sctlr", MRS(3, 0, 1, 0, 0)},
    {"read id", MRS(3, 0, 0, 6, 0)}, {"read ctr", MRS(3, 3, 0, 0, 1)}, {"dc civac", SYS(3, 7, 14, 1)}, {"dc cvau", SYS(3, 7, 11, 1)},
    {"ic ivau", SYS(3, 7, 5, 1)}, {"read cntvct", MRS(3, 3, 14, 0, 2)}, {"read cntfrq", MRS(3, 3, 14, 0, 0)},
    {"read cntp_ctl", MRS(3, 3, 14, 2, 1)}, {"write cntp_cval", MSR(3, 3, 14, 2, 2)}, {"read cntv_ctl", MRS(3, 3, 14, 3, 1)},
    {"write cntv_cval", MSR(3, 3, 14, 3, 2)}, {"tlbi vae1", SYS(0, 8, 7, 1)}, {"mrs cntkctl", MRS(3, 0, 14, 1, 0)},
    {"brk", BRK(1)}, {"svc", SVC(1)}, {"hvc", HVC(1)}, {"mrs mdscr", MRS(2, 0, 0, 2, 2)},
};

/* QEMU 7.2's `max` has FEAT_IDST. */
static u32 is_hidden(u32 word, u64 spsr) { return spsr == EL0T && word == MRS(3, 0, 0, 6, 0); }

static void row(const char *what, u64 value, u64 hcr, u64 spsr) {
  print(what);
  print(" ");
  print_hex(value);
  print(":");
  for (u32 i = 0; i < ARRAY_LENGTH(TRAPPABLE); i++) {
    if (is_hidden(TRAPPABLE[i].word, spsr)) continue;
    set_hcr(hcr);
    u64 address = hcr & TGE ? EL0_OPS : (u64)data;
    run_below(TRAPPABLE[i].word, spsr, 0, TRAPPABLE[i].word >> 19 == 0xd5080000 >> 19 ? address : 0);
    set_hcr(HOST_HCR);
    if (is_quiet()) continue;
    print(" ");
    print(TRAPPABLE[i].name);
    print(is_from_vector() ? "(1:" : "(");
    print_hex(is_from_vector() ? GET(ESR_OF_EL1) : taken.esr);
    print(")");
  }
  print("\n");
}

static void traps(void) {
  const u64 open = SCTLR_EL1 | UCI | UCT | DZE | UMA;
  u64 sctlr = READ(sctlr_el2), cptr = READ(cptr_el2), cnthctl = READ(cnthctl_el2);
  SET(SCTLR_OF_EL1, open);
  WRITE(s3_5_c1_c0_2, 3ul << 20);
  WRITE(s3_5_c14_c1_0, 0x303);
  WRITE(cptr_el2, 3ul << 20);
  WRITE(cnthctl_el2, 0xf03);
  WRITE(mdcr_el2, 0);
  for (u32 fpen = 0; fpen < 4; fpen++) {
    WRITE(cptr_el2, (u64)fpen << 20);
    row("host EL0, CPTR.FPEN", fpen, HOST_HCR, EL0T);
    row("guest EL0, CPTR.FPEN", fpen, GUEST_HCR, EL0T);
    row("guest EL1, CPTR.FPEN", fpen, GUEST_HCR, GUEST_EL1H);
    here("EL2 fmov", FMOV_X3_D0, 0, 0);
    WRITE(cptr_el2, 3ul << 20);
    WRITE(s3_5_c1_c0_2, (u64)fpen << 20);
    row("host EL0, CPACR_EL12.FPEN", fpen, HOST_HCR, EL0T);
    row("guest EL0, CPACR_EL12.FPEN", fpen, GUEST_HCR, EL0T);
    here("EL2 fmov", FMOV_X3_D0, 0, 0);
    WRITE(s3_5_c1_c0_2, 3ul << 20);
  }
  WRITE(cptr_el2, 3ul << 20 | 1ul << 31);
  row("guest EL1, TCPAC", 1, GUEST_HCR, GUEST_EL1H);
  here("EL2 cpacr, TCPAC", MRS(3, 0, 1, 0, 2), 0, 0);
  /* TFP isn't there. */
  WRITE(cptr_el2, 3ul << 20 | 1ul << 10);
  row("guest EL1, TFP", 1, GUEST_HCR, GUEST_EL1H);
  WRITE(cptr_el2, 3ul << 20);
  static const u64 counters[] = {0, 1, 2, 0x100, 0x200, 0x400, 0x800, 0xf03};
  for (u32 i = 0; i < ARRAY_LENGTH(counters); i++) {
    WRITE(cnthctl_el2, counters[i]);
    row("host EL0, CNTHCTL", counters[i], HOST_HCR, EL0T);
    row("guest EL0, CNTHCTL", counters[i], GUEST_HCR, EL0T);
    row("guest EL1, CNTHCTL", counters[i], GUEST_HCR, GUEST_EL1H);
    WRITE(cnthctl_el2, 0xf03);
    WRITE(s3_5_c14_c1_0, counters[i] & 0x303);
    row("host EL0, CNTKCTL_EL12", counters[i], HOST_HCR, EL0T);
    row("guest EL0, CNTKCTL_EL12", counters[i], GUEST_HCR, EL0T);
    WRITE(s3_5_c14_c1_0, 0x303);
  }
  static const u64 controls[] = {0, UCT, UCI, UCT | UCI};
  for (u32 i = 0; i < ARRAY_LENGTH(controls); i++) {
    WRITE(sctlr_el2, (sctlr & ~(UCT | UCI | DZE)) | controls[i]);
    row("host EL0, SCTLR_EL2", controls[i], HOST_HCR, EL0T);
    row("guest EL0, SCTLR_EL2", controls[i], GUEST_HCR, EL0T);
    WRITE(sctlr_el2, sctlr);
    SET(SCTLR_OF_EL1, (open & ~(UCT | UCI | DZE)) | controls[i]);
    row("host EL0, SCTLR_EL12", controls[i], HOST_HCR, EL0T);
    row("guest EL0, SCTLR_EL12", controls[i], GUEST_HCR, EL0T);
    SET(SCTLR_OF_EL1, open);
  }
  /* What is for guests has no effect on a host's EL0. */
  for (u32 bit = 9; bit < 31; bit++) {
    if (bit == 12 || bit == 13 || bit == 14 || bit == 19 || bit == 27) continue;
    row("host EL0, HCR bit", bit, HOST_HCR | 1ul << bit, EL0T);
    if (bit == 29) continue;
    row("guest EL1, HCR bit", bit, GUEST_HCR | 1ul << bit, GUEST_EL1H);
  }
  WRITE(mdcr_el2, 0xf00);
  row("host EL0, MDCR", 0xf00, HOST_HCR, EL0T);
  row("guest EL1, MDCR", 0xf00, GUEST_HCR, GUEST_EL1H);
  WRITE(mdcr_el2, 0);
  /* QEMU 7.2 asks SCTLR_EL1 whether a host's EL0 may wait. */
  WRITE(sctlr_el2, sctlr & ~(NTWI | NTWE));
  SET(SCTLR_OF_EL1, open);
  below_with("host EL0 wfi", HOST_HCR, WFI, EL0T, 0, 0);
  WRITE(sctlr_el2, sctlr);
  below_with("guest EL1 wfi, TWI", GUEST_HCR | TWI, WFI, GUEST_EL1H, 0, 0);
  WRITE(cptr_el2, cptr);
  WRITE(cnthctl_el2, cnthctl);
  SET(SCTLR_OF_EL1, SCTLR_EL1);
}

/* ---- returns */

static void try_return(u64 spsr, u64 hcr) {
  WRITE(hcr_el2, hcr);
  code[0] = SVC(LEAVE);
  sync_range(code, 4);
  taken.count = 0;
  taken.resume = (u64)from_el0;
  el0_call((u64)code, 0, (u64)(stack + 32), spsr, 0, 0);
  taken.resume = 0;
  WRITE(hcr_el2, HOST_HCR);
  print("return to ");
  print_hex(spsr);
  print(hcr & TGE ? " host" : " guest");
  if (taken.vector < 8) {
    print_registers(taken.vector, taken.esr, taken.elr, taken.spsr, 0, (u64)code);
    print("\n");
  } else {
    print_outcome((u64)code, 0);
  }
}

/* ---- interrupts */

#define IO(address) (*(volatile u32 *)(u64)(address))
#define GICD 0x08000000u
#define GICR 0x080a0000u
#define GICR_SGI 0x080b0000u

static void start_gic(void) {
  IO(GICD) = 0x13;
  IO(GICR + 0x14) = 0;
  while (IO(GICR + 0x14) & 4) {}
  IO(GICR_SGI + 0x80) = ~0u;
  IO(GICR_SGI + 0x100) = 2 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30;
  WRITE(s3_4_c12_c9_5, 0xf);
  WRITE(s3_0_c4_c6_0, 0xff);
  WRITE(s3_0_c12_c12_7, 1);
}

static void clear_pending(void) {
  IO(GICR_SGI + 0x280) = 0xffff;
  WRITE(cnthp_ctl_el2, 0);
}

static void set_pending(u32 on) {
  clear_pending();
  if (on) IO(GICR_SGI + 0x200) = 2;
  for (volatile u32 i = 0; i < 100; i++) {}
}

static void routing(void) {
  static const u64 bits[] = {0, IMO, VI, IMO | VI, IMO | VI | VSE | AMO};
  for (u32 pending = 0; pending < 2; pending++)
    for (u32 i = 0; i < ARRAY_LENGTH(bits); i++)
      for (u32 masked = 0; masked < 2; masked++)
        for (u32 which = 0; which < 3; which++) {
          if (i == 4 && which) continue;
          u64 spsr = (which == 2 ? 5 : 0) | (masked ? 0x3c0 : 0);
          set_pending(pending);
          set_hcr((which == 0 ? HOST_HCR : GUEST_HCR) | bits[i]);
          run_below(NOP, spsr, 0, 0);
          set_hcr(HOST_HCR);
          print(pending ? "IRQ" : "none");
          print(" pending, HCR ");
          print_hex(bits[i]);
          print(masked ? ", masked" : ", unmasked");
          print(which == 0 ? ", host EL0" : which == 1 ? ", guest EL0" : ", guest EL1");
          if (is_quiet()) {
            print(" -\n");
          } else {
            u32 at_el1 = is_from_vector();
            print(at_el1 ? " EL1 " : " EL2 ");
            print_hex((at_el1 ? taken.esr & 15 : taken.vector) * 0x80);
            print(" SPSR ");
            print_hex(at_el1 ? GET(SPSR_OF_EL1) : taken.spsr);
            print("\n");
          }
          if (which) continue;
          set_pending(pending);
          set_hcr(HOST_HCR | bits[i]);
          print("EL2");
          interrupts = 0;
          asm volatile("msr daif, %0; nop; isb; nop; msr daifset, #15" ::"r"(masked ? 0x3c0ul : 0ul) : "memory");
          print(interrupts ? "" : " -");
          set_hcr(GUEST_HCR | bits[i]);
          set_pending(pending);
          print(", TGE clear");
          interrupts = 0;
          asm volatile("msr daif, %0; nop; isb; nop; msr daifset, #15" ::"r"(masked ? 0x3c0ul : 0ul) : "memory");
          print(interrupts ? "" : " -");
          set_hcr(HOST_HCR);
          print("\n");
        }
  set_pending(0);
}

/* ---- timers */

static u64 behind(u64 count) { return (READ(cntpct_el0) - count + (1 << 29)) >> 30; }

static void timers(void) {
  WRITE(cnthctl_el2, 0xf03);
  WRITE(s3_5_c14_c1_0, 0x303);
  WRITE(cntvoff_el2, 5ul << 30);
  print("CNTVCT is behind: EL2 ");
  print_decimal(behind(READ(cntvct_el0)));
  print(" host EL0 ");
  print_decimal(behind(run_below(MRS(3, 3, 14, 0, 2), EL0T, 0, 0)));
  set_hcr(GUEST_HCR);
  print(" EL2 without TGE ");
  print_decimal(behind(READ(cntvct_el0)));
  print(" guest EL1 ");
  print_decimal(behind(run_below(MRS(3, 3, 14, 0, 2), GUEST_EL1H, 0, 0)));
  print(" guest EL0 ");
  print_decimal(behind(run_below(MRS(3, 3, 14, 0, 2), EL0T, 0, 0)));
  set_hcr(HOST_HCR);
  print("\n");
  /* Each level's own timer: CNTP and CNTV here and at the host's EL0 are EL2's. */
  WRITE(s3_5_c14_c2_2, 0x1111);
  WRITE(s3_5_c14_c3_2, 0x2222);
  WRITE(cnthp_cval_el2, 0x3333);
  WRITE(s3_4_c14_c3_2, 0x4444);
  below_with("host EL0 cntp_cval", HOST_HCR, MRS(3, 3, 14, 2, 2), EL0T, 0, 0);
  below_with("host EL0 cntv_cval", HOST_HCR, MRS(3, 3, 14, 3, 2), EL0T, 0, 0);
  below_with("guest EL0 cntp_cval", GUEST_HCR, MRS(3, 3, 14, 2, 2), EL0T, 0, 0);
  below_with("guest EL0 cntv_cval", GUEST_HCR, MRS(3, 3, 14, 3, 2), EL0T, 0, 0);
  below_with("guest EL1 cntp_cval", GUEST_HCR, MRS(3, 3, 14, 2, 2), GUEST_EL1H, 0, 0);
  below_with("guest EL1 cntv_cval", GUEST_HCR, MRS(3, 3, 14, 3, 2), GUEST_EL1H, 0, 0);
  here("EL2 cntp_cval", MRS(3, 3, 14, 2, 2), 0, 0);
  here("EL2 cntv_cval", MRS(3, 3, 14, 3, 2), 0, 0);
  here("EL2 cntp_cval_el02", MRS(3, 5, 14, 2, 2), 0, 0);
  here("EL2 cntv_cval_el02", MRS(3, 5, 14, 3, 2), 0, 0);
  /* Which interrupt each raises. QEMU 7.2 hasn't connected EL2's virtual timer. */
  static const struct { const char *name; u32 ctl, cval; } timer[] = {
      {"cntp", MSR(3, 3, 14, 2, 1), MSR(3, 3, 14, 2, 2)}, {"~cntv", MSR(3, 3, 14, 3, 1), MSR(3, 3, 14, 3, 2)},
      {"cntp_el02", MSR(3, 5, 14, 2, 1), MSR(3, 5, 14, 2, 2)}, {"cntv_el02", MSR(3, 5, 14, 3, 1), MSR(3, 5, 14, 3, 2)},
  };
  WRITE(cntvoff_el2, 0);
  for (u32 i = 0; i < ARRAY_LENGTH(timer); i++) {
    run_here(timer[i].cval, 0, 1);
    run_here(timer[i].ctl, 0, 1);
    for (volatile u32 k = 0; k < 1000; k++) {}
    print(timer[i].name);
    print(" pending ");
    print_hex(IO(GICR_SGI + 0x200));
    print(" CTL ");
    print_hex(run_here(timer[i].ctl | 1 << 21, 0, 0));
    print("\n");
    run_here(timer[i].ctl, 0, 0);
  }
  WRITE(cnthctl_el2, 0);
}

/* ---- translation */

#define VALID 1ul
#define TABLE_OR_PAGE 3ul
#define ATTR(n) ((u64)(n) << 2)
#define AP(n) ((u64)(n) << 6)
#define LEAF (ATTR(1) | (3ul << 8) | (1ul << 10))
#define TARGET 0x44000000ul
#define FIRST 0x44100000ul
#define SECOND 0x44200000ul
#define UNPRIVILEGED 0xc0000000ul

static u64 tables[6][512] __attribute__((aligned(4096)));

static void prepare_page(u64 address, u64 value) {
  *(u64 *)address = value;
  *(u32 *)(address + 0x80) = RET;
  sync_code((void *)(address + 0x80));
}

static void print_par(const char *name) {
  print(name);
  print(" PAR ");
  print_hex(READ(par_el1) & ~(1ul << 9));
  print("\n");
}

#define TRANSLATE(what, va)                       \
  do {                                            \
    asm volatile("at " #what ", %0; isb" ::"r"(va)); \
    print_par(#what);                             \
  } while (0)

static void translations(u64 va) {
  TRANSLATE(s1e1r, va);
  TRANSLATE(s1e1w, va);
  TRANSLATE(s1e0r, va);
  TRANSLATE(s1e0w, va);
  TRANSLATE(s1e2r, va);
  TRANSLATE(s1e2w, va);
}

#define LDR 0xf9400003
#define STR 0xf9000003
#define LDTR 0xf8400803
#define STTR 0xf8000803

#define READ_PAN() (READ(s3_0_c4_c2_3) >> 22)
#define WRITE_PAN(value) WRITE(s3_0_c4_c2_3, (u64)(value) << 22)
#define SPAN (1ul << 23)
#define DSSBS (1ul << 44)

static void privileged_access_never(u64 va) {
  WRITE_PAN(1);
  here("PAN: EL2 ldr", LDR, va, 0);
  here("PAN: EL2 str", STR, va, 0x1111);
  here("PAN: EL2 ldtr", LDTR, va, 0);
  TRANSLATE(s1e1r, va);
  asm volatile("sys #0, c7, c9, #0, %0; isb" ::"r"(va));
  print_par("s1e1rp");
  asm volatile("sys #0, c7, c9, #1, %0; isb" ::"r"(va));
  print_par("s1e1wp");
  WRITE_PAN(0);
  asm volatile("sys #0, c7, c9, #0, %0; isb" ::"r"(va));
  print_par("s1e1rp without PAN");
}

/* What an exception makes of PSTATE.PAN and SSBS. */
static void entry(void) {
  u64 sctlr = READ(sctlr_el2);
  for (u32 i = 0; i < 4; i++) {
    SET(SCTLR_OF_EL1, SCTLR_EL1 | SPAN);
    WRITE(sctlr_el2, (sctlr & ~SPAN & ~DSSBS) | (i & 1 ? SPAN : 0) | (i & 2 ? DSSBS : 0));
    WRITE_PAN(0);
    run_below(SVC(1), EL0T, 0, 0);
    print("SPAN ");
    print_decimal(i & 1);
    print(" DSSBS ");
    print_decimal(i >> 1);
    print(": from a host's EL0 PAN ");
    print_decimal(READ_PAN());
    print(" SSBS ");
    print_hex(READ(s3_3_c4_c2_6));
    WRITE_PAN(0);
    set_hcr(GUEST_HCR);
    run_below(HVC(1), GUEST_EL1H, 0, 0);
    print(", from a guest ");
    print_decimal(READ_PAN());
    WRITE_PAN(0);
    set_hcr(HOST_HCR);
    print("\n");
  }
  WRITE(sctlr_el2, sctlr);
  SET(SCTLR_OF_EL1, SCTLR_EL1);
}

static void translation(void) {
  const u64 guest_page = ~0ul << 38;
  u64 *level1 = tables[0], *level2 = tables[1], *pages = tables[2];
  u64 *guest1 = tables[3], *guest2 = tables[4], *guest3 = tables[5];
  const u64 tcr = READ(tcr_el2), ttbr1 = READ(s3_4_c2_c0_1);
  prepare_page(FIRST, 0x1111);
  prepare_page(SECOND, 0x2222);
  level1[256] = (u64)level2 | TABLE_OR_PAGE;
  level2[0] = (u64)pages | TABLE_OR_PAGE;
  WRITE(s3_4_c2_c0_1, level1);
  /* As the lower half, 25 bits off, and no EPD1. */
  WRITE(tcr_el2, (tcr & ~(1ul << 23)) | 25ul << 16 | 1ul << 24 | 1ul << 26 | 3ul << 28 | 2ul << 30);
  flush_tlb();
  /* The guest: the program's memory for EL1 alone, and a page of its own at the same address. */
  guest1[1] = (u64)guest2 | TABLE_OR_PAGE;
  for (u32 i = 0; i < 16; i++) guest2[i] = (0x40000000 + i * 0x200000ul) | LEAF | VALID;
  guest1[256] = (u64)guest3 | TABLE_OR_PAGE;
  guest3[0] = SECOND | LEAF | AP(1) | VALID;
  WRITE(s3_5_c2_c0_0, guest1);
  WRITE(s3_5_c2_c0_1, guest1);
  WRITE(s3_5_c2_c0_2, 25 | (1 << 8) | (1 << 10) | (3 << 12) | 25ul << 16 | 1ul << 24 | 1ul << 26 | 3ul << 28 | 2ul << 30 | (2ul << 32));
  WRITE(s3_5_c10_c2_0, 0x44ff00);
  for (u32 ap = 0; ap < 4; ap++)
    for (u32 xn = 0; xn < 4; xn++) {
      pages[0] = FIRST | LEAF | AP(ap) | (u64)xn << 53 | TABLE_OR_PAGE;
      flush_tlb();
      print("host AP ");
      print_decimal(ap);
      print(" UXN:PXN ");
      print_decimal(xn);
      print("\n");
      here("EL2 ldr", LDR, guest_page, 0);
      here("EL2 str", STR, guest_page, 0x1111);
      here("EL2 ldtr", LDTR, guest_page, 0);
      here("EL2 sttr", STTR, guest_page, 0x1111);
      taken.count = 0;
      guarded_call(guest_page + 0x80, 0x77);
      report("EL2 fetch", guest_page + 0x80, 0);
      translations(guest_page);
      if (xn == 0) privileged_access_never(guest_page);
    }
  pages[0] = FIRST | LEAF | AP(1) | TABLE_OR_PAGE;
  flush_tlb();
  SET(SCTLR_OF_EL1, SCTLR_EL1 | 5);
  asm volatile("dsb sy; tlbi alle1; dsb sy; isb" ::: "memory");
  for (u32 round = 0; round < 2; round++) {
    here("EL2 ldr", LDR, guest_page, 0);
    below_with("guest EL1 ldr", GUEST_HCR, LDR, GUEST_EL1H, guest_page, 0);
    below_with("guest EL1 ldtr", GUEST_HCR, LDTR, GUEST_EL1H, guest_page, 0);
  }
  /* TGE decides whose levels AT and LDTR mean. */
  set_hcr(GUEST_HCR);
  print("TGE clear\n");
  translations(guest_page);
  TRANSLATE(s12e1r, guest_page);
  TRANSLATE(s12e0w, guest_page);
  pages[0] = FIRST | LEAF | AP(0) | TABLE_OR_PAGE;
  flush_tlb();
  asm volatile("tlbi alle2; dsb sy; isb" ::: "memory");
  here("EL2 ldtr", LDTR, guest_page, 0);
  here("EL2 sttr", STTR, guest_page, 0x1111);
  translations(guest_page);
  set_hcr(HOST_HCR);
  print("TGE set\n");
  here("EL2 ldtr", LDTR, guest_page, 0);
  translations(guest_page);
  /* TLBI by EL1's names is about the host's own levels. */
  pages[0] = FIRST | LEAF | AP(1) | TABLE_OR_PAGE;
  asm volatile("dsb sy; tlbi vae1, %0; dsb sy; isb" ::"r"(guest_page >> 12 & 0xfffffffffff) : "memory");
  here("EL2 ldr", LDR, guest_page, 0);
  pages[0] = SECOND | LEAF | AP(1) | TABLE_OR_PAGE;
  asm volatile("dsb sy; tlbi vale1is, %0; dsb sy; isb" ::"r"(guest_page >> 12 & 0xfffffffffff) : "memory");
  here("EL2 ldr", LDR, guest_page, 0);
  pages[0] = FIRST | LEAF | AP(1) | TABLE_OR_PAGE;
  asm volatile("dsb sy; tlbi vmalle1is; dsb sy; isb" ::: "memory");
  here("EL2 ldr", LDR, guest_page, 0);
  pages[0] = SECOND | LEAF | AP(1) | TABLE_OR_PAGE;
  asm volatile("dsb sy; tlbi vae2is, %0; dsb sy; isb" ::"r"(guest_page >> 12 & 0xfffffffffff) : "memory");
  /* QEMU 7.2 has this for the EL2 regime alone. */
  here("~EL2 ldr", LDR, guest_page, 0);
  pages[0] = FIRST | LEAF | AP(1) | TABLE_OR_PAGE;
  asm volatile("dsb sy; tlbi alle2is; dsb sy; isb" ::: "memory");
  here("EL2 ldr", LDR, guest_page, 0);
  SET(SCTLR_OF_EL1, SCTLR_EL1);
  WRITE(tcr_el2, tcr);
  WRITE(s3_4_c2_c0_1, ttbr1);
  flush_tlb();
}

int main(void) {
  use_vectors(HVC(0));
  SET(SCTLR_OF_EL1, SCTLR_EL1);
  WRITE(s3_5_c1_c0_2, 3ul << 20);
  WRITE(s3_5_c14_c1_0, 0x303);
  map_ops_for_el0();
  names();
  traps();
  for (u64 mode = 0; mode < 16; mode++) {
    if (mode == (EL2H & 15) || mode == (EL2T & 15)) continue;
    try_return(0x3c0 | mode, HOST_HCR);
    try_return(0x3c0 | mode, GUEST_HCR);
  }
  start_gic();
  routing();
  timers();
  translation();
  entry();
  print("done\n");
  return 0;
}
