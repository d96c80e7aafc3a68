/* Address spaces by ASID: more of them than are kept, TLB maintenance by ASID and address, code seen from several. */
#include "guest.h"

/* TCR_EL1 as start.S sets it, for TTBR0. */
#define TCR_LOW (25ul | (1 << 8) | (1 << 10) | (3 << 12) | (2ul << 32))
/* 39 bits of addresses, 4K granule, ASIDs in TTBR1. */
#define TCR_HIGH ((25ul << 16) | (1ul << 22) | (1ul << 24) | (1ul << 26) | (3ul << 28) | (2ul << 30))
#define TCR_AS (1ul << 36)

#define TABLE_OR_PAGE 3ul
#define BLOCK 1ul
#define LEAF ((1ul << 2) | (3ul << 8) | (1ul << 10) | (1ul << 11))
#define READ_ONLY (1ul << 7)

#define SPACES 40
#define TARGET 0x44000000ul
#define LARGE_TARGET 0x45000000ul
/* A page, a block of 2 MiB nearby, another far from it, a page that is executed. */
#define PAGE 0xffffff8000201000ul
#define NEAR 0xffffff8000400000ul
#define FAR 0xffffff9000000000ul
#define CODE 0xffffff8000203000ul

#define RET 0xd65f03c0u
#define MOV(value) (0x52800000u | ((u32)(value) << 5))

static u64 tables[SPACES][5][512] __attribute__((aligned(4096)));

static u64 page_of(u32 space) { return TARGET + space * 4096; }
static u64 *level3_of(u32 space) { return tables[space][2]; }
static u64 *level2_of(u32 space) { return tables[space][1]; }

static void build(u32 space) {
  u64 *root = tables[space][0];
  root[0] = (u64)level2_of(space) | TABLE_OR_PAGE;
  level2_of(space)[1] = (u64)level3_of(space) | TABLE_OR_PAGE;
  level3_of(space)[1] = page_of(space) | LEAF | TABLE_OR_PAGE;
  level2_of(space)[2] = (LARGE_TARGET + space % 4 * 0x200000) | LEAF | BLOCK;
  root[64] = (u64)tables[space][3] | TABLE_OR_PAGE;
  tables[space][3][0] = (LARGE_TARGET + space % 4 * 0x200000) | LEAF | BLOCK;
}

static void use(u64 asid, u32 space) { WRITE(ttbr1_el1, (u64)tables[space][0] | asid << 48); }

static u64 value_at(u64 va) { return *(volatile u64 *)va; }

static void show(const char *what, u64 value) {
  print(what);
  print(" ");
  print_hex(value);
  print("\n");
}

static void tlbi_asid(u64 asid) {
  asm volatile("dsb ishst; tlbi aside1, %0; dsb ish; isb" ::"r"(asid << 48) : "memory");
}
static void tlbi_address(u64 asid, u64 va) {
  asm volatile("dsb ishst; tlbi vae1, %0; dsb ish; isb" ::"r"(asid << 48 | (va >> 12 & 0xffffffffffful)) : "memory");
}
static void tlbi_address_of_all(u64 va) {
  asm volatile("dsb ishst; tlbi vaae1is, %0; dsb ish; isb" ::"r"(va >> 12 & 0xffffffffffful) : "memory");
}

static void all_spaces(const char *title) {
  u64 sum = 0, wrong = 0;
  for (u32 round = 0; round < 3; round++)
    for (u32 space = 0; space < SPACES; space++) {
      use(space + 1, space);
      u64 value = value_at(PAGE) ^ value_at(NEAR) ^ value_at(FAR);
      if (value != 0x1000 + space) wrong++;
      sum += value;
    }
  print(title);
  print(": wrong ");
  print_decimal(wrong);
  show(", sum", sum);
}

