/*
 * Self-hosted debug: breakpoints, watchpoints, software step, what masks and locks them. Exceptions are noted, and the
 * instruction that one stopped is skipped, or stepped over.
 */
#include "guest.h"

#define NOP 0xd503201f
#define RET 0xd65f03c0
#define SVC(imm) (0xd4000001 | (u32)(imm) << 5)
#define LEAVE 0xe0

#define MDSCR_SS 1ul
#define MDSCR_TDCC (1ul << 12)
#define MDSCR_KDE (1ul << 13)
#define MDSCR_MDE (1ul << 15)
#define PSTATE_SS (1ul << 21)
#define PSTATE_D (1ul << 9)
#define AT_EL0 EL0T
/* With debug exceptions not masked. */
#define AT_EL1 (EL1H & ~PSTATE_D)

/* Control registers. */
#define ENABLE 1u
#define PRIVILEGE(pac) ((u32)(pac) << 1)
#define FROM_EL0 PRIVILEGE(2)
#define FROM_BOTH PRIVILEGE(3)
#define LOADS (1u << 3)
#define STORES (2u << 3)
#define ACCESSES (3u << 3)
#define BAS(bits) ((u32)(bits) << 5)
#define HMC (1u << 13)
#define SSC(value) ((u32)(value) << 14)
#define LBN(n) ((u32)(n) << 16)
#define WT (1u << 20)
#define BT(type) ((u32)(type) << 20)
#define MASK(bits) ((u32)(bits) << 24)
#define BREAKPOINT (ENABLE | FROM_BOTH | BAS(15))
#define WATCHPOINT (ENABLE | FROM_BOTH | BAS(0xff))

/* What EL0 sees: code at the first, data at the second address. EL1 uses the arrays. */
#define CODE 0x80000000ul
#define DATA 0x80010000ul
static u32 code[1024] __attribute__((aligned(4096)));
static u64 data[1024] __attribute__((aligned(4096)));
static u64 tables[512 * 2] __attribute__((aligned(4096)));

struct exception {
  u64 vector, esr, elr, spsr, far;
};
static struct exception notes[64];
static volatile u32 noted;
/* Exceptions of this class are only counted. */
static u32 counted_class;
static volatile u32 counted;
/* What the handler of an SVC sets MDSCR_EL1 to, once; what that of a Breakpoint exception does. */
static volatile u64 mdscr_after_svc;
static u32 stays_at_breakpoints;

struct frame {
  u64 x[31], elr, spsr;
};

void on_irq(u64 vector) {
  print_hex(vector);
  print(" unexpected interrupt\n");
  power_off();
}

/* Non-zero where `el0_call` ends. */
u64 on_exception(u64 vector, struct frame *frame) {
  u64 esr = READ(esr_el1), class = esr >> 26;
  if (class == 0x15 && (esr & 0xffff) == LEAVE) return 1;
  if (counted_class && class == counted_class) {
    counted++;
  } else if (noted < ARRAY_LENGTH(notes)) {
    notes[noted++] = (struct exception){vector, esr, frame->elr, frame->spsr, READ(far_el1)};
  } else {
    return 1;
  }
  switch (class) {
  case 0x15: /* SVC, HVC, SMC return behind themselves */
  case 0x16:
  case 0x17:
    if (mdscr_after_svc) {
      WRITE(mdscr_el1, mdscr_after_svc);
      mdscr_after_svc = 0;
    }
    break;
  case 0x32:
  case 0x33:
    frame->spsr |= PSTATE_SS;
    break;
  case 0x30:
  case 0x31:
    if (stays_at_breakpoints) {
      WRITE(dbgbcr4_el1, 0);
      break;
    }
    /* fall through */
  default:
    frame->elr += 4;
    frame->spsr &= ~(1ul << 20);
  }
  return 0;
}

asm("  .balign 2048\n"
    "debug_vectors:\n"
    "  .set i, 0\n"
    "  .rept 16\n"
    "  .balign 128\n"
    "  sub sp, sp, #272\n"
    "  stp x0, x1, [sp]\n"
    "  mov x0, #i\n"
    "  b debug_vector\n"
    "  .set i, i + 1\n"
    "  .endr\n"
    "debug_vector:\n"
    "  stp x2, x3, [sp, #16]\n"
    "  stp x4, x5, [sp, #32]\n"
    "  stp x6, x7, [sp, #48]\n"
    "  stp x8, x9, [sp, #64]\n"
    "  stp x10, x11, [sp, #80]\n"
    "  stp x12, x13, [sp, #96]\n"
    "  stp x14, x15, [sp, #112]\n"
    "  stp x16, x17, [sp, #128]\n"
    "  stp x18, x19, [sp, #144]\n"
    "  stp x29, x30, [sp, #232]\n"
    "  mrs x2, elr_el1\n"
    "  mrs x3, spsr_el1\n"
    "  stp x2, x3, [sp, #248]\n"
    "  mov x1, sp\n"
    "  bl on_exception\n"
    "  cbnz x0, 1f\n"
    "  ldp x2, x3, [sp, #248]\n"
    "  msr elr_el1, x2\n"
    "  msr spsr_el1, x3\n"
    "  ldp x29, x30, [sp, #232]\n"
    "  ldp x18, x19, [sp, #144]\n"
    "  ldp x16, x17, [sp, #128]\n"
    "  ldp x14, x15, [sp, #112]\n"
    "  ldp x12, x13, [sp, #96]\n"
    "  ldp x10, x11, [sp, #80]\n"
    "  ldp x8, x9, [sp, #64]\n"
    "  ldp x6, x7, [sp, #48]\n"
    "  ldp x4, x5, [sp, #32]\n"
    "  ldp x2, x3, [sp, #16]\n"
    "  ldp x0, x1, [sp]\n"
    "  add sp, sp, #272\n"
    "  eret\n"
    "1: ldr x0, [sp]\n"
    "  b from_el0\n");
