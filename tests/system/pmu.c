/*
 * Performance monitors: registers, exact counts of instructions, software increments, filters by exception level, access
 * from EL0, overflow and its interrupt, chained counters. GIC: 2 or 3.
 *
 * QEMU runs it with -icount shift=0: it counts an instruction in a nanosecond, and a cycle as well.
 */
#include "guest.h"

#define IO(address) (*(volatile u32 *)(u64)(address))
#define GICD 0x08000000u
#define GICC 0x08010000u
#define GICR_SGI 0x080b0000u
#define LOCAL (GIC == 2 ? GICD : GICR_SGI)
#define PMU_INTID 23

#define E 1
#define P 2
#define C 4
#define LC 0x40
#define COUNTERS 0x3f
#define CYCLE_COUNTER (1ul << 31)
#define EXCLUDE_EL1 (1ul << 31)
#define EXCLUDE_EL0 (1ul << 30)
#define SW_INCR 0x00
#define INST_RETIRED 0x08
#define CPU_CYCLES 0x11
#define CHAIN 0x1e
#define EN 1
#define SW 2
#define CR 4
#define ER 8

static void line(const char *name, u64 value) {
  print(name);
  print(" ");
  print_hex(value);
  print("\n");
}

static volatile u32 interrupts;
static volatile u64 overflowed, counted;

void on_irq(u64 vector) {
  (void)vector;
  counted = READ(pmevcntr0_el0);
  u32 id = GIC == 2 ? IO(GICC + 0x0c) : READ(s3_0_c12_c12_0);
  overflowed = READ(pmovsclr_el0);
  WRITE(pmovsclr_el0, overflowed);
  interrupts++;
  if ((id & 0x3ff) != PMU_INTID) line("unexpected interrupt", id & 0x3ff);
  if (GIC == 2) IO(GICC + 0x10) = id;
  else WRITE(s3_0_c12_c12_1, id);
}

static void initialise_gic(void) {
  if (GIC == 2) {
    IO(GICD) = 1;
    IO(GICC) = 1;
    IO(GICC + 4) = 0xf0;
  } else {
    WRITE(s3_0_c12_c12_5, 7);
    IO(GICD) = 0x12;
    IO(GICR_SGI - 0x10000 + 0x14) &= ~2u;
    while (IO(GICR_SGI - 0x10000 + 0x14) & 4);
    IO(LOCAL + 0x80) = ~0u;
    WRITE(s3_0_c12_c12_7, 1);
    WRITE(s3_0_c4_c6_0, 0xf0);
  }
  IO(LOCAL + 0x180) = ~0u;
  IO(LOCAL + 0x100) = 1u << PMU_INTID;
}

static u64 is_pending(void) { return IO(LOCAL + 0x200) >> PMU_INTID & 1; }

/* Everything off and zero. */
static void clear(void) {
  WRITE(pmcr_el0, LC | P | C);
  WRITE(pmcntenclr_el0, ~0u);
  WRITE(pmintenclr_el1, ~0u);
  WRITE(pmovsclr_el0, ~0u);
  WRITE(pmuserenr_el0, 0);
  WRITE(pmselr_el0, 0);
  WRITE(pmccfiltr_el0, 0);
  WRITE(pmevtyper0_el0, 0);
  WRITE(pmevtyper1_el0, 0);
  WRITE(pmevtyper2_el0, 0);
  WRITE(pmevtyper3_el0, 0);
  WRITE(pmevtyper4_el0, 0);
  WRITE(pmevtyper5_el0, 0);
}

#define WRITTEN(name, value) ({ WRITE(name, value); READ(name); })

