/* Stage 1 translation: granules, levels, faults by level, hierarchical permissions, AT. */
#include "guest.h"

/* The Cortex-A57 has no 16K granule: a run of its own. */
#ifndef GRANULE_16K
#define GRANULE_16K 0
#endif
/* What differs between our models: a run of its own, too. */
#ifndef OF_MODEL
#define OF_MODEL 0
#endif

/* TCR_EL1 as start.S sets it, without EPD1. */
#define TCR_LOW (25ul | (1 << 8) | (1 << 10) | (3 << 12) | (2ul << 32))
#define TCR_TBI1 (1ul << 38)
#define TCR_EPD1 (1ul << 23)
#define TCR_HA (1ul << 39)
#define TCR_HD (1ul << 40)
#define TCR_HPD1 (1ul << 42)

#define VALID 1ul
#define TABLE_OR_PAGE 3ul
#define ATTR(n) ((u64)(n) << 2)
#define AP(n) ((u64)(n) << 6)
#define INNER (3ul << 8)
#define AF (1ul << 10)
#define NG (1ul << 11)
#define DBM (1ul << 51)
#define CONTIGUOUS (1ul << 52)
#define PXN (1ul << 53)
#define UXN (1ul << 54)
#define PXNTABLE (1ul << 59)
#define UXNTABLE (1ul << 60)
#define APTABLE(n) ((u64)(n) << 61)
#define LEAF (ATTR(1) | INNER | AF)

#define WXN (1ul << 19)

/* Physical memory of its own in every block: 64 MiB from RAM's start, within all block sizes. */
#define TARGET 0x44000000ul

/* A physical address between devices. */
#define NOTHING 0x0b000000ul

/* Descriptor tables, 64 KiB each whatever the granule. */
static u64 tables[16][8192] __attribute__((aligned(65536)));
static u32 tables_used;

struct space {
  u32 grain; /* log2 of the granule */
  u32 size;  /* T1SZ */
  u32 start; /* level */
  u64 *root;
};

static u32 shift_of(const struct space *space, u32 level) {
  return (space->grain - 3) * (4 - level) + 3;
}

static u64 *new_table(void) {
  u64 *table = tables[tables_used++];
  for (u32 i = 0; i < 8192; i++) table[i] = 0;
  return table;
}

static struct space make_space(u32 grain, u32 size) {
  tables_used = 0;
  return (struct space){grain, size, 4 - (64 - size - 4) / (grain - 3), new_table()};
}

static u64 *entry_of(const struct space *space, u64 va, u32 level) {
  u64 *table = space->root;
  for (u32 at = space->start;; at++) {
    u64 bits = at == space->start ? 64 - space->size - shift_of(space, at) : space->grain - 3;
    u64 *entry = table + (va >> shift_of(space, at) & ((1ul << bits) - 1));
    if (at == level) return entry;
    if (!(*entry & 1)) *entry = (u64)new_table() | TABLE_OR_PAGE;
    table = (u64 *)(*entry & 0x0000fffffffff000);
  }
}

/* Maps the address at `level` to TARGET's block with the attributes. */
static u64 *map(const struct space *space, u64 va, u32 level, u64 attributes) {
  u64 *entry = entry_of(space, va, level);
  u64 mask = (1ul << shift_of(space, level)) - 1;
  *entry = (TARGET & ~mask) | attributes | (level == 3 ? TABLE_OR_PAGE : VALID);
  return entry;
}

static void use(const struct space *space, u64 more) {
  u64 tg1 = space->grain == 12 ? 2 : space->grain == 14 ? 1 : 3;
  WRITE(ttbr1_el1, space->root);
  WRITE(tcr_el1, TCR_LOW | ((u64)space->size << 16) | (1ul << 24) | (1ul << 26) | (3ul << 28) | (tg1 << 30) | more);
  flush_tlb();
}

/* A high address that has TARGET's offset in blocks of the level. */
static u64 high_address(const struct space *space, u32 level) {
  u64 mask = (1ul << shift_of(space, level)) - 1;
  u64 top = ~0ul << (64 - space->size);
  return (top | (((1ul << (63 - space->size)) - 1) & ~mask)) | (TARGET & mask);
}