extern u8 debug_vectors[];

static void print_offset(u64 address) {
  u64 bases[] = {CODE, (u64)code, DATA, (u64)data};
  static const char *const names[] = {"code", "code", "data", "data"};
  for (u32 i = 0; i < 4; i++)
    if (address - bases[i] + 4096 < 3 * 4096) {
      print(names[i]);
      print(address < bases[i] ? "-" : "+");
      print_hex(address < bases[i] ? bases[i] - address : address - bases[i]);
      return;
    }
  print_hex(address);
}

static void print_notes(const char *mark) {
  for (u32 i = 0; i < noted; i++) {
    u64 class = notes[i].esr >> 26;
    print(mark);
    print("  ");
    print_hex(notes[i].vector * 0x80);
    print(" ESR ");
    print_hex(class == 0x24 || class == 0x25 ? notes[i].esr & ~DATA_ABORT_DETAILS : notes[i].esr);
    print(" ELR ");
    print_offset(notes[i].elr);
    /* Without BTYPE, which only QEMU's `max` has. */
    print(" SPSR ");
    print_hex(notes[i].spsr & ~0xc00ul);
    if (class == 0x20 || class == 0x21 || class == 0x22 || class == 0x24 || class == 0x25 || class == 0x34 || class == 0x35) {
      print(" FAR ");
      print_offset(notes[i].far);
    }
    print("\n");
  }
}

static u64 load_code(const u32 *words, u32 count) {
  for (u32 i = 0; i < count; i++) code[i] = words[i];
  code[count] = SVC(LEAVE);
  for (u64 at = (u64)code; at <= (u64)(code + count); at += 64) sync_code((void *)at);
  return (u64)code;
}

/* Runs what is in `code` with this PSTATE and MDSCR_EL1, noting exceptions; X0 after it. */
static u64 run_code(u64 spsr, u64 mdscr, u64 x0, u64 x1) {
  noted = 0;
  counted = 0;
  WRITE(mdscr_el1, mdscr);
  u64 pc = (spsr & 0xf) == 0 ? CODE : (u64)code;
  u64 result = el0_call(pc, x0, 0, spsr, 0, x1);
  WRITE(mdscr_el1, 0);
  return result;
}

#define RUN(spsr, mdscr, x0, x1, ...)                        \
  ({                                                         \
    static const u32 words_[] = {__VA_ARGS__};               \
    load_code(words_, ARRAY_LENGTH(words_));                 \
    run_code(spsr, mdscr, x0, x1);                           \
  })

static void title(const char *text) {
  print(text);
  print("\n");
}