static void registers(void) {
  print("registers\n");
  u64 pmcr = READ(pmcr_el0);
  line("PMCR_EL0.N", pmcr >> 11 & 0x1f);
  line("E after reset", pmcr & E);
  /* Set where there is no AArch32, which QEMU's has. */
  line("~ LC after reset", (pmcr & LC) != 0);
  clear();
  line("E, DP, LC", WRITTEN(pmcr_el0, 0x61) & 0x67);
  /* No clock divider without AArch32, no bus for events. */
  line("~ D, X", WRITTEN(pmcr_el0, 0x58) & 0x18);
  clear();
  line("PMCNTENSET_EL0", WRITTEN(pmcntenset_el0, ~0ul));
  line("PMCNTENCLR_EL0", WRITTEN(pmcntenclr_el0, 0x80000012));
  line("PMINTENSET_EL1", WRITTEN(pmintenset_el1, ~0ul));
  line("PMINTENCLR_EL1", WRITTEN(pmintenclr_el1, 0x80000012));
  line("PMOVSSET_EL0", WRITTEN(pmovsset_el0, ~0ul));
  line("PMOVSCLR_EL0", WRITTEN(pmovsclr_el0, 0x80000012));
  line("PMSELR_EL0", WRITTEN(pmselr_el0, ~0ul));
  line("PMUSERENR_EL0", WRITTEN(pmuserenr_el0, ~0ul));
  line("PMCCNTR_EL0", WRITTEN(pmccntr_el0, 0x123456789abcdef0));
  /* QEMU doesn't model chained counters. */
  line("PMCEID0_EL0", READ(pmceid0_el0) & ~(1ul << CHAIN));
  line("~ PMCEID0_EL0", READ(pmceid0_el0));
  /* Stalls, which PMUv3p1 and p4 must have, are QEMU's max's only. */
  line("~ PMCEID1_EL0", READ(pmceid1_el0));
  line("PMEVCNTR0_EL0", WRITTEN(pmevcntr0_el0, 0x89abcdef));
  line("PMEVCNTR5_EL0", WRITTEN(pmevcntr5_el0, 0xfedcba98));
  line("PMEVTYPER0_EL0", WRITTEN(pmevtyper0_el0, EXCLUDE_EL0 | INST_RETIRED));
  line("PMEVTYPER5_EL0", WRITTEN(pmevtyper5_el0, EXCLUDE_EL1 | CPU_CYCLES));
  line("PMCCFILTR_EL0", WRITTEN(pmccfiltr_el0, EXCLUDE_EL1 | EXCLUDE_EL0));
  /* Bits of EL2 and EL3 are there in QEMU without them; 16 bits of events are PMUv3p1's. */
  line("~ all of PMEVTYPER0_EL0", WRITTEN(pmevtyper0_el0, ~0ul));
  line("~ all of PMCCFILTR_EL0", WRITTEN(pmccfiltr_el0, ~0ul));
  print("by selection\n");
  WRITE(pmevcntr3_el0, 0x33);
  WRITE(pmevtyper3_el0, EXCLUDE_EL0 | 0x11);
  WRITE(pmselr_el0, 3);
  line("PMXEVCNTR_EL0", READ(pmxevcntr_el0));
  line("PMXEVTYPER_EL0", READ(pmxevtyper_el0));
  WRITE(pmxevcntr_el0, 0x44);
  WRITE(pmxevtyper_el0, EXCLUDE_EL1 | 0x8);
  line("PMEVCNTR3_EL0", READ(pmevcntr3_el0));
  line("PMEVTYPER3_EL0", READ(pmevtyper3_el0));
  WRITE(pmselr_el0, 31);
  line("PMXEVTYPER_EL0", WRITTEN(pmxevtyper_el0, EXCLUDE_EL0));
  line("PMCCFILTR_EL0", READ(pmccfiltr_el0));
  WRITE(pmselr_el0, 6);
  line("none: PMXEVCNTR_EL0", WRITTEN(pmxevcntr_el0, 1));
  line("none: PMXEVTYPER_EL0", WRITTEN(pmxevtyper_el0, 1));
  print("reset by PMCR_EL0\n");
  WRITE(pmccntr_el0, 99);
  WRITE(pmcr_el0, LC | P);
  line("events", READ(pmevcntr0_el0) | READ(pmevcntr3_el0) | READ(pmevcntr5_el0));
  line("cycles", READ(pmccntr_el0));
  WRITE(pmevcntr0_el0, 7);
  WRITE(pmcr_el0, LC | C);
  line("events", READ(pmevcntr0_el0));
  line("cycles", READ(pmccntr_el0));
  line("overflow status stays", READ(pmovsset_el0));
  clear();
}