static void address_translation(const char *name, u64 va, u32 which) {
  switch (which) {
    case 0: asm volatile("at s1e1r, %0; isb" ::"r"(va)); break;
    case 1: asm volatile("at s1e1w, %0; isb" ::"r"(va)); break;
    case 2: asm volatile("at s1e0r, %0; isb" ::"r"(va)); break;
    default: asm volatile("at s1e0w, %0; isb" ::"r"(va)); break;
  }
  print(name);
  print(" PAR ");
  /* NS is unknown without a Secure state. */
  print_hex(READ(par_el1) & ~(1ul << 9));
  print("\n");
}

static void title(const char *what, const struct space *space, u32 level) {
  print(what);
  print(" granule ");
  print_decimal(1u << (space->grain - 10));
  print("K T1SZ ");
  print_decimal(space->size);
  print(" level ");
  print_decimal(level);
  print("\n");
}

static void try_fetch(const char *name, u64 va) {
  taken.count = 0;
  u64 result = guarded_call(va, 0x77);
  report(name, va, result);
}

static void all_accesses(u64 va) {
  try_el1("ldr", op_ldr, va, 0);
  try_el1("ldrb", op_ldrb, va + 5, 0);
  try_el1("str", op_str, va + 8, 0x1111);
  try_el1("ldr.u", op_ldr, va + 3, 0);
  try_el1("stp", op_stp, va + 16, 1);
  try_el1("ldxr", op_ldxr, va, 0);
  try_el1("stxr", op_stxr, va, *(u64 *)TARGET);
  try_el1("ldtr", op_ldtr, va, 0);
  try_el1("sttr", op_sttr, va + 24, 0);
  try_el1("zva", op_zva, va + 68, 0);
  try_fetch("fetch", va + 0x80);
  address_translation("AT E1R", va, 0);
  address_translation("AT E0W", va, 3);
}

static void prepare_target(void) {
  u64 *target = (u64 *)TARGET;
  for (u32 i = 0; i < 64; i++) target[i] = 0x0101010101010101ul * i + 0x8070605040302010ul;
  *(u32 *)(TARGET + 0x80) = 0xd65f03c0; /* ret */
  sync_code((void *)(TARGET + 0x80));
}

/* Every size of input, every level, and every fault at each. */
static void levels(u32 grain, const u8 *sizes) {
  for (; *sizes; sizes++) {
    struct space space = make_space(grain, *sizes);
    for (u32 level = space.start; level <= 3; level++) {
      u32 is_block = level == 3 || level == 2 || (level == 1 && grain == 12);
      space = make_space(grain, *sizes);
      if (shift_of(&space, level) >= 64 - space.size) continue;
      u64 va = high_address(&space, level);
      prepare_target();
      if (is_block) {
        u64 *entry = map(&space, va, level, LEAF);
        use(&space, 0);
        title("mapped", &space, level);
        all_accesses(va);
        title("no access flag", &space, level);
        *entry &= ~AF;
        flush_tlb();
        all_accesses(va);
        title("read-only", &space, level);
        *entry |= AF | AP(2) | PXN;
        flush_tlb();
        all_accesses(va);
        title("output address too large", &space, level);
        *entry = (*entry & ~AP(2)) | (1ul << 45);
        flush_tlb();
        all_accesses(va);
      }
      title("invalid", &space, level);
      *entry_of(&space, va, level) = 0xfffffffffffffffe;
      use(&space, 0);
      all_accesses(va);
      if (level < 3) {
        title("table too high", &space, level);
        *entry_of(&space, va, level) = TABLE_OR_PAGE | (1ul << 42);
        flush_tlb();
        all_accesses(va);
        title("table where nothing is", &space, level);
        *entry_of(&space, va, level) = TABLE_OR_PAGE | NOTHING;
        flush_tlb();
        try_el1("ldr", op_ldr, va, 0);
        try_el1("str", op_str, va, 0);
        try_fetch("fetch", va);
        try_el1("at", op_at, va, 0);
      } else {
        title("reserved page descriptor", &space, level);
        *entry_of(&space, va, level) = TARGET | LEAF | VALID;
        flush_tlb();
        all_accesses(va);
      }
    }
    if (tables_used) {
      title("root too high", &space, space.start);
      WRITE(ttbr1_el1, 1ul << 43);
      flush_tlb();
      all_accesses(high_address(&space, 3));
      title("root where nothing is", &space, space.start);
      WRITE(ttbr1_el1, NOTHING);
      flush_tlb();
      try_el1("ldr", op_ldr, high_address(&space, 3), 0);
    }
  }
}

