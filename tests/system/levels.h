/*
 * What programs of EL2 share: running single instructions at lower levels, with translation off there or as the program
 * has set it up, and telling where their exceptions went.
 */
#include "guest.h"

/* EL1's registers, which the names mean at EL2 unless HCR_EL2.E2H is set. */
#ifdef HOST
#define ESR_OF_EL1 s3_5_c5_c2_0
#define ELR_OF_EL1 s3_5_c4_c0_1
#define SPSR_OF_EL1 s3_5_c4_c0_0
#define FAR_OF_EL1 s3_5_c6_c0_0
#define VBAR_OF_EL1 s3_5_c12_c0_0
#define SCTLR_OF_EL1 s3_5_c1_c0_0
#else
#define ESR_OF_EL1 esr_el1
#define ELR_OF_EL1 elr_el1
#define SPSR_OF_EL1 spsr_el1
#define FAR_OF_EL1 far_el1
#define VBAR_OF_EL1 vbar_el1
#define SCTLR_OF_EL1 sctlr_el1
#endif
/* The names above expand before they get to READ and WRITE. */
#define GET(name) READ_(name)
#define READ_(name) READ(name)
#define SET(name, value) WRITE_(name, value)
#define WRITE_(name, value) WRITE(name, value)

/* PSTATE of EL1, whatever the program is. */
#define GUEST_EL1T 0x3c4
#define GUEST_EL1H 0x3c5

#define ENCODING(op0, op1, crn, crm, op2) \
  ((u32)(op0) << 19 | (u32)(op1) << 16 | (u32)(crn) << 12 | (u32)(crm) << 8 | (u32)(op2) << 5)
/* X3 gets or gives the value. */
#define MRS(...) (0xd5200003 | ENCODING(__VA_ARGS__))
#define MSR(...) (0xd5000003 | ENCODING(__VA_ARGS__))
#define SYS(...) (0xd5000003 | ENCODING(1, __VA_ARGS__))
#define SYSL(...) (0xd5200003 | ENCODING(1, __VA_ARGS__))
#define IS_MSR(word) (((word) & 0xfff00000) == 0xd5100000)

#define NOP 0xd503201f
#define WFE 0xd503205f
#define WFI 0xd503207f
#define ERET 0xd69f03e0
#define RET 0xd65f03c0
#define HVC(imm) (0xd4000002 | (u32)(imm) << 5)
#define SMC(imm) (0xd4000003 | (u32)(imm) << 5)
#define SVC(imm) (0xd4000001 | (u32)(imm) << 5)
#define BRK(imm) (0xd4200000 | (u32)(imm) << 5)
#define FMOV_X3_D0 0x9e660003
#define MOV_X0_X3 0xaa0303e0
#define MOV_X3_X1 0xaa0103e3
#define MOV_X0_SP 0x910003e0

#define RW (1ul << 31)
#define FMO (1ul << 3)
#define IMO (1ul << 4)
#define AMO (1ul << 5)
#define VF (1ul << 6)
#define VI (1ul << 7)
#define VSE (1ul << 8)
#define TWI (1ul << 13)
#define TWE (1ul << 14)
#define TSC (1ul << 19)
#define TIDCP (1ul << 20)
#define TGE (1ul << 27)
#define TDZ (1ul << 28)
#define HCD (1ul << 29)

#define SCTLR_EL1 0x30d00980ul
#define UCI (1ul << 26)
#define NTWE (1ul << 18)
#define NTWI (1ul << 16)
#define UCT (1ul << 15)
#define DZE (1ul << 14)
#define UMA (1ul << 9)

#define LEAVE 0xe0
#define VECTOR 0x40

static u64 data[64] __attribute__((aligned(64), unused));
static u32 code[16] __attribute__((aligned(64)));
static u32 el1_vectors[16][32] __attribute__((aligned(2048)));
static u64 stack[64] __attribute__((aligned(64)));