/* The page is changed, other spaces are looked at in between, and maintenance comes while another one is in use. */
static void change_page(const char *title, u32 space, u64 target, void (*maintain)(u32)) {
  level3_of(space)[1] = target | LEAF | TABLE_OR_PAGE;
  maintain(space);
  use(space + 1, space);
  show(title, value_at(PAGE));
}
static void by_asid(u32 space) { tlbi_asid(space + 1); }
static void by_address(u32 space) { tlbi_address(space + 1, PAGE); }
static void by_any_address(u32 space) { (void)space; tlbi_address_of_all(PAGE); }
static void all(u32 space) { (void)space; flush_tlb(); }

void on_irq(u64 vector) { (void)vector; }

int main(void) {
  for (u32 space = 0; space < SPACES; space++) {
    build(space);
    *(u64 *)page_of(space) = 0x1000 + space;
  }
  for (u32 n = 0; n < 4; n++) *(u64 *)(LARGE_TARGET + n * 0x200000) = 0x10000 * (n + 1);
  use(1, 0);
  WRITE(tcr_el1, TCR_LOW | TCR_HIGH);
  flush_tlb();
  all_spaces("forty spaces");

  use(2, 1);
  change_page("by ASID, of a space in use", 1, page_of(10), by_asid);
  change_page("by ASID, of another space", 5, page_of(11), by_asid);
  change_page("by ASID, of one not seen for long", 30, page_of(12), by_asid);
  change_page("by address, of a space in use", 30, page_of(13), by_address);
  change_page("by address, of another space", 5, page_of(14), by_address);
  change_page("by address of any space", 1, page_of(15), by_any_address);
  change_page("everything", 30, page_of(16), all);
  use(2, 1);
  show("and the others as before", value_at(PAGE));

  /* Blocks: an address that was not the one looked at. */
  for (u32 far = 0; far < 2; far++) {
    u64 va = far ? FAR : NEAR;
    u64 *entry = far ? &tables[3][3][0] : &level2_of(3)[2];
    use(4, 3);
    show("a block", value_at(va));
    *entry = 0;
    use(5, 4);
    tlbi_address(4, va + 0x123000);
    use(4, 3);
    try_el1("removed", op_ldr, va, 0);
    *entry = (LARGE_TARGET + 0x200000) | LEAF | BLOCK;
    tlbi_address(4, va);
    show("another block", value_at(va));
  }

  /* A page written through one space is executed in another, and written again. */
  level3_of(6)[3] = page_of(20) | LEAF | TABLE_OR_PAGE;
  level3_of(7)[3] = page_of(20) | LEAF | READ_ONLY | TABLE_OR_PAGE;
  tlbi_asid(7);
  tlbi_asid(8);
  for (u32 value = 1; value < 4; value++) {
    use(7, 6);
    ((volatile u32 *)CODE)[0] = MOV(value);
    ((volatile u32 *)CODE)[1] = RET;
    sync_code((void *)CODE);
    use(8, 7);
    show("code of another space returns", guarded_call(CODE, 0));
  }

  /* ASIDs of 16 bits differ in their upper half, too. */
  WRITE(tcr_el1, TCR_LOW | TCR_HIGH | TCR_AS);
  flush_tlb();
  for (u32 round = 0; round < 2; round++) {
    use(0x0102, 8);
    show("ASID 0x0102", value_at(PAGE));
    use(0x0202, 9);
    show("ASID 0x0202", value_at(PAGE));
  }
  level3_of(8)[1] = page_of(21) | LEAF | TABLE_OR_PAGE;
  tlbi_asid(0x0102);
  use(0x0102, 8);
  show("ASID 0x0102 changed", value_at(PAGE));

  /* TCR_EL1.A1: the ASID is TTBR0's. */
  u64 low = READ(ttbr0_el1);
  WRITE(tcr_el1, TCR_LOW | (TCR_HIGH & ~(1ul << 22)));
  for (u32 round = 0; round < 2; round++)
    for (u32 space = 10; space < 12; space++) {
      WRITE(ttbr1_el1, tables[space][0]);
      WRITE(ttbr0_el1, low | (u64)(space + 50) << 48);
      if (!round) flush_tlb();
      show("ASID in TTBR0", value_at(PAGE));
    }
  print("end\n");
  return 0;
}