/* What counter 0 counts of `body` and the second MRS. */
#define COUNTED(body)                                                                                \
  ({                                                                                                 \
    u64 before_, after_;                                                                             \
    asm volatile("isb\nmrs %0, pmevcntr0_el0\n" body "\nmrs %1, pmevcntr0_el0"                       \
                 : "=&r"(before_), "=&r"(after_)::"x9", "x10", "x30", "cc", "memory");               \
    after_ - before_;                                                                                \
  })
#define CYCLES(body)                                                                                 \
  ({                                                                                                 \
    u64 before_, after_;                                                                             \
    asm volatile("isb\nmrs %0, pmccntr_el0\n" body "\nmrs %1, pmccntr_el0"                           \
                 : "=&r"(before_), "=&r"(after_)::"x9", "x10", "x30", "cc", "memory");               \
    after_ - before_;                                                                                \
  })

u64 word[2];

static void counts(void) {
  print("instructions\n");
  WRITE(pmevtyper0_el0, INST_RETIRED);
  line("switched off", COUNTED("nop"));
  WRITE(pmcr_el0, LC | E);
  line("not enabled", COUNTED("nop"));
  WRITE(pmcntenset_el0, CYCLE_COUNTER | 1);
  WRITE(pmcr_el0, LC);
  line("enabled, switched off", COUNTED("nop"));
  WRITE(pmcr_el0, LC | E);
  line("none", COUNTED(""));
  line("one", COUNTED("nop"));
  line("hundred", COUNTED(".rept 100\nadd x9, x9, #1\n.endr"));
  line("5000 in a row", COUNTED(".rept 5000\neor x9, x9, x10\n.endr"));
  line("loop", COUNTED("mov x9, #1000\n1: subs x9, x9, #1\nb.ne 1b"));
  line("long loop", COUNTED("mov x9, #0x4000\n1: sub x9, x9, #1\ncbnz x9, 1b"));
  line("memory", COUNTED("ldr x9, =word\nldp x9, x10, [x9]\nldr x9, =word\nstr x10, [x9]"));
  line("call", COUNTED("bl 1f\nb 2f\n1: ret\n2:"));
  line("skipped", COUNTED("cmp xzr, xzr\nb.eq 1f\nnop\nnop\n1: csel x9, x9, x10, ne"));
  line("barriers", COUNTED("isb\ndsb sy\ndmb ish\nisb"));
  line("hints", COUNTED("sev\nwfe\nyield"));
  line("masks", COUNTED("msr daifset, #2\nmrs x9, daif\nmsr daif, x9"));
  line("exclusives", COUNTED("ldr x9, =word\nldxr x10, [x9]\nstxr w30, x10, [x9]"));
  line("SVC, handler", COUNTED("svc #1\nnop\nnop"));
  line("load that aborts, handler", COUNTED("mov x9, #-16\nldr x10, [x9]\nnop"));
  line("store that aborts, handler", COUNTED("mov x9, #-16\nnop\nstr x10, [x9]\nnop"));
  /* Not executed, but counted by QEMU. */
  line("~ undefined instruction, handler", COUNTED("nop\nudf #1\nnop"));
  /* Executed or not; it is here. */
  line("BRK, handler", COUNTED("brk #1\nnop"));
  print("cycles\n");
  line("none", CYCLES(""));
  line("loop", CYCLES("mov x9, #1000\n1: subs x9, x9, #1\nb.ne 1b"));
  /* One more: a load that aborts takes its time. */
  line("~ load that aborts, handler", CYCLES("mov x9, #-16\nldr x10, [x9]\nnop"));
  WRITE(pmevtyper1_el0, CPU_CYCLES);
  WRITE(pmcntenset_el0, 2);
  u64 first, second, cycles;
  asm volatile("isb\nmsr pmevcntr1_el0, xzr\nmsr pmccntr_el0, xzr\n.rept 50\nnop\n.endr\n"
               "mrs %0, pmevcntr1_el0\nmrs %1, pmccntr_el0\nmrs %2, pmevcntr1_el0"
               : "=&r"(first), "=&r"(cycles), "=&r"(second));
  line("by event", first);
  line("by cycle counter", cycles);
  line("by event", second);
  WRITE(pmcntenclr_el0, 2);
  asm volatile("mrs %0, pmevcntr1_el0\n.rept 50\nnop\n.endr\nmrs %1, pmevcntr1_el0" : "=&r"(first), "=&r"(second));
  line("no longer enabled", second - first);
  clear();
}

