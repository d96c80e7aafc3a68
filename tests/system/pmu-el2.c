/*
 * Performance monitors with EL2: what MDCR_EL2 traps, the counters that it keeps from EL1, filters. The program runs at
 * EL2. QEMU runs it with -icount shift=0.
 */
#include "levels.h"

#define E 1
#define P 2
#define C 4
#define LC 0x40
#define HPME 0x80
#define TPM 0x40
#define TPMCR 0x20
#define CYCLE_COUNTER (1ul << 31)
#define EXCLUDE_EL1 (1ul << 31)
#define EXCLUDE_EL0 (1ul << 30)
#define INCLUDE_EL2 (1ul << 27)
#define INST_RETIRED 0x08

void on_irq(u64 vector) { (void)vector; }

static void line(const char *name, u64 value) {
  print(name);
  print(" ");
  print_hex(value);
  print("\n");
}

#define RWOP(name, ...) {"read " name, MRS(__VA_ARGS__)}, {"write " name, MSR(__VA_ARGS__)}
static const struct {
  const char *name;
  u32 word;
} ACCESSES[] = {
    RWOP("PMCR", 3, 3, 9, 12, 0),
    RWOP("PMCNTENSET", 3, 3, 9, 12, 1),
    RWOP("PMCNTENCLR", 3, 3, 9, 12, 2),
    RWOP("PMOVSCLR", 3, 3, 9, 12, 3),
    RWOP("PMSWINC", 3, 3, 9, 12, 4),
    RWOP("PMSELR", 3, 3, 9, 12, 5),
    RWOP("PMCEID0", 3, 3, 9, 12, 6),
    RWOP("PMCEID1", 3, 3, 9, 12, 7),
    RWOP("PMCCNTR", 3, 3, 9, 13, 0),
    RWOP("PMXEVTYPER", 3, 3, 9, 13, 1),
    RWOP("PMXEVCNTR", 3, 3, 9, 13, 2),
    RWOP("PMUSERENR", 3, 3, 9, 14, 0),
    RWOP("PMOVSSET", 3, 3, 9, 14, 3),
    RWOP("PMEVCNTR0", 3, 3, 14, 8, 0),
    RWOP("PMEVCNTR5", 3, 3, 14, 8, 5),
    RWOP("PMEVTYPER0", 3, 3, 14, 12, 0),
    RWOP("PMEVTYPER5", 3, 3, 14, 12, 5),
    RWOP("PMCCFILTR", 3, 3, 14, 15, 7),
    RWOP("PMINTENSET", 3, 0, 9, 14, 1),
    RWOP("PMINTENCLR", 3, 0, 9, 14, 2),
};

static void outcomes(const char *title, u64 spsr, u64 enable) {
  print(title);
  print(spsr == EL0T ? " EL0:" : " EL1:");
  u32 quiet = 0;
  for (u32 i = 0; i < ARRAY_LENGTH(ACCESSES); i++) {
    WRITE(pmuserenr_el0, enable);
    run_below(ACCESSES[i].word, spsr, 0, 0);
    if (is_quiet()) {
      quiet++;
      continue;
    }
    print(" ");
    print(ACCESSES[i].name);
    print(is_from_vector() ? "(1:" : "(");
    print_hex(is_from_vector() ? READ(esr_el1) : taken.esr);
    print(")");
  }
  line(" ok", quiet);
}

static void set_mdcr(u64 bits) { WRITE(mdcr_el2, 6 | bits); }

static void traps(void) {
  static const u64 levels[] = {EL1H, EL0T};
  for (u32 i = 0; i < 2; i++) {
    set_mdcr(0);
    outcomes("none", levels[i], 1);
    set_mdcr(TPM);
    outcomes("TPM", levels[i], 1);
    /* QEMU 7.2 doesn't trap. */
    set_mdcr(TPMCR);
    outcomes("~ TPMCR", levels[i], 1);
  }
  outcomes("TPMCR, without EN", EL0T, 0);
  set_mdcr(TPM);
  outcomes("TPM, without EN", EL0T, 0);
  set_mdcr(0);
  WRITE(hcr_el2, RW | TGE);
  outcomes("TGE, without EN", EL0T, 0);
  WRITE(hcr_el2, RW);
  set_mdcr(TPM | TPMCR);
  here("TPM, at EL2", MRS(3, 3, 9, 12, 0) & ~0x1f, 0, 0);
  set_mdcr(0);
}

static void clear(void) {
  set_mdcr(0);
  WRITE(pmcr_el0, LC | P | C);
  WRITE(pmcntenclr_el0, ~0u);
  WRITE(pmovsclr_el0, ~0u);
  WRITE(pmccfiltr_el0, 0);
}