/* A block is forgotten by any address in it. */
static void maintenance_of_blocks(u32 grain, u32 size) {
  for (u32 level = grain == 12 ? 1 : 2; level <= 2; level++) {
    struct space space = make_space(grain, size);
    u64 va = high_address(&space, level), bytes = 1ul << shift_of(&space, level);
    prepare_target();
    title("maintenance of a block", &space, level);
    for (u32 quarter = 0; quarter < 4; quarter++) {
      u64 *entry = map(&space, va, level, LEAF);
      use(&space, 0);
      try_el1("ldr", op_ldr, va, 0);
      *entry = 0;
      u64 address = (va & -bytes) + bytes / 4 * quarter + 0x1000;
      asm volatile("dsb ishst; tlbi vaae1is, %0; dsb ish; isb" ::"r"(address >> 12 & 0xffffffffffful) : "memory");
      try_el1("ldr", op_ldr, va, 0);
    }
  }
}

/* A code for what happened: `-` nothing, else class and fault status. */
static void print_outcome(void) {
  if (taken.count == 0 || (taken.esr == 0x560000e0)) {
    print(" -");
  } else {
    print(" ");
    print_hex(taken.esr >> 26);
    print(":");
    print_hex(taken.esr & 0x1ffffff & ~DATA_ABORT_DETAILS);
  }
}

static void permission_row(u64 va) {
  taken.count = 0;
  op_ldr(va, 0);
  print_outcome();
  taken.count = 0;
  op_str(va, 0);
  print_outcome();
  taken.count = 0;
  guarded_call(va + 0x80, 0);
  print_outcome();
  taken.count = 0;
  op_ldtr(va, 0);
  print_outcome();
  taken.count = 0;
  op_sttr(va, 0);
  print_outcome();
  print(" |");
  taken.count = 0;
  el0_call(EL0(op_ldr), va, 0, EL0T, EL0(op_exit), 0);
  print_outcome();
  taken.count = 0;
  el0_call(EL0(op_str), va, 0, EL0T, EL0(op_exit), 0);
  print_outcome();
  taken.count = 0;
  el0_call(EL0(op_zva), va, 0, EL0T, EL0(op_exit), 0);
  print_outcome();
  taken.count = 0;
  el0_call(va + 0x80, va, 0, EL0T, EL0(op_exit), 0);
  print_outcome();
  print(" | PAR");
  for (u32 which = 0; which < 4; which++) {
    switch (which) {
      case 0: asm volatile("at s1e1r, %0; isb" ::"r"(va)); break;
      case 1: asm volatile("at s1e1w, %0; isb" ::"r"(va)); break;
      case 2: asm volatile("at s1e0r, %0; isb" ::"r"(va)); break;
      default: asm volatile("at s1e0w, %0; isb" ::"r"(va)); break;
    }
    print(" ");
    print_hex(READ(par_el1) & 0xdff);
  }
  print("\n");
  prepare_target();
}

static void permissions(u64 more) {
  struct space space = make_space(12, 25);
  u64 va = high_address(&space, 3);
  u64 *entry = map(&space, va, 3, LEAF);
  u64 *middle = entry_of(&space, va, 2), *top = entry_of(&space, va, 1);
  const u64 table = *middle, root = *top;
  use(&space, more);
  u64 sctlr = READ(sctlr_el1);
  for (u32 wxn = 0; wxn < 2; wxn++) {
    WRITE(sctlr_el1, wxn ? sctlr | WXN : sctlr);
    flush_tlb();
    for (u32 ap = 0; ap < 4; ap++)
      for (u32 xn = 0; xn < 4; xn++) {
        *entry = TARGET | LEAF | AP(ap) | ((u64)xn << 53) | TABLE_OR_PAGE;
        flush_tlb();
        print("WXN ");
        print_decimal(wxn);
        print(" AP ");
        print_decimal(ap);
        print(" UXN:PXN ");
        print_decimal(xn);
        permission_row(va);
      }
    for (u32 level = 1; level < 3; level++)
      for (u32 bits = 0; bits < 16; bits++)
        for (u32 ap = 0; ap < 4; ap++) {
          if (bits % 3 && bits % 4) continue;
          if (wxn && bits != 4) continue;
          *(level == 1 ? top : middle) = (level == 1 ? root : table) | ((u64)bits << 59);
          *entry = TARGET | LEAF | AP(ap) | TABLE_OR_PAGE;
          flush_tlb();
          print("WXN ");
          print_decimal(wxn);
          print(" AP ");
          print_decimal(ap);
          print(" level ");
          print_decimal(level);
          print(" APTable:UXNTable:PXNTable ");
          print_hex(bits);
          permission_row(va);
          *top = root;
          *middle = table;
        }
  }
  WRITE(sctlr_el1, sctlr);
}