#define BREAK(n, value, control)          \
  do {                                    \
    WRITE(dbgbvr##n##_el1, value);        \
    WRITE(dbgbcr##n##_el1, control);      \
  } while (0)
#define WATCH(n, value, control)          \
  do {                                    \
    WRITE(dbgwvr##n##_el1, value);        \
    WRITE(dbgwcr##n##_el1, control);      \
  } while (0)

static void all_off(void) {
  BREAK(0, 0, 0);
  BREAK(1, 0, 0);
  BREAK(2, 0, 0);
  BREAK(3, 0, 0);
  BREAK(4, 0, 0);
  BREAK(5, 0, 0);
  WATCH(0, 0, 0);
  WATCH(1, 0, 0);
  WATCH(2, 0, 0);
  WATCH(3, 0, 0);
}

/* ---- registers */

static void registers(void) {
  title("registers");
  print("ID_AA64DFR0 ");
  print_hex(READ(id_aa64dfr0_el1) & 0xf0f0f000);
  print("\nOSLSR ");
  print_hex(READ(oslsr_el1));
  WRITE(oslar_el1, 0);
  print(" ");
  print_hex(READ(oslsr_el1));
  WRITE(oslar_el1, ~0ul);
  print(" ");
  print_hex(READ(oslsr_el1));
  WRITE(oslar_el1, 2);
  print(" ");
  print_hex(READ(oslsr_el1));
  print("\n");
#define KEEPS(mark, name, mask)           \
  do {                                    \
    WRITE(name, (mask) & ~1ul);           \
    u64 ones = READ(name) & (mask);       \
    WRITE(name, 0);                       \
    print(mark #name " ");                \
    print_hex(ones);                      \
    print(" ");                           \
    print_hex(READ(name) & (mask));       \
    print("\n");                          \
  } while (0)
  KEEPS("", mdscr_el1, 0xb000);
  KEEPS("", dbgbvr0_el1, 0x1fffffffffffc);
  KEEPS("", dbgbvr3_el1, 0x1fffffffffffc);
  KEEPS("", dbgbvr5_el1, 0xffffffff);
  KEEPS("", dbgbcr0_el1, 0x1fe006);
  KEEPS("", dbgbcr5_el1, 0x3fe006);
  KEEPS("", dbgwvr0_el1, 0x1fffffffffffc);
  KEEPS("", dbgwvr3_el1, 0x1fffffffffffc);
  KEEPS("", dbgwcr0_el1, 0x1f1ffffe);
  KEEPS("", dbgwcr3_el1, 0x1f1ffffe);
  /* QEMU 7.2 keeps all bits: those of types that need more, BAS without AArch32, and those that only the OS Lock opens. */
  KEEPS("~", mdscr_el1, 0xffffffff);
  KEEPS("~", dbgbvr0_el1, ~0ul);
  KEEPS("~", dbgbvr4_el1, ~0ul);
  KEEPS("~", dbgbcr0_el1, ~0ul);
  KEEPS("~", dbgbcr4_el1, ~0ul);
  KEEPS("~", dbgwvr0_el1, ~0ul);
  KEEPS("~", dbgwcr0_el1, ~0ul);
  WRITE(oslar_el1, 1);
  KEEPS("~locked ", mdscr_el1, 0xffffffff);
  WRITE(oslar_el1, 0);
  print("MDCCSR ");
  print_hex(READ(mdccsr_el0));
  print("\n");
  /* Registers that QEMU 7.2 hasn't: DBGCLAIMSET, DBGCLAIMCLR, DBGPRCR, DBGAUTHSTATUS. */
#define MARKED(text, action, value)       \
  do {                                    \
    noted = 0;                            \
    action;                               \
    u64 value_of = (value);               \
    print("~" text " ");                  \
    print_hex(noted ? 0xbad : value_of);  \
    print("\n");                          \
  } while (0)
  MARKED("DBGCLAIMSET", (void)0, READ(s2_0_c7_c8_6));
  MARKED("DBGCLAIMSET 0x1a5", WRITE(s2_0_c7_c8_6, 0x1a5), READ(s2_0_c7_c9_6));
  MARKED("DBGCLAIMSET 0x18", WRITE(s2_0_c7_c8_6, 0x18), READ(s2_0_c7_c9_6));
  MARKED("DBGCLAIMCLR 0x0f", WRITE(s2_0_c7_c9_6, 0x0f), READ(s2_0_c7_c9_6));
  MARKED("DBGPRCR", WRITE(s2_0_c1_c4_4, ~0ul), READ(s2_0_c1_c4_4));
  WRITE(s2_0_c1_c4_4, 0);
  MARKED("DBGAUTHSTATUS", (void)0, READ(s2_0_c7_c14_6));

  title("EL0's view of the communications channel");
  RUN(AT_EL0, 0, 0, 0, 0xd5330100 /* mrs x0, mdccsr_el0 */);
  print_notes("");
  RUN(AT_EL0, MDSCR_TDCC, 0, 0, 0xd5330100);
  print_notes("~");
}

/* ---- breakpoints */

static const u32 nops[] = {NOP, NOP, NOP, NOP, NOP, NOP, NOP, NOP};

static u32 hits(u64 spsr, u64 mdscr) {
  load_code(nops, 8);
  run_code(spsr, mdscr, 0, 0);
  return noted;
}

static void breakpoints(void) {
  title("breakpoint at EL0");
  BREAK(0, CODE + 8, BREAKPOINT);
  hits(AT_EL0, MDSCR_MDE);
  print_notes("");
  title("the same code at another address");
  BREAK(0, CODE + 8, BREAKPOINT);
  hits(AT_EL1, MDSCR_MDE | MDSCR_KDE);
  print_notes("");
  title("breakpoint at EL1");
  BREAK(0, (u64)code + 8, BREAKPOINT);
  hits(AT_EL1, MDSCR_MDE | MDSCR_KDE);
  print_notes("");
  title("what masks it: MDE, KDE, D");
  print_decimal(hits(AT_EL1, MDSCR_MDE));
  print_decimal(hits(AT_EL1, MDSCR_KDE));
  print_decimal(hits(AT_EL1 | PSTATE_D, MDSCR_MDE | MDSCR_KDE));
  print_decimal(hits(AT_EL1, MDSCR_MDE | MDSCR_KDE));
  BREAK(0, CODE + 8, BREAKPOINT);
  print_decimal(hits(AT_EL0, MDSCR_KDE));
  print_decimal(hits(AT_EL0, MDSCR_MDE));
  print_decimal(hits(AT_EL0 | PSTATE_D, MDSCR_MDE));
  print_decimal(hits(AT_EL0 & ~PSTATE_D, MDSCR_MDE | MDSCR_KDE));
  BREAK(0, CODE + 8, BREAKPOINT & ~ENABLE);
  print_decimal(hits(AT_EL0, MDSCR_MDE));
  print("\n");

  title("all of them, first and last instruction");
  BREAK(0, CODE, BREAKPOINT);
  BREAK(1, CODE + 4, BREAKPOINT);
  BREAK(2, CODE + 12, BREAKPOINT);
  BREAK(3, CODE + 16, BREAKPOINT);
  BREAK(4, CODE + 20, BREAKPOINT);
  BREAK(5, CODE + 28, BREAKPOINT);
  hits(AT_EL0, MDSCR_MDE);
  print_notes("");
  all_off();

  title("before what the instruction does: SVC, BRK, undefined, a load that faults, a branch");
  BREAK(0, CODE, BREAKPOINT);
  BREAK(1, CODE + 4, BREAKPOINT);
  BREAK(2, CODE + 8, BREAKPOINT);
  BREAK(3, CODE + 12, BREAKPOINT);
  BREAK(4, CODE + 16, BREAKPOINT);
  RUN(AT_EL0, MDSCR_MDE, 0, 0, SVC(1), 0xd4200020, 0x0000beef, 0xf9400001, 0x14000002, SVC(2), NOP);
  print_notes("");
  all_off();
  title("the target of branches: B, BR, RET, CBZ, BL");
  for (u32 i = 0; i < 5; i++) {
    BREAK(0, CODE + 8, BREAKPOINT);
    static const u32 branches[] = {0x14000002, 0xd61f0000, 0xd65f0000, 0xb400005f, 0x94000002};
    u32 words[] = {branches[i], NOP, NOP, NOP};
    load_code(words, 4);
    run_code(AT_EL0, MDSCR_MDE, CODE + 8, 0);
    print_notes("");
  }

  title("levels: PMC, HMC, SSC at EL0 and at EL1");
  for (u32 ssc = 0; ssc < 4; ssc++) {
    for (u32 hmc = 0; hmc < 2; hmc++)
      for (u32 pmc = 0; pmc < 4; pmc++) {
        u32 control = ENABLE | BAS(15) | PRIVILEGE(pmc) | (hmc ? HMC : 0) | SSC(ssc);
        BREAK(0, CODE + 8, control);
        print_decimal(hits(AT_EL0, MDSCR_MDE));
        BREAK(0, (u64)code + 8, control);
        print_decimal(hits(AT_EL1, MDSCR_MDE | MDSCR_KDE));
        print(" ");
      }
    print("\n");
  }
  all_off();

  title("in a loop, and after the word has changed");
  counted_class = 0x30;
  BREAK(2, CODE + 4, BREAKPOINT);
  /* Skipped where the breakpoint hits: X0 stays what it is. */
  u64 x0 = RUN(AT_EL0, MDSCR_MDE, 0, 1000, NOP, 0x91000400 /* add x0, x0, #1 */, 0xf1000421 /* subs x1, x1, #1 */,
               0x54ffffc1 /* b.ne -8 */);
  print_decimal(counted);
  print(" ");
  print_decimal(x0);
  code[1] = 0x91000800; /* add x0, x0, #2 */
  sync_code(code + 1);
  x0 = run_code(AT_EL0, MDSCR_MDE, 0, 1000);
  print(" ");
  print_decimal(counted);
  print(" ");
  print_decimal(x0);
  BREAK(2, CODE + 4, 0);
  x0 = run_code(AT_EL0, MDSCR_MDE, 0, 1000);
  print(" ");
  print_decimal(counted);
  print(" ");
  print_decimal(x0);
  print("\n");
  counted_class = 0;

  title("enabled by the program itself");
  RUN(AT_EL1, MDSCR_MDE | MDSCR_KDE, (u64)code + 12, BREAKPOINT, 0xd5100080 /* msr dbgbvr0_el1, x0 */,
      0xd51000a1 /* msr dbgbcr0_el1, x1 */, 0xd5033fdf /* isb */, NOP, 0xd51000bf /* msr dbgbcr0_el1, xzr */,
      0xd5033fdf, NOP);
  print_notes("");
  all_off();
  title("D cleared, set, cleared by the program itself");
  BREAK(0, (u64)code + 4, BREAKPOINT);
  BREAK(1, (u64)code + 16, BREAKPOINT);
  BREAK(2, (u64)code + 28, BREAKPOINT);
  RUN(AT_EL1 | PSTATE_D, MDSCR_MDE | MDSCR_KDE, 0, 0, 0xd50348ff /* msr daifclr, #8 */, NOP, NOP, 0xd50348df /* msr daifset, #8 */,
      NOP, NOP, 0xd50348ff, NOP);
  print_notes("");
  all_off();

  /* BAS chooses among halfwords where there is AArch32, as in QEMU's CPUs. */
  title("~BAS");
  for (u32 bas = 0; bas < 16; bas++) {
    BREAK(0, CODE + 8, ENABLE | FROM_BOTH | BAS(bas));
    u32 count = hits(AT_EL0, MDSCR_MDE);
    print(bas ? "" : "~");
    print_decimal(count);
  }
  print("\n");
  all_off();
  /* QEMU 7.2 doesn't look. */
  title("~at an address that can't be fetched");
  BREAK(0, 0x7000000000, BREAKPOINT);
  RUN(AT_EL0, MDSCR_MDE, 0x7000000000, 0, 0xd61f0000);
  print("~");
  print_hex(notes[0].esr >> 26);
  print("\n");
  all_off();
}

/* ---- contexts */

static void contexts(void) {
  title("breakpoint linked to a context");
  for (u32 lbn = 0; lbn < 8; lbn++) {
    BREAK(4, 0x1234, ENABLE | BAS(15) | BT(3));
    BREAK(5, 0xabcd, ENABLE | BAS(15) | BT(3));
    BREAK(0, CODE + 8, BREAKPOINT | BT(1) | LBN(lbn));
    for (u32 i = 0; i < 3; i++) {
      static const u64 values[] = {0x1234, 0xabcd, 0};
      WRITE(contextidr_el1, values[i]);
      print_decimal(hits(AT_EL0, MDSCR_MDE));
    }
    print(" ");
  }
  print("\nits type, its enable, its own level\n");
  WRITE(contextidr_el1, 0x1234);
  static const u32 controls[] = {ENABLE | BT(3), BT(3), ENABLE | BT(2), ENABLE | BT(1), ENABLE | BT(0), ENABLE | BT(3) | FROM_BOTH,
                                 ENABLE | BT(3) | HMC | SSC(3)};
  for (u32 i = 0; i < ARRAY_LENGTH(controls); i++) {
    /* QEMU 7.2 hasn't got breakpoints on a context alone. */
    BREAK(4, 0x1234, controls[i] | BAS(15));
    BREAK(0, CODE + 8, BREAKPOINT | BT(1) | LBN(4));
    print_decimal(hits(AT_EL0, MDSCR_MDE));
  }
  print("\n");
  all_off();

  title("watchpoint linked to a context");
  BREAK(5, 0x777, ENABLE | BAS(15) | BT(3));
  for (u32 lbn = 4; lbn < 6; lbn++)
    for (u32 i = 0; i < 2; i++) {
      WATCH(1, DATA, WATCHPOINT | ACCESSES | WT | LBN(lbn));
      WRITE(contextidr_el1, i ? 0x777 : 0x778);
      RUN(AT_EL0, MDSCR_MDE, DATA, 0, 0xf9400001);
      print_decimal(noted);
    }
  print("\n");
  all_off();

  title("~breakpoint on a context");
  WRITE(contextidr_el1, 0x55);
  BREAK(4, 0x55, ENABLE | FROM_EL0 | BAS(15) | BT(2));
  static const u32 words[] = {NOP, 0x14000002, NOP, SVC(1), NOP};
  load_code(words, 5);
  stays_at_breakpoints = 1;
  run_code(AT_EL0, MDSCR_MDE, 0, 0);
  print_notes("~");
  BREAK(4, 0x55, ENABLE | FROM_EL0 | BAS(15) | BT(2));
  WRITE(contextidr_el1, 0x56);
  run_code(AT_EL0, MDSCR_MDE, 0, 0);
  print_notes("~");
  /* Begins in the middle. */
  BREAK(4, 0x55, ENABLE | FROM_BOTH | BAS(15) | BT(2));
  RUN(AT_EL1, MDSCR_MDE | MDSCR_KDE, 0x55, 0, NOP, 0xd518d020 /* msr contextidr_el1, x0 */, 0xd5033fdf, NOP);
  print_notes("~");
  stays_at_breakpoints = 0;
  WRITE(contextidr_el1, 0);
  all_off();
}

/* ---- watchpoints */

#define X(mark, name, ...) {mark, name, {__VA_ARGS__}}
static const struct access {
  const char *mark, *name;
  u32 words[2];
} ACCESSES_OF[] = {
    X("", "ldrb", 0x39400002), X("", "ldrh", 0x79400002), X("", "ldr w", 0xb9400002), X("", "ldr", 0xf9400002),
    X("", "ldrsw", 0xb9800002), X("", "ldp", 0xa9400c02), X("", "ldp w", 0x29400c02), X("", "ldnp", 0xa8400c02),
    X("", "ldtr", 0xf8400802), X("", "ldar", 0xc8dffc02), X("", "ldxr", 0xc85f7c02), X("", "ldaxr", 0xc85ffc02),
    X("", "ldxp", 0xc87f0c02), X("", "ldr q", 0x3dc00002), X("", "ldr d", 0xfd400002), X("", "ldp q", 0xad400c02),
    X("", "ld1.4s", 0x4c407802), X("", "ld4.4s", 0x4c400802), X("", "ld1.s[1]", 0x0d409002), X("", "ld1r", 0x4d40c802),
    X("", "strb", 0x39000002), X("", "strh", 0x79000002), X("", "str w", 0xb9000002), X("", "str", 0xf9000002),
    X("", "stp", 0xa9000c02), X("", "stp w", 0x29000c02), X("", "sttr", 0xf8000802), X("", "stlr", 0xc89ffc02),
    X("", "str q", 0x3d800002), X("", "stp q", 0xad000c02), X("", "st1.4s", 0x4c007802), X("", "st4.4s", 0x4c000802),
    X("", "st1.s[1]", 0x0d009002), X("", "ldr post", 0xf8408402), X("", "str pre", 0xf8008c02),
    /* QEMU 7.2 compares and swaps: it sees a load there, too. */
    X("~", "stxr", 0xc85f7c03, 0xc8047c02), X("~", "stxp", 0xc87f0c02, 0xc8240c02),
    /* Without an exclusive load before it nothing is stored. */
    X("", "stxr alone", 0xd503305f, 0xc8047c02),
    /* QEMU 7.2 reports the byte that is watched, which for DC instructions is the operand. */
    X("", "prfm", 0xf9800000), X("~", "dc zva", 0xd50b7420), X("", "dc cvac", 0xd50b7a20), X("", "dc civac", 0xd50b7e20),
    X("", "ic ivau", 0xd50b7520),
#ifdef CPU_MAX
    X("", "ldadd", 0xf8230002), X("", "ldaddb", 0x38230002), X("", "swpal", 0xf8e38002), X("", "stset", 0xf82330ff - 0xff + 0x1f),
    X("", "cas", 0xc8a27c02 + 0x1000), X("", "casp", 0x48207c02), X("", "ldapr", 0xf8bfc002), X("", "ldapur", 0xd9400002),
    X("", "stlur", 0xd9000002),
#endif
};

static void print_hit(void) {
  if (noted == 0) {
    print(" -");
    return;
  }
  for (u32 i = 0; i < noted; i++) {
    u64 class = notes[i].esr >> 26;
    print(" ");
    if ((class != 0x34 && class != 0x35) || (notes[i].esr & 0x3f) != 0x22) {
      print_hex(notes[i].esr);
      continue;
    }
    print(notes[i].esr & 64 ? "W" : "R");
    print(notes[i].esr & 256 ? "C" : "");
    print("@");
    print_offset(notes[i].far);
  }
}

static void accesses(void) {
  static const u64 starts[] = {DATA + 64, DATA + 64 + 8, DATA + 64 + 4};
  for (u32 k = 0; k < ARRAY_LENGTH(starts); k++) {
    print("accesses to data+0x40; loads, stores, both watched at ");
    print_offset(starts[k]);
    print("\n");
    for (u32 i = 0; i < ARRAY_LENGTH(ACCESSES_OF); i++) {
      print(ACCESSES_OF[i].mark);
      print(ACCESSES_OF[i].name);
      for (u32 lsc = 1; lsc < 4; lsc++) {
        for (u32 n = 0; n < 16; n++) data[8 + n] = 0x0101010101010101ul * n;
        WATCH(0, starts[k], ENABLE | FROM_EL0 | BAS(k == 2 ? 0x0f : 0xff) | lsc << 3);
        load_code(ACCESSES_OF[i].words, ACCESSES_OF[i].words[1] ? 2 : 1);
        u64 x0 = run_code(AT_EL0, MDSCR_MDE, DATA + 64, 0);
        print_hit();
        if (noted && x0 != DATA + 64) print(" changed");
      }
      u64 sum = 0;
      for (u32 n = 0; n < 16; n++) sum = sum * 3 + data[8 + n];
      print(" ");
      print_hex(sum);
      print("\n");
    }
  }
  all_off();
}

static void byte_select(void) {
  static const u32 selects[] = {0x01, 0x80, 0x0f, 0xf0, 0x3c, 0xff, 0x81, 0x00, 0x7e};
  static const u32 loads[] = {0x39400002, 0x79400002, 0xb9400002, 0xf9400002};
  static const u32 stores[] = {0x39000002, 0x79000002, 0xb9000002, 0xf9000002};
  for (u32 unaligned = 0; unaligned < 2; unaligned++)
    for (u32 word = 0; word < 2; word++)
      for (u32 i = 0; i < ARRAY_LENGTH(selects); i++) {
        /* QEMU 7.2 sees bytes beside unaligned accesses. */
        print(unaligned ? "~unaligned, BAS " : "BAS ");
        print_hex(selects[i]);
        print(word ? " of a word" : " of a doubleword");
        for (u32 size = 0; size < 4; size++) {
          const u32 store = i & 1;
          print(" ");
          load_code(store ? stores + size : loads + size, 1);
          for (u64 at = DATA + 248; at < DATA + 266; at += unaligned ? 1 : 1 << size) {
            WATCH(3, DATA + 256 + (word ? 4 : 0), ENABLE | FROM_EL0 | (store ? STORES : LOADS) | BAS(selects[i]));
            run_code(AT_EL0, MDSCR_MDE, at, 0);
            print(noted ? "x" : ".");
            if (noted && (notes[0].far < at || notes[0].far >= at + (1u << size))) print("!");
          }
        }
        print("\n");
      }
  all_off();
}

static void masks(void) {
  title("MASK");
  for (u32 mask = 0; mask < 32; mask++) {
    u64 length = 1ul << mask;
    u64 start = length < 0x1000 ? DATA + 0x800 : DATA & -length;
    print_decimal(mask);
    for (u32 i = 0; i < 5; i++) {
      u64 probes[] = {start - 1, start, start + length - 1, start + length, DATA + 0x10};
      WATCH(2, start, ENABLE | FROM_EL0 | ACCESSES | BAS(0xff) | MASK(mask));
      u64 at = probes[i];
      if (at < DATA || at >= DATA + sizeof(data)) {
        print(" /");
        continue;
      }
      RUN(AT_EL0, MDSCR_MDE, at, 0, 0x39000002);
      print_hit();
    }
    print("\n");
  }
  all_off();
}

static void boundaries(void) {
  title("across pages");
  for (u32 i = 0; i < 4; i++) {
    static const u64 starts[] = {DATA + 0xff8, DATA + 0x1000, DATA + 0xff0, DATA + 0x1008};
    static const u32 words[] = {0xf9000002, 0x3d800002, 0xa9000c02, 0xf9400002, 0x3dc00002, 0xa9400c02};
    for (u32 k = 0; k < ARRAY_LENGTH(words); k++) {
      if (k == 3) print("\n~");
      WATCH(0, starts[i], ENABLE | FROM_EL0 | ACCESSES | BAS(0xff));
      load_code(words + k, 1);
      run_code(AT_EL0, MDSCR_MDE, DATA + 0xffd, 0x1122334455667788);
      print_hit();
    }
    print("\n");
  }
  all_off();
  title("behind faults: unmapped, read-only, misaligned");
  WATCH(0, 0x90000000, ENABLE | FROM_EL0 | ACCESSES | BAS(0xff));
  RUN(AT_EL0, MDSCR_MDE, 0x90000000, 0, 0xf9400002);
  print_hit();
  WATCH(0, CODE + 0x100, ENABLE | FROM_EL0 | ACCESSES | BAS(0xff));
  RUN(AT_EL0, MDSCR_MDE, CODE + 0x100, 0, 0xf9000002);
  print_hit();
  WATCH(0, DATA, ENABLE | FROM_EL0 | ACCESSES | BAS(0xff));
  RUN(AT_EL0, MDSCR_MDE, DATA + 1, 0, 0xc85f7c02);
  print_hit();
  print("\n");
  title("all four; the first one's kind counts");
  WATCH(0, DATA + 24, ENABLE | FROM_EL0 | ACCESSES | BAS(0xff));
  WATCH(1, DATA + 16, ENABLE | FROM_EL0 | STORES | BAS(0xff));
  WATCH(2, DATA + 8, ENABLE | FROM_EL0 | LOADS | BAS(0xf0));
  WATCH(3, DATA, ENABLE | FROM_EL0 | LOADS | BAS(0x80));
  RUN(AT_EL0, MDSCR_MDE, DATA, 0, 0xf9400002, 0xf9400402, 0xf9400802, 0xf9400c02, 0xf9000002, 0xf9000402, 0xf9000802, 0xf9000c02);
  print_notes("");
  all_off();
  title("what masks it: MDE, KDE, D, level, LDTR at EL1");
  for (u32 ssc = 0; ssc < 4; ssc++) {
    for (u32 hmc = 0; hmc < 2; hmc++)
      for (u32 pac = 0; pac < 4; pac++) {
        u32 control = ENABLE | ACCESSES | BAS(0xff) | PRIVILEGE(pac) | (hmc ? HMC : 0) | SSC(ssc);
        WATCH(0, DATA, control);
        RUN(AT_EL0, MDSCR_MDE, DATA, 0, 0xf9400002);
        print_decimal(noted);
        RUN(AT_EL1, MDSCR_MDE | MDSCR_KDE, DATA, 0, 0xf9400002, 0xf8400802);
        print_decimal(noted);
        print(" ");
      }
    print("\n");
  }
  WATCH(0, DATA, WATCHPOINT | ACCESSES);
  RUN(AT_EL1, MDSCR_MDE, DATA, 0, 0xf9400002);
  print_decimal(noted);
  RUN(AT_EL1 | PSTATE_D, MDSCR_MDE | MDSCR_KDE, DATA, 0, 0xf9400002);
  print_decimal(noted);
  RUN(AT_EL1, MDSCR_KDE, DATA, 0, 0xf9400002);
  print_decimal(noted);
  RUN(AT_EL0, MDSCR_KDE, DATA, 0, 0xf9400002);
  print_decimal(noted);
  RUN(AT_EL0, MDSCR_MDE, DATA, 0, 0xf9400002);
  print_decimal(noted);
  print("\n");
  title("at EL1");
  RUN(AT_EL1, MDSCR_MDE | MDSCR_KDE, DATA, 0, 0xf9400002, 0xf9000002);
  print_notes("");
  all_off();
  title("a loop of stores, one of which is watched");
  counted_class = 0x34;
  WATCH(0, DATA + 80, ENABLE | FROM_EL0 | STORES | BAS(0xff));
  for (u32 round = 0; round < 2; round++) {
    u64 x0 = RUN(AT_EL0, MDSCR_MDE, DATA, 400, 0xf8008401 /* str x1, [x0], #8 */, 0xf1000421 /* subs x1, x1, #1 */, 0x54ffffc1);
    print_decimal(counted);
    print(" ");
    print_offset(x0);
    print(" ");
    print_hex(data[10]);
    print("\n");
    WATCH(0, DATA + 80, 0);
  }
  counted_class = 0;
  all_off();
  /* Tags: EL0's data, top byte ignored. QEMU 7.2 compares the tag as well. */
  title("~tagged");
  u64 tcr = READ(tcr_el1);
  WRITE(tcr_el1, tcr | 1ul << 37);
  flush_tlb();
  WATCH(0, DATA, ENABLE | FROM_EL0 | ACCESSES | BAS(0xf0));
  RUN(AT_EL0, MDSCR_MDE, DATA | 0x5aul << 56, 0, 0xf9400002);
  print("~");
  print_hex(noted ? notes[0].esr : 0);
  print(" ");
  print_hex(noted ? notes[0].far : 0);
  print("\n");
  WRITE(tcr_el1, tcr);
  flush_tlb();
  all_off();
  /* The operand of DC ZVA is reported, not the byte; QEMU 7.2 has DC IVAC do nothing. */
  title("~DC");
  WATCH(0, DATA + 64, ENABLE | FROM_BOTH | STORES | BAS(0xff));
  RUN(AT_EL0, MDSCR_MDE, DATA + 64 + 40, 0, 0xd50b7420);
  print_notes("~");
  RUN(AT_EL1, MDSCR_MDE | MDSCR_KDE, DATA + 64 + 40, 0, 0xd5087620 /* dc ivac, x0 */);
  print_notes("~");
  WATCH(0, DATA + 64 + 32, ENABLE | FROM_EL0 | STORES | BAS(0xff));
  title("DC ZVA");
  RUN(AT_EL0, MDSCR_MDE, DATA + 64 + 36, 0, 0xd50b7420);
  print_notes("");
  all_off();
}

/* ---- software step */

static void steps(void) {
  title("step at EL0");
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, DATA, 0, NOP, 0x91000400, 0xf9000001, 0x14000002, NOP, 0xb400007f, NOP, NOP, 0x94000002, NOP, NOP);
  print_notes("");
  title("BR, RET, B.cond not taken and taken, across a page");
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, CODE + 8, CODE + 20, 0xd61f0000, NOP, 0xaa0103fe, 0xd65f03c0, NOP, 0xea1f03ff, 0x54000041, 0x54000040, NOP, NOP);
  print_notes("");
  title("active-pending at once");
  RUN(AT_EL0, MDSCR_SS, 0, 0, NOP, NOP);
  print_notes("");
  title("exclusives");
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, DATA, 0, 0xc85f7c02, 0xc8047c02, 0xc85ffc02, 0xc87f0c02, 0xc8df7c02 | 0x8000, 0x885f7c02, 0x085ffc02, 0x887f0c02, 0xd503305f);
  print_notes("");
#ifdef CPU_MAX
  title("atomics");
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, DATA, 0, 0xf8230002, 0x48607c04 /* caspa */, 0xc8e27c03);
  print_notes("");
#endif
  title("exceptions: SVC, BRK, undefined, trapped, unmapped, misaligned PC");
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, 0x90000000, CODE + 2, NOP, SVC(7), NOP, 0xd4200020, NOP, 0x0000beef, 0xd5381000, 0xf9400002, 0x39000002, NOP);
  print_notes("");
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, CODE + 2, 0, 0xd61f0000);
  /* The handler goes on behind it: at another misaligned address. */
  noted = noted > 3 ? 3 : noted;
  print_notes("");
  title("SVC whose handler turns it off");
  mdscr_after_svc = MDSCR_MDE;
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, 0, 0, NOP, SVC(7), NOP, NOP);
  mdscr_after_svc = 0;
  print_notes("");
  title("SVC whose handler turns it on");
  mdscr_after_svc = MDSCR_SS;
  RUN(AT_EL0 | PSTATE_SS, 0, 0, 0, NOP, SVC(7), NOP, NOP);
  mdscr_after_svc = 0;
  print_notes("");
  title("WFE, YIELD, ISB, flags, SIMD");
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, DATA, 5, 0xd503205f, 0xd503203f, 0xd5033fdf, 0xf100083f, 0xd53b4202, 0x3dc00002, 0x4ea28442);
  print_notes("");
  title("with a breakpoint and a watchpoint");
  BREAK(3, CODE + 4, BREAKPOINT);
  WATCH(3, DATA, WATCHPOINT | ACCESSES);
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS | MDSCR_MDE, DATA, 0, NOP, NOP, 0xf9400002, NOP);
  print_notes("");
  all_off();
  title("a loop");
  counted_class = 0x32;
  u64 x0 = RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, 0, 500, 0x91000400, 0xf1000421, 0x54ffffc1);
  print_decimal(counted);
  print(" ");
  print_decimal(x0);
  print("\n");
  counted_class = 0;

  title("step at EL1");
  RUN(AT_EL1 | PSTATE_SS, MDSCR_SS | MDSCR_KDE, 0, 0, NOP, 0x91000400, SVC(3), 0xd5381000, NOP);
  print_notes("");
  title("not with D, not without KDE, not without SS");
  RUN(AT_EL1 | PSTATE_SS | PSTATE_D, MDSCR_SS | MDSCR_KDE, 0, 0, NOP, NOP);
  print_decimal(noted);
  RUN(AT_EL1 | PSTATE_SS, MDSCR_SS, 0, 0, NOP, NOP);
  print_decimal(noted);
  RUN(AT_EL0 | PSTATE_SS, MDSCR_KDE | MDSCR_MDE, 0, 0, NOP, NOP);
  print_decimal(noted);
  print("\n");
  title("D cleared: pending at once");
  RUN(AT_EL1 | PSTATE_SS | PSTATE_D, MDSCR_SS | MDSCR_KDE, 0, 0, NOP, 0xd50348ff, NOP, NOP);
  print_notes("");
  /* QEMU 7.2 takes the step's exception although it has been masked. */
  title("~D set in between");
  RUN(AT_EL1 | PSTATE_SS, MDSCR_SS | MDSCR_KDE, 0, 0, NOP, 0xd50348df, NOP, NOP, 0xd50348ff, NOP);
  print_notes("~");
  title("a firmware call");
  RUN(AT_EL1 | PSTATE_SS, MDSCR_SS | MDSCR_KDE, 0x84000000, 0, NOP, 0xd4000002, NOP);
  print_notes("");
  title("ERET from EL1 to EL1 and to EL0");
  for (u32 el0 = 0; el0 < 2; el0++) {
    /* Begins with D set: exceptions on the way would overwrite ELR and SPSR. */
    static const u32 returning[] = {0xd5184020 /* msr elr_el1, x0 */, 0xd5184001 /* msr spsr_el1, x1 */, 0xd69f03e0, NOP, NOP, NOP};
    load_code(returning, 6);
    run_code(AT_EL1 | PSTATE_D, MDSCR_SS | MDSCR_KDE, el0 ? CODE + 16 : (u64)code + 16, (el0 ? AT_EL0 : AT_EL1) | PSTATE_SS);
    print_notes("");
  }
  title("illegal state that is stepped");
  RUN(AT_EL0 | PSTATE_SS | 1ul << 20, MDSCR_SS, 0, 0, NOP, NOP, NOP);
  print_notes("");
}