/* What counter 0 counts of EL2, of EL1 and EL0, by filter. An access to EL1 begins and ends at EL2. */
static void filters(void) {
  static const u64 types[] = {0,
                              INCLUDE_EL2,
                              EXCLUDE_EL1,
                              EXCLUDE_EL0,
                              INCLUDE_EL2 | EXCLUDE_EL1 | EXCLUDE_EL0,
                              EXCLUDE_EL1 | EXCLUDE_EL0};
  for (u32 i = 0; i < ARRAY_LENGTH(types); i++) {
    clear();
    WRITE(pmevtyper0_el0, INST_RETIRED | types[i]);
    WRITE(pmevtyper1_el0, INST_RETIRED | (types[i] ^ (INCLUDE_EL2 | EXCLUDE_EL1 | EXCLUDE_EL0)));
    WRITE(pmevtyper2_el0, INST_RETIRED | INCLUDE_EL2);
    WRITE(pmccfiltr_el0, types[i]);
    line("filter", types[i]);
    WRITE(pmcntenset_el0, CYCLE_COUNTER | 7);
    WRITE(pmcr_el0, LC | E);
    u64 first = READ(pmevcntr0_el0);
    u64 second = READ(pmevcntr0_el0);
    line("EL2 is counted", second != first);
    run_below(NOP, EL1H, 0, 0);
    u64 third = READ(pmevcntr0_el0);
    if (!(types[i] & INCLUDE_EL2)) line("of EL1", third - second);
    run_below(NOP, EL0T, 0, 0);
    u64 fourth = READ(pmevcntr0_el0);
    if (!(types[i] & INCLUDE_EL2)) line("of EL0 and its handler at EL1", fourth - third);
    WRITE(pmcr_el0, LC);
    u64 one = READ(pmevcntr0_el0), other = READ(pmevcntr1_el0), all = READ(pmevcntr2_el0);
    line("cycles as well", READ(pmccntr_el0) == one);
    line("the whole", one + other == all);
  }
  clear();
}

static void reserved_counters(void) {
  clear();
  line("HPMN after reset", READ(mdcr_el2) & 0x1f);
  WRITE(pmevtyper0_el0, INST_RETIRED | INCLUDE_EL2);
  WRITE(pmevtyper5_el0, INST_RETIRED | INCLUDE_EL2);
  WRITE(pmcntenset_el0, 0x21);
  static const u64 controls[] = {3, 3 | HPME, 6, 6 | HPME, 0, HPME};
  for (u32 e = 0; e < 2; e++)
    for (u32 i = 0; i < ARRAY_LENGTH(controls); i++) {
      WRITE(pmcr_el0, LC | e);
      WRITE(mdcr_el2, controls[i]);
      u64 low = READ(pmevcntr0_el0), high = READ(pmevcntr5_el0);
      line(e ? "E, MDCR_EL2" : "MDCR_EL2", controls[i]);
      line("low counts", READ(pmevcntr0_el0) != low);
      line("high counts", READ(pmevcntr5_el0) != high);
    }
  clear();
  /* QEMU 7.2 shows EL1 all counters. */
  WRITE(mdcr_el2, 3);
  WRITE(pmcntenset_el0, ~0u);
  WRITE(pmevcntr2_el0, 22);
  WRITE(pmevcntr3_el0, 33);
  line("PMCR_EL0.N at EL2", READ(pmcr_el0) >> 11 & 0x1f);
  line("~ PMCR_EL0.N at EL1", run_below(MRS(3, 3, 9, 12, 0), EL1H, 0, 0) >> 11 & 0x1f);
  line("~ PMCNTENSET_EL0 at EL1", run_below(MRS(3, 3, 9, 12, 1), EL1H, 0, 0));
  line("PMEVCNTR2_EL0 at EL1", run_below(MRS(3, 3, 14, 8, 2), EL1H, 0, 0));
  line("~ PMEVCNTR3_EL0 at EL1", run_below(MRS(3, 3, 14, 8, 3), EL1H, 0, 0));
  run_below(MSR(3, 3, 14, 8, 3), EL1H, 0, 5);
  line("~ written at EL1", READ(pmevcntr3_el0));
  WRITE(pmevcntr3_el0, 33);
  run_below(MSR(3, 3, 9, 12, 0), EL1H, 0, LC | P);
  line("EL1 resets its own", READ(pmevcntr2_el0));
  line("~ and no others", READ(pmevcntr3_el0));
  WRITE(pmcr_el0, LC | P);
  line("EL2 resets all", READ(pmevcntr3_el0));
  clear();
}

int main(void) {
  use_vectors(HVC(0));
  WRITE(sctlr_el1, SCTLR_EL1);
  /* As the CPU starts. */
  line("MDCR_EL2", READ(mdcr_el2));
  traps();
  filters();
  reserved_counters();
  print("done\n");
  return 0;
}