/* Two pages next to each other, the second one as given. */
static void page_crossing(void) {
  struct space space = make_space(12, 25);
  u64 va = high_address(&space, 3) & ~0xffful;
  u64 *first = map(&space, va, 3, LEAF);
  u64 *second = first + 1;
  static const struct { const char *name; u64 first, second; } cases[] = {
      {"both", LEAF | TABLE_OR_PAGE, (LEAF | TABLE_OR_PAGE) + 0x1000},
      {"second invalid", LEAF | TABLE_OR_PAGE, 0},
      {"second read-only", LEAF | TABLE_OR_PAGE, (LEAF | AP(2) | TABLE_OR_PAGE) + 0x1000},
      {"second not accessed", LEAF | TABLE_OR_PAGE, ((LEAF & ~AF) | TABLE_OR_PAGE) + 0x1000},
      {"first invalid", 0, (LEAF | TABLE_OR_PAGE) + 0x1000},
      {"first read-only", LEAF | AP(2) | TABLE_OR_PAGE, (LEAF | TABLE_OR_PAGE) + 0x1000},
  };
  use(&space, 0);
  WRITE(cpacr_el1, 3ul << 20);
  for (u32 i = 0; i < ARRAY_LENGTH(cases); i++) {
    prepare_target();
    for (u32 k = 0; k < 4; k++) {
      *(u64 *)(TARGET + 0xfe0 + 8 * k) = 0xa0a1a2a3a4a5a6a7 + k;
      *(u64 *)(TARGET + 0x1000 + 8 * k) = 0xb0b1b2b3b4b5b6b7 + k;
    }
    *first = cases[i].first ? cases[i].first + TARGET : 0;
    *second = cases[i].second ? cases[i].second + TARGET : 0;
    flush_tlb();
    print("crossing, ");
    print(cases[i].name);
    print("\n");
    u64 end = va + 0x1000;
    try_el1("ldr.u", op_ldr, end - 3, 0);
    try_el1("str.u", op_str, end - 5, 0x1122334455667788);
    try_el1("ldrw.u", op_ldrw, end - 1, 0);
    try_el1("ldp", op_ldp, end - 8, 0);
    try_el1("ldp.u", op_ldp, end - 6, 0);
    try_el1("stp", op_stp, end - 8, 0x5566);
    try_el1("ldtr.u", op_ldtr, end - 3, 0);
    try_el1("ldr q", op_ldrq, end - 8, 0);
    try_el1("ldr q.u", op_ldrq, end - 1, 0);
    try_el1("str q", op_strq, end - 8, 0);
    try_el1("ldp q", op_ldpq, end - 16, 0);
    try_el1("ldp q.u", op_ldpq, end - 4, 0);
    try_el1("stp q", op_stpq, end - 16, 0);
    try_el1("ld1", op_ld1, end - 8, 0);
    taken.count = 0;
    print("bytes before the end and after");
    for (u64 k = 0; k < 16; k += 8) {
      print(" ");
      print_hex(*(u64 *)(TARGET + 0xff8 + k));
    }
    print("\n");
    u64 x0 = end - 8, x1;
    taken.count = 0;
    asm volatile("ldr %1, [%0], #16; nop" : "+r"(x0), "=r"(x1)::"memory");
    u64 kept = end - 4;
    asm volatile("ldr %1, [%0], #16; nop" : "+r"(kept), "=&r"(x1)::"memory");
    print("writeback ");
    print_hex(x0 - end);
    print(" ");
    print_hex(kept - end);
    print("\n");
  }
  /* Instructions across the boundary. */
  *first = TARGET | LEAF | TABLE_OR_PAGE;
  *second = (TARGET + 0x1000) | LEAF | TABLE_OR_PAGE;
  flush_tlb();
  *(u32 *)(TARGET + 0xff8) = 0x91000400;  /* add x0, x0, #1 */
  *(u32 *)(TARGET + 0xffc) = 0x91000800;  /* add x0, x0, #2 */
  *(u32 *)(TARGET + 0x1000) = 0x91001000; /* add x0, x0, #4 */
  *(u32 *)(TARGET + 0x1004) = 0xd65f03c0; /* ret */
  for (u32 k = 0; k < 16; k += 4) sync_code((void *)(TARGET + 0xff8 + k));
  try_fetch("fetch across", va + 0xff8);
  *second |= PXN;
  flush_tlb();
  try_fetch("fetch across, second PXN", va + 0xff8);
  *second = 0;
  flush_tlb();
  try_fetch("fetch across, second invalid", va + 0xff8);
}