static void increments(void) {
  print("software increments\n");
  WRITE(pmevtyper0_el0, SW_INCR);
  WRITE(pmevtyper1_el0, SW_INCR);
  WRITE(pmevtyper2_el0, CPU_CYCLES | EXCLUDE_EL1 | EXCLUDE_EL0);
  WRITE(pmevtyper3_el0, SW_INCR | EXCLUDE_EL1);
  WRITE(pmcntenset_el0, 0xd);
  WRITE(pmswinc_el0, 0xf);
  line("switched off", READ(pmevcntr0_el0));
  WRITE(pmcr_el0, LC | E);
  for (u32 i = 0; i < 3; i++) WRITE(pmswinc_el0, 0xf);
  line("enabled", READ(pmevcntr0_el0));
  line("not enabled", READ(pmevcntr1_el0));
  line("another event", READ(pmevcntr2_el0));
  line("filtered", READ(pmevcntr3_el0));
  WRITE(pmswinc_el0, 0xe);
  line("not named", READ(pmevcntr0_el0));
  WRITE(pmevcntr0_el0, 0xfffffffe);
  WRITE(pmswinc_el0, 1);
  line("before overflow", READ(pmovsset_el0));
  WRITE(pmswinc_el0, 1);
  /* PMUv3p5, which QEMU's max has, makes it 64 bits. */
  line("count", READ(pmevcntr0_el0) & 0xffffffff);
  line("overflow", READ(pmovsset_el0));
  clear();
}

/* Words that EL0 executes, at EL0_OPS. */
static u32 el0_code[1024] __attribute__((aligned(4096)));
static u64 el0_tables[512 * 2] __attribute__((aligned(4096)));

#define NOP 0xd503201f
#define SVC_EXIT 0xd4001c01u /* svc #0xe0 */
#define PMU(crn, crm, op2) ((u32)3 << 16 | (u32)(crn) << 12 | (u32)(crm) << 8 | (u32)(op2) << 5)
#define MRS_X0(...) (0xd5380000 | PMU(__VA_ARGS__))
#define MSR_X0(...) (0xd5180000 | PMU(__VA_ARGS__))

static void map_el0_code(void) {
  u64 *level1 = (u64 *)READ(ttbr0_el1);
  u64 *level2 = el0_tables, *level3 = el0_tables + 512;
  level1[2] = (u64)level2 | 3;
  level2[0] = (u64)level3 | 3;
  level3[0] = (u64)el0_code | (1ul << 53) | (1 << 10) | (3 << 8) | (3 << 6) | (1 << 2) | 3;
  flush_tlb();
}

/* `first`, NOPs and the way out. Interrupts are masked there, and afterwards. */
static u64 run_el0(u32 first, u32 nops, u64 x0) {
  u32 n = 0;
  el0_code[n++] = first;
  while (nops--) el0_code[n++] = NOP;
  el0_code[n++] = SVC_EXIT;
  for (u64 at = 0; at < 4 * n; at += 64) sync_code((u8 *)el0_code + at);
  taken.count = 0;
  return el0_call(EL0_OPS, x0, 0, EL0T, 0, 0);
}