/* ---- locks */

static void locks(void) {
  BREAK(0, CODE + 8, BREAKPOINT);
  /* QEMU 7.2 looks at a bit of OSLSR_EL1 that isn't the lock. */
  title("~OS Lock: breakpoint, watchpoint, step; BRK");
  WRITE(oslar_el1, 1);
  u32 count = hits(AT_EL0, MDSCR_MDE);
  print("~");
  print_decimal(count);
  WATCH(0, DATA, WATCHPOINT | ACCESSES);
  RUN(AT_EL0, MDSCR_MDE, DATA, 0, 0xf9400002);
  print_decimal(noted);
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, DATA, 0, NOP);
  print_decimal(noted);
  RUN(AT_EL0, 0, DATA, 0, 0xd4200020);
  print_decimal(noted);
  print("\n");
  WRITE(oslar_el1, 0);
  print_decimal(hits(AT_EL0, MDSCR_MDE));
  print("\n");
  title("OS Double Lock");
  WRITE(osdlr_el1, 1);
  print_decimal(hits(AT_EL0, MDSCR_MDE));
  RUN(AT_EL0, MDSCR_MDE, DATA, 0, 0xf9400002);
  print_decimal(noted);
  RUN(AT_EL0 | PSTATE_SS, MDSCR_SS, DATA, 0, NOP);
  print_decimal(noted);
  WRITE(osdlr_el1, 0);
  print_decimal(hits(AT_EL0, MDSCR_MDE));
  print("\n");
  all_off();
}

int main(void) {
  u64 *level1 = (u64 *)READ(ttbr0_el1);
  u64 *level3 = tables + 512;
  level1[2] = (u64)tables | 3;
  tables[0] = (u64)level3 | 3;
  const u64 page = 1ul << 53 | 1 << 10 | 3 << 8 | 1 << 2 | 3;
  level3[0] = (u64)code | page | 3 << 6;
  for (u64 i = 0; i < 2; i++) level3[16 + i] = ((u64)data + i * 4096) | page | 1ul << 54 | 1 << 6;
  flush_tlb();
  WRITE(sctlr_el1, READ(sctlr_el1) | 1ul << 26);
  WRITE(cpacr_el1, 3ul << 20);
  WRITE(vbar_el1, debug_vectors);
  WRITE(oslar_el1, 0);

  registers();
  breakpoints();
  contexts();
  accesses();
  byte_select();
  masks();
  boundaries();
  steps();
  locks();
  print("done\n");
  return 0;
}