static void tags_and_ranges(void) {
  struct space space = make_space(12, 25);
  u64 va = high_address(&space, 3);
  map(&space, va, 3, LEAF);
  use(&space, 0);
  prepare_target();
  u64 tagged = va ^ (0xa5ul << 56);
  print("no TBI\n");
  try_el1("ldr tagged", op_ldr, tagged, 0);
  try_el1("ldr not canonical", op_ldr, va ^ (1ul << 40), 0);
  try_el1("ldr middle", op_ldr, 1ul << 50, 0);
  try_el1("str bit 39", op_str, 1ul << 39, 0);
  try_fetch("fetch tagged", tagged);
  address_translation("AT tagged", tagged, 0);
  use(&space, TCR_TBI1);
  print("TBI1\n");
  try_el1("ldr tagged", op_ldr, tagged, 0);
  try_el1("str tagged", op_str, tagged, 0x77);
  try_el1("ldr other tag", op_ldr, va ^ (0x3cul << 56), 0);
  try_el1("ldr low tagged", op_ldr, (0x11ul << 56) | TARGET, 0);
  try_el1("ldr unmapped tagged", op_ldr, tagged ^ 0x4000, 0);
  try_el1("ldr not canonical", op_ldr, tagged ^ (1ul << 40), 0);
  address_translation("AT tagged", tagged, 0);
  /* adr x0, . ; ret: the tag is gone from PC. */
  *(u32 *)(TARGET + 0x80) = 0x10000000;
  *(u32 *)(TARGET + 0x84) = 0xd65f03c0;
  /* brk #7 */
  *(u32 *)(TARGET + 0x88) = 0xd42000e0;
  *(u32 *)(TARGET + 0x8c) = 0xd65f03c0;
  sync_code((void *)(TARGET + 0x80));
  try_fetch("fetch tagged", tagged + 0x80);
  try_fetch("fetch tagged brk", tagged + 0x88);
  try_fetch("fetch tagged misaligned", tagged + 0x82);
  try_fetch("fetch tagged unmapped", (tagged ^ 0x4000) + 0x80);
  print("EPD1\n");
  use(&space, TCR_EPD1);
  all_accesses(va);
  print("TTBR1 off by 32 bits of ASID\n");
  use(&space, 0);
  WRITE(ttbr1_el1, (u64)space.root | (0x12ul << 48) | 1);
  flush_tlb();
  try_el1("ldr", op_ldr, va, 0);
}

/* With the MMU off in between: the program's own translation changes. */
static void use_lower(u64 ttbr, u64 tcr) {
  u64 sctlr = READ(sctlr_el1);
  asm volatile(
      "msr sctlr_el1, %0; isb; msr ttbr0_el1, %1; msr tcr_el1, %2; isb; tlbi vmalle1; dsb sy; isb; msr sctlr_el1, %3; isb"
      ::"r"(sctlr & ~1ul), "r"(ttbr), "r"(tcr), "r"(sctlr) : "memory");
}