static void filters(void) {
  static const u64 types[] = {0, EXCLUDE_EL1, EXCLUDE_EL0, EXCLUDE_EL1 | EXCLUDE_EL0};
  print("filters\n");
  for (u32 i = 0; i < ARRAY_LENGTH(types); i++) {
    clear();
    WRITE(pmevtyper0_el0, types[i] | INST_RETIRED);
    WRITE(pmevtyper1_el0, (types[i] ^ (EXCLUDE_EL1 | EXCLUDE_EL0)) | INST_RETIRED);
    WRITE(pmevtyper2_el0, INST_RETIRED);
    WRITE(pmccfiltr_el0, types[i]);
    WRITE(pmcntenset_el0, CYCLE_COUNTER | 7);
    WRITE(pmcr_el0, LC | E);
    for (u32 round = 0; round < 3; round++) {
      run_el0(NOP, 100 * round, 0);
      /* At EL0: the NOPs and SVC. */
      if (types[i] == EXCLUDE_EL1) line("EL0 alone", READ(pmevcntr0_el0));
    }
    run_el0(NOP, 500, 0);
    WRITE(pmcr_el0, LC);
    u64 counter0 = READ(pmevcntr0_el0), counter1 = READ(pmevcntr1_el0), cycles = READ(pmccntr_el0);
    if (types[i] == EXCLUDE_EL1) {
      line("EL0 alone", counter0);
      line("EL0 alone, cycles", cycles);
    }
    if (types[i] == (EXCLUDE_EL1 | EXCLUDE_EL0)) line("nothing", counter0 + cycles);
    if (types[i] == EXCLUDE_EL0) line("EL1 alone, the other counts EL0", counter1);
    line("two halves are the whole", counter0 + counter1 == READ(pmevcntr2_el0));
  }
  /* Changed on the way. */
  clear();
  WRITE(pmevtyper0_el0, INST_RETIRED | EXCLUDE_EL1);
  WRITE(pmcntenset_el0, 1);
  WRITE(pmcr_el0, LC | E);
  line("excluded", COUNTED(".rept 10\nnop\n.endr"));
  WRITE(pmevtyper0_el0, INST_RETIRED);
  line("no longer", COUNTED(".rept 10\nnop\n.endr"));
  clear();
}

static const struct {
  const char *name;
  u32 read, write;
} EL0_REGISTERS[] = {
    {"PMCR_EL0", MRS_X0(9, 12, 0), MSR_X0(9, 12, 0)},
    {"PMCNTENSET_EL0", MRS_X0(9, 12, 1), MSR_X0(9, 12, 1)},
    {"PMCNTENCLR_EL0", MRS_X0(9, 12, 2), MSR_X0(9, 12, 2)},
    {"PMOVSCLR_EL0", MRS_X0(9, 12, 3), MSR_X0(9, 12, 3)},
    {"PMSWINC_EL0", MRS_X0(9, 12, 4), MSR_X0(9, 12, 4)},
    {"PMSELR_EL0", MRS_X0(9, 12, 5), MSR_X0(9, 12, 5)},
    {"PMCEID0_EL0", MRS_X0(9, 12, 6), MSR_X0(9, 12, 6)},
    {"PMCEID1_EL0", MRS_X0(9, 12, 7), MSR_X0(9, 12, 7)},
    {"PMCCNTR_EL0", MRS_X0(9, 13, 0), MSR_X0(9, 13, 0)},
    {"PMXEVTYPER_EL0", MRS_X0(9, 13, 1), MSR_X0(9, 13, 1)},
    {"PMXEVCNTR_EL0", MRS_X0(9, 13, 2), MSR_X0(9, 13, 2)},
    {"PMUSERENR_EL0", MRS_X0(9, 14, 0), MSR_X0(9, 14, 0)},
    {"PMOVSSET_EL0", MRS_X0(9, 14, 3), MSR_X0(9, 14, 3)},
    {"PMEVCNTR0_EL0", MRS_X0(14, 8, 0), MSR_X0(14, 8, 0)},
    {"PMEVCNTR5_EL0", MRS_X0(14, 8, 5), MSR_X0(14, 8, 5)},
    {"PMEVTYPER0_EL0", MRS_X0(14, 12, 0), MSR_X0(14, 12, 0)},
    {"PMEVTYPER5_EL0", MRS_X0(14, 12, 5), MSR_X0(14, 12, 5)},
    {"PMCCFILTR_EL0", MRS_X0(14, 15, 7), MSR_X0(14, 15, 7)},
    {"PMINTENSET_EL1", 0xd5380000 | 9 << 12 | 14 << 8 | 1 << 5, 0xd5180000 | 9 << 12 | 14 << 8 | 1 << 5},
};

