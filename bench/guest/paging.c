/* The third GiB of addresses, in pages of 4 KiB: RAM behind the image, the pages in an order of their own. */
#include "kernels.h"

#define PAGED ((u64)1 << 31)
#define PHYSICAL ((u64)0x50000000)

enum { PAGES = 1 << 14, ENTRIES = 512, PAGE_BYTES = 4096 };

enum {
  TABLE = 3,
  PAGE = 3,
  NORMAL = 1 << 2,
  READ_WRITE_EL0 = 1 << 6,
  INNER_SHAREABLE = 3 << 8,
  ACCESS_FLAG = 1 << 10,
};
#define NO_EXECUTE ((u64)3 << 53)

/* Of start.S: level 1. */
extern u64 translation_table[ENTRIES];
static u64 level2[ENTRIES] AT_ITS_ADDRESS;
static u64 level3[PAGES] AT_ITS_ADDRESS;

extern u8 _bss_end[];

void map_pages(void) {
  for (u64 i = 0; i < PAGES; i++) {
    /* An odd factor permutes the pages. */
    const u64 address = PHYSICAL + i * 0x2545 % PAGES * PAGE_BYTES;
    level3[i] = address | PAGE | NORMAL | READ_WRITE_EL0 | INNER_SHAREABLE | ACCESS_FLAG | NO_EXECUTE;
  }
  for (u64 i = 0; i < PAGES / ENTRIES; i++) level2[i] = (u64)(level3 + i * ENTRIES) | TABLE;
  translation_table[2] = (u64)level2 | TABLE;
  __asm__ volatile("dsb ishst\n\tisb" ::: "memory");
  for (u64 *at = (u64 *)PAGED; at < (u64 *)_bss_end; at++) *at = 0;
}

u64 *page_descriptor(const void *address) { return &level3[((u64)address - PAGED) / PAGE_BYTES]; }