/* The lower half with other sizes and levels; the program itself is mapped there too. */
static void lower_half(void) {
  static const struct { u32 grain, size; } cases[] = {{12, 16}, {12, 20}, {12, 24}, {12, 30}, {12, 33}, {16, 16}, {16, 22}, {16, 25}, {16, 33}};
  u64 ttbr = READ(ttbr0_el1);
  for (u32 i = 0; i < ARRAY_LENGTH(cases); i++) {
    struct space space = make_space(cases[i].grain, cases[i].size);
    u32 level = space.grain == 12 ? 1 : 2;
    u64 block = 1ul << shift_of(&space, level);
    for (u64 pa = 0; pa < 0x80000000; pa += block)
      *entry_of(&space, pa, level) = pa | (pa < 0x40000000 ? ATTR(0) | AF | PXN | UXN : LEAF) | VALID;
    u64 va = 1ul << (63 - space.size);
    if (va < 0x80000000) va = 0x7fff0000;
    else map(&space, va, 3, LEAF);
    prepare_target();
    u64 tg0 = space.grain == 12 ? 0 : 1;
    asm volatile("dsb sy" ::: "memory");
    use_lower((u64)space.root, (TCR_LOW & ~63ul) | space.size | (tg0 << 14) | TCR_EPD1);
    print("lower half, granule ");
    print_decimal(1u << (space.grain - 10));
    print("K T0SZ ");
    print_decimal(space.size);
    print("\n");
    try_el1("ldr", op_ldr, va, 0);
    try_el1("ldr beyond", op_ldr, va * 2, 0);
    try_el1("ldr next", op_ldr, va + 0x10000, 0);
    try_el1("ldr upper half", op_ldr, ~0ul << 20, 0);
    address_translation("AT", va, 0);
    use_lower(ttbr, TCR_LOW | TCR_EPD1);
  }
}

static void memory_types(void) {
  struct space space = make_space(12, 25);
  u64 va = high_address(&space, 3);
  u64 *entry = map(&space, va, 3, LEAF);
  use(&space, 0);
  prepare_target();
  for (u32 index = 0; index < 3; index++)
    for (u32 shareability = 0; shareability < 4; shareability++) {
      if (shareability == 1) continue;
      *entry = TARGET | ATTR(index) | ((u64)shareability << 8) | AF | TABLE_OR_PAGE;
      flush_tlb();
      /* QEMU 7.2 reports the descriptor's shareability whatever the type. */
      print(index == 1 ? "attribute " : "~attribute ");
      print_decimal(index);
      print(" shareability ");
      print_decimal(shareability);
      address_translation("", va, 0);
    }
  /* QEMU 7.2 has no alignment faults of Device memory. */
  *entry = TARGET | ATTR(0) | AF | TABLE_OR_PAGE;
  flush_tlb();
  print("Device\n");
  try_el1("ldr", op_ldr, va, 0);
  try_el1("~ldr.u", op_ldr, va + 1, 0);
  try_el1("~str.u", op_str, va + 1, 0);
  try_el1("~ldp.u", op_ldp, va + 4, 0);
  try_el1("~ldr q.u", op_ldrq, va + 8, 0);
  try_el1("~zva", op_zva, va + 64, 0);
  *entry = TARGET | ATTR(0) | AF | AP(2) | TABLE_OR_PAGE;
  flush_tlb();
  try_el1("str.u, read-only", op_str, va + 1, 0);
  *entry = LEAF | NOTHING | TABLE_OR_PAGE;
  flush_tlb();
  print("nothing there\n");
  try_el1("ldr", op_ldr, va, 0);
  try_el1("str", op_str, va, 0);
  try_el1("stp", op_stp, va, 0);
  try_el1("ldr q", op_ldrq, va, 0);
  try_fetch("fetch", va);
  try_el0("ldr EL0", op_ldr, va, 0);
  /* Contiguous entries are a hint. */
  entry -= (va >> 12) & 15;
  for (u32 i = 0; i < 16; i++) entry[i] = (TARGET + 4096 * i) | LEAF | CONTIGUOUS | TABLE_OR_PAGE;
  flush_tlb();
  for (u32 i = 0; i < 16; i++) {
    *(u64 *)(TARGET + 4096 * i) = i;
    try_el1("contiguous", op_ldr, (va & ~0xfffful) + 4096 * i, 0);
  }
}

/* What hardware has made of a descriptor. */
static void print_update(u64 before, u64 now) {
  if (now == before) {
    print(" .");
  } else {
    print(" ^");
    print_hex(now ^ before);
  }
}

static u64 *updated;
static u64 before;

/* Starts from the descriptor again. */
static void restart(void) {
  *updated = before;
  flush_tlb();
  taken.count = 0;
}

static void finish(void) {
  print_outcome();
  print_update(before, *updated);
}