static void el0_access(void) {
  static const char *const enables[] = {"none", "EN", "SW", "CR", "ER", "SW, CR, ER"};
  static const u64 bits[] = {0, EN, SW, CR, ER, SW | CR | ER};
  for (u32 i = 0; i < ARRAY_LENGTH(bits); i++) {
    print("EL0 with ");
    print(enables[i]);
    print("\n");
    for (u32 r = 0; r < ARRAY_LENGTH(EL0_REGISTERS); r++) {
      print(EL0_REGISTERS[r].name);
      for (u32 write = 0; write < 2; write++) {
        WRITE(pmuserenr_el0, bits[i]);
        run_el0(write ? EL0_REGISTERS[r].write : EL0_REGISTERS[r].read, 0, 0);
        print(write ? " write " : " read ");
        if (taken.esr == 0x560000e0) print("ok");
        else print_hex(taken.esr);
      }
      print("\n");
    }
  }
  clear();
  WRITE(pmuserenr_el0, SW);
  WRITE(pmcntenset_el0, 1);
  WRITE(pmcr_el0, LC | E);
  run_el0(MSR_X0(9, 12, 4), 0, 1);
  line("EL0's increment", READ(pmevcntr0_el0));
  WRITE(pmuserenr_el0, CR | ER);
  WRITE(pmccntr_el0, 0x5555);
  line("EL0 reads PMUSERENR_EL0", run_el0(MRS_X0(9, 14, 0), 0, 0));
  line("EL0 reads PMCCNTR_EL0", run_el0(MRS_X0(9, 13, 0), 0, 0));
  clear();
}

static void unmask(void) { asm volatile("msr daifclr, #2; isb; nop; nop" ::: "memory"); }
static void mask(void) { asm volatile("msr daifset, #2" ::: "memory"); }
static void spin(u64 rounds) {
  asm volatile("1: subs %0, %0, #1\nb.ne 1b" : "+r"(rounds)::"cc");
}
/* QEMU 7.2, where it counts instructions, wakes one before the overflow and then no more until the monitors are used. */
static void touch(void) {
  WRITE(pmcr_el0, LC | E);
  asm volatile("nop; isb; nop" ::: "memory");
}