static inline void sync_range(const void *from, u64 bytes) {
  for (u64 at = 0; at < bytes; at += 64) sync_code((const u8 *)from + at);
}

/* EL1's vectors go on to EL2 by HVC, or by SMC where that is trapped and HVC is not there. */
static inline void use_vectors(u32 instruction) {
  for (u32 i = 0; i < 16; i++) el1_vectors[i][0] = instruction | (VECTOR + i) << 5;
  sync_range(el1_vectors, sizeof(el1_vectors));
  SET(VBAR_OF_EL1, el1_vectors);
}

/* What comes before the word, instead of the move that gives X3 its value. */
static u32 first;

/* Runs a word at the level of `spsr`, with X0, X1 and X3. X0 is what X3 was after it. */
static inline u64 run_below(u32 word, u64 spsr, u64 x0, u64 x1) {
  code[0] = first ? first : MOV_X3_X1;
  code[1] = word;
  code[2] = MOV_X0_X3;
  code[3] = SVC(LEAVE);
  sync_range(code, 16);
  taken.count = 0;
  return el0_call((u64)code, x0, (u64)(stack + 32), spsr, (u64)(code + 2), x1);
}

/* The same at EL2. */
static inline u64 run_here(u32 word, u64 x0, u64 x1) {
  code[0] = MOV_X3_X1;
  code[1] = word;
  code[2] = MOV_X0_X3;
  code[3] = RET;
  sync_range(code, 16);
  taken.count = 0;
  return ((op *)code)(x0, x1);
}

static inline u32 is_from_vector(void) {
  u64 class = taken.esr >> 26;
  return taken.vector % 4 == 0 && (class == 0x16 || class == 0x17) && (taken.esr & 0xfff0) == VECTOR;
}

/* Nothing happened but the way back. */
static inline u32 is_quiet(void) {
  if (taken.count == 0) return 1;
  if (taken.vector != 8) return 0;
  if (taken.esr == (0x56000000 | LEAVE)) return 1;
  return is_from_vector() && GET(ESR_OF_EL1) == (0x56000000 | LEAVE);
}

static inline void print_registers(u64 vector, u64 esr, u64 elr, u64 spsr, u64 far, u64 pc) {
  u64 class = esr >> 26;
  if (class == 0x24 || class == 0x25) esr &= ~DATA_ABORT_DETAILS;
  print(" vector ");
  print_hex(vector * 0x80);
  if (vector % 4 == 0 || vector % 4 == 3) {
    print(" ESR ");
    print_hex(esr);
  }
  print(" ELR ");
  if (elr - pc < 64) print("+");
  print_hex(elr - pc < 64 ? elr - pc : elr);
  print(" SPSR ");
  print_hex(spsr);
  if (vector % 4 == 0 && (class == 0x20 || class == 0x21 || class == 0x22 || class == 0x24 || class == 0x25)) {
    print(" FAR ");
    print_hex(far);
  }
}

static inline void print_outcome(u64 pc, u64 result) {
  if (is_quiet()) {
    print(" ok ");
    print_hex(result);
  } else if (is_from_vector()) {
    print(" EL1");
    print_registers(taken.esr & 15, GET(ESR_OF_EL1), GET(ELR_OF_EL1), GET(SPSR_OF_EL1), GET(FAR_OF_EL1), pc);
  } else {
    print(" EL2");
    print_registers(taken.vector, taken.esr, taken.elr, taken.spsr, taken.far, pc);
  }
  print("\n");
}

static inline void below(const char *name, u32 word, u64 spsr, u64 x0, u64 x1) {
  u64 result = run_below(word, spsr, x0, x1);
  print(name);
  print_outcome((u64)(code + 1), result);
}

static inline void here(const char *name, u32 word, u64 x0, u64 x1) {
  u64 result = run_here(word, x0, x1);
  print(name);
  print_outcome((u64)(code + 1), result);
}