static void update_row(u64 va) {
  static op *const operations[] = {op_ldr, op_str, op_ldtr, op_sttr, op_ldxr, op_ldp, op_stp, op_zva, op_prfm};
  for (u32 i = 0; i < ARRAY_LENGTH(operations); i++) {
    restart();
    operations[i](va, 0);
    finish();
  }
  restart();
  guarded_call(va + 0x80, 0);
  finish();
  print(" | EL0");
  restart();
  el0_call(EL0(op_ldr), va, 0, EL0T, EL0(op_exit), 0);
  finish();
  restart();
  el0_call(EL0(op_str), va, 0, EL0T, EL0(op_exit), 0);
  finish();
  restart();
  el0_call(va + 0x80, va, 0, EL0T, EL0(op_exit), 0);
  finish();
  print("\n");
  prepare_target();
}

/* Address translation and maintenance say that a clean page can be written, and leave it clean. */
static void checks_row(u64 va) {
  for (u32 which = 0; which < 4; which++) {
    restart();
    address_translation("AT", va, which);
    /* QEMU 7.2 makes the page dirty. */
    print(which & 1 ? "~descriptor" : "descriptor");
    print_update(before, *updated);
    print("\n");
  }
  /* It does nothing for DC IVAC. */
  print("~ivac");
  restart();
  op_ivac(va, 0);
  finish();
  print(" civac");
  restart();
  op_civac(va, 0);
  finish();
  print("\n");
}

static void hardware_updates(u32 grain) {
  static const struct { const char *name; u64 bits; } controls[] = {
      {"-", 0}, {"HA", TCR_HA}, {"HD", TCR_HD}, {"HA HD", TCR_HA | TCR_HD}};
  for (u32 i = 0; i < ARRAY_LENGTH(controls); i++)
    for (u32 level = grain == 12 ? 1 : 2; level < 4; level++) {
      struct space space = make_space(grain, 25);
      u64 va = high_address(&space, level);
      prepare_target();
      updated = map(&space, va, level, LEAF);
      u64 leaf = *updated & ~AF;
      use(&space, controls[i].bits);
      print(controls[i].name);
      title("", &space, level);
      for (u32 bits = 0; bits < 16; bits++) {
        before = leaf | (bits & 1 ? AF : 0) | AP(bits >> 1 & 3) | (bits & 8 ? DBM : 0);
        /* QEMU 7.2 takes a clean page of EL0 for one that EL0 can't write, which EL1 may execute. */
        print((before & DBM) && (before & AP(3)) == AP(3) ? "~AF " : "AF ");
        print_decimal(bits & 1);
        print(" AP ");
        print_decimal(bits >> 1 & 3);
        print(" DBM ");
        print_decimal(bits >> 3);
        update_row(va);
      }
      before = leaf | AP(2) | DBM;
      checks_row(va);
      /* A translation that was cached by reading, then by writing. */
      restart();
      u64 read = op_ldr(va, 0);
      print("cached");
      finish();
      op_str(va + 8, read + 1);
      finish();
      print(" ");
      print_hex(((u64 *)TARGET)[1] - read);
      print("\n");
      if (level < 3) {
        restart();
        op_ldr(va + 0x1000, 0);
        op_str(va, 0);
        finish();
        op_str(va + 0x1000, 0);
        finish();
        print(" block\n");
      }
      /* Exclusives: loading reads, storing writes. One that fails needn't. */
      restart();
      u64 status, value;
      asm volatile("ldxr %1, [%2]; stxr %w0, %1, [%2]" : "=&r"(status), "=&r"(value) : "r"(va) : "memory");
      print("exclusive ");
      print_decimal(status & 1);
      finish();
      restart();
      asm volatile("clrex; stxr %w0, %1, [%1]" : "=&r"(status) : "r"(va) : "memory");
      print(" ");
      print_decimal(status & 1);
      print_outcome();
      print("\n");
#ifdef CPU_MAX
      restart();
      asm volatile(".arch armv8.1-a\nldaddal %1, %0, [%2]" : "=&r"(value) : "r"(1ul), "r"(va) : "memory");
      print("atomic ");
      finish();
      restart();
      value = ~0ul;
      asm volatile(".arch armv8.1-a\ncas %0, %1, [%2]" : "+r"(value) : "r"(1ul), "r"(va) : "memory");
      finish();
      print("\n");
#endif
      /* Across the boundary: both pages. */
      if (level == 3 && grain == 12) {
        u64 end = (va & ~0xffful) + 0x1000;
        u64 *second = updated + 1;
        *second = before + 0x1000;
        restart();
        op_str(end - 3, 0);
        print("crossing");
        finish();
        print_update(before + 0x1000, *second);
        *second = (before & ~DBM) + 0x1000;
        restart();
        op_str(end - 3, 0);
        print_outcome();
        print_update((before & ~DBM) + 0x1000, *second);
        print("\n");
      }
      prepare_target();
    }
}