static void overflow(void) {
  print("overflow\n");
  WRITE(pmevtyper0_el0, INST_RETIRED);
  WRITE(pmevcntr0_el0, 0xffffff00);
  WRITE(pmcntenset_el0, 1);
  WRITE(pmcr_el0, LC | E);
  line("not yet", READ(pmovsset_el0));
  spin(1000);
  touch();
  line("PMOVSSET_EL0", READ(pmovsset_el0));
  line("disabled: pending", is_pending());
  WRITE(pmintenset_el1, 1);
  line("enabled: pending", is_pending());
  line("ISR_EL1", READ(isr_el1));
  WRITE(pmcr_el0, LC);
  /* QEMU 7.2 looks at PMCR_EL0.E at other times. */
  line("~ switched off: pending", is_pending());
  WRITE(pmcr_el0, LC | E);
  line("switched on: pending", is_pending());
  WRITE(pmovsclr_el0, 1);
  line("cleared: pending", is_pending());
  WRITE(pmovsset_el0, 1);
  line("set by software: pending", is_pending());
  unmask();
  mask();
  line("interrupts", interrupts);
  line("overflowed", overflowed);
  line("pending", is_pending());

  print("~ interrupts in time\n");
  for (u32 round = 0; round < 4; round++) {
    u64 period = 1000ul << (4 * round);
    u32 before = interrupts;
    WRITE(pmevcntr0_el0, 0x100000000 - period);
    unmask();
    spin(period / 2 - 200);
    line("~ before", interrupts - before);
    spin(2000);
    mask();
    line("~ after", interrupts - before);
    line("~ soon", counted < 1100);
  }
  print("every counter\n");
  for (u32 n = 0; n < 6; n++) {
    clear();
    interrupts = 0;
    WRITE(pmselr_el0, n);
    WRITE(pmxevtyper_el0, n & 1 ? CPU_CYCLES : INST_RETIRED);
    WRITE(pmxevcntr_el0, 0xfffffc00);
    WRITE(pmintenset_el1, ~0u);
    WRITE(pmcntenset_el0, 1u << n);
    WRITE(pmcr_el0, LC | E);
    unmask();
    spin(2000);
    touch();
    mask();
    line("interrupts", interrupts);
    line("overflowed", overflowed);
  }
  clear();
  interrupts = 0;
  WRITE(pmccntr_el0, 0xfffffc00);
  WRITE(pmintenset_el1, CYCLE_COUNTER);
  WRITE(pmcntenset_el0, CYCLE_COUNTER);
  WRITE(pmcr_el0, LC | E);
  unmask();
  spin(2000);
  touch();
  mask();
  line("cycle counter of 64 bits: interrupts", interrupts);
  WRITE(pmccntr_el0, -1000l);
  unmask();
  spin(2000);
  touch();
  mask();
  line("its overflow: interrupts", interrupts);
  line("overflowed", overflowed);
  line("wrapped", READ(pmccntr_el0) < 10000);

  print("overflow at EL0\n");
  clear();
  interrupts = 0;
  WRITE(pmevtyper0_el0, INST_RETIRED | EXCLUDE_EL1);
  WRITE(pmevcntr0_el0, 0x100000000 - 400);
  WRITE(pmintenset_el1, 1);
  WRITE(pmcntenset_el0, 1);
  WRITE(pmcr_el0, LC | E);
  unmask();
  spin(2000);
  run_el0(NOP, 350, 0);
  unmask();
  spin(2000);
  line("before", interrupts);
  line("count", READ(pmevcntr0_el0) & 0xffffffff);
  run_el0(NOP, 350, 0);
  unmask();
  spin(2000);
  mask();
  line("after", interrupts);
  line("count", READ(pmevcntr0_el0) & 0xffffffff);
  clear();
}

static void chains(void) {
  /* In QEMU there is no such event. */
  print("~ chained counters\n");
  WRITE(pmevtyper2_el0, SW_INCR);
  WRITE(pmevtyper3_el0, CHAIN);
  WRITE(pmevtyper4_el0, CHAIN);
  WRITE(pmevtyper1_el0, CHAIN);
  WRITE(pmevcntr2_el0, 0xffffffff);
  WRITE(pmevcntr3_el0, 5);
  WRITE(pmcntenset_el0, COUNTERS);
  WRITE(pmcr_el0, LC | E);
  WRITE(pmswinc_el0, 4);
  line("~ low", READ(pmevcntr2_el0));
  line("~ high", READ(pmevcntr3_el0));
  line("~ others", READ(pmevcntr1_el0) | READ(pmevcntr4_el0));
  line("~ overflow", READ(pmovsclr_el0));
  WRITE(pmovsclr_el0, ~0u);
  WRITE(pmevcntr2_el0, 0xffffffff);
  WRITE(pmcntenclr_el0, 8);
  WRITE(pmswinc_el0, 4);
  line("~ high, not enabled", READ(pmevcntr3_el0));
  WRITE(pmcntenset_el0, 8);
  WRITE(pmovsclr_el0, ~0u);
  interrupts = 0;
  WRITE(pmevtyper2_el0, INST_RETIRED);
  WRITE(pmevcntr3_el0, 0xffffffff);
  WRITE(pmintenset_el1, 8);
  WRITE(pmevcntr2_el0, 0xfffff000);
  unmask();
  spin(1000);
  line("~ interrupts", interrupts);
  spin(4000);
  mask();
  line("~ interrupts", interrupts);
  line("~ overflowed", overflowed);
  line("~ high", READ(pmevcntr3_el0));
  clear();
}

int main(void) {
  map_el0_code();
  initialise_gic();
  registers();
  counts();
  increments();
  filters();
  el0_access();
  overflow();
  chains();
  print("done\n");
  return 0;
}