/*
 * A table that holds code: B.LO at 0xf80, which is a page descriptor as well. Its access flag is a bit of the distance
 * that it branches: 0x60 without, to the end of the table, and 0xe0 with, beyond it.
 */
static void updates_of_code(void) {
  struct space space = make_space(12, 25);
  u64 va = high_address(&space, 3) & ~0x1ffffful;
  u64 *table = entry_of(&space, va, 3);
  u32 *code = (u32 *)table;
  va += 0xf80 / 8 * 0x1000;
  table[0xf80 / 8] = 0x54000000ul | ATTR(0) | INNER | TABLE_OR_PAGE;
  for (u32 i = 0; i < 2; i++) {
    code[(i ? 0x1060 : 0xfe0) / 4] = 0x52800020 + 0x20 * i; /* mov w0, #1 + i */
    code[(i ? 0x1060 : 0xfe0) / 4 + 1] = 0xd65f03c0;        /* ret */
  }
  for (u32 at = 0; at < 0x1100; at += 64) sync_code((u8 *)table + at);
  use(&space, TCR_HA);
  /* QEMU 7.2 keeps what it has translated of the descriptor. */
  print("~descriptor as code");
  for (u32 i = 0; i < 2; i++) {
    u64 result;
    asm volatile("cmn xzr, xzr; mov x0, #0; blr %1; mov %0, x0" : "=r"(result) : "r"((u64)table + 0xf80) : "x0", "x30", "cc");
    print(" ");
    print_decimal(result);
    taken.count = 0;
    op_ldr(va, 0);
    print_outcome();
    sync_code((u8 *)table + 0xf80);
  }
  print("\n");
}

/* In the image, which is in flash as well. */
static const u64 flash_table[512] __attribute__((aligned(4096))) = {
    TARGET | (LEAF & ~AF) | TABLE_OR_PAGE,
    TARGET | LEAF | AP(2) | DBM | TABLE_OR_PAGE,
};

/* Hardware can't update a table in flash. QEMU 7.2 can. */
static void updates_of_flash(void) {
  extern u8 _start[];
  struct space space = make_space(12, 25);
  u64 va = high_address(&space, 3) & ~0x1ffffful;
  *entry_of(&space, va, 2) = ((u64)flash_table - (u64)_start) | TABLE_OR_PAGE;
  use(&space, TCR_HA | TCR_HD);
  prepare_target();
  for (u32 i = 0; i < 2; i++) {
    print(i ? "clean page of a table in flash\n" : "page without access flag of a table in flash\n");
    try_el1("~ldr", op_ldr, va + 0x1000 * i, 0);
    try_el1("~str", op_str, va + 0x1000 * i, 0);
    try_fetch("~fetch", va + 0x1000 * i + 0x80);
    address_translation("~AT", va + 0x1000 * i, 1);
  }
}

void on_irq(u64 vector) {
  print_hex(vector);
  print(" unexpected interrupt\n");
  power_off();
}

int main(void) {
  map_ops_for_el0();
  if (OF_MODEL) {
    hardware_updates(12);
    hardware_updates(16);
    updates_of_code();
    updates_of_flash();
#ifdef CPU_MAX
    print("HPD1\n");
    permissions(TCR_HPD1);
#endif
  } else if (GRANULE_16K) {
    levels(14, (const u8[]){16, 17, 29, 39, 0});
    maintenance_of_blocks(14, 17);
  } else {
    levels(12, (const u8[]){16, 25, 33, 34, 39, 0});
    levels(16, (const u8[]){16, 22, 35, 0});
    maintenance_of_blocks(12, 25);
    maintenance_of_blocks(16, 22);
    permissions(0);
    page_crossing();
    tags_and_ranges();
    lower_half();
    memory_types();
  }
  print("done\n");
  return 0;
}
