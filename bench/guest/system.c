/* What programs do only with a system below them, and the system: its pages, exceptions, locks and code. */
#include "kernels.h"

static void synchronize_tables(void) { __asm__ volatile("dsb ishst\n\tisb" ::: "memory"); }

static void forget_all_translations(void) {
  __asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::: "memory");
}

static void forget_translation(u64 address) {
  __asm__ volatile("dsb ishst\n\ttlbi vaae1is, %0\n\tdsb ish\n\tisb" ::"r"(address >> 12) : "memory");
}

/* --- A hash table with open addressing in 32 MiB: nearly every access is in another page --- */

enum { SLOT_BITS = 22, SLOTS = 1 << SLOT_BITS };

u64 hash_table(u64 rounds) {
  u64 *const slots = (u64 *)arena;
  u64 checksum = 0, used = 0;
  restart_random();
  for (u64 i = 0; i < SLOTS; i++) slots[i] = 0;
  while (rounds--) {
    for (u64 n = 0; n < 65536; n++) {
      const u64 key = next_random() % SLOTS | 1;
      u64 at = key * 0x9e3779b97f4a7c15 >> (64 - SLOT_BITS);
      while (slots[at] && (slots[at] ^ key) % SLOTS) at = (at + 1) % SLOTS;
      if (!slots[at]) slots[at] = key, used++;
      /* How often, above the key. */
      slots[at] += SLOTS;
    }
    checksum = mix(checksum, used + slots[rounds * 4099 % SLOTS]);
  }
  return checksum;
}

/* --- A binary search tree, of 48 MiB where it is full: its lower levels are each in a page of their own --- */

struct leaf {
  u64 key, value, uses;
  struct leaf *smaller, *greater, *parent;
};

static u64 count_uses(const struct leaf *leaf) {
  u64 uses = 0;
  for (; leaf; leaf = leaf->parent) uses += leaf->uses;
  return uses;
}

u64 tree(u64 rounds) {
  struct leaf *const leaves = (struct leaf *)arena;
  u64 checksum = 0, used = 0;
  struct leaf *root = 0;
  restart_random();
  while (rounds--) {
    for (u64 n = 0; n < 8192; n++) {
      const u64 key = next_random() & 0xfffffff;
      struct leaf **link = &root, *parent = 0;
      while (*link && (*link)->key != key) {
        parent = *link;
        link = key < parent->key ? &parent->smaller : &parent->greater;
      }
      if (!*link) {
        *link = &leaves[used++];
        **link = (struct leaf){.key = key, .value = n, .parent = parent};
      }
      (*link)->uses++;
      checksum += (*link)->value;
    }
    for (u64 n = 0; n < 512; n++) checksum = mix(checksum, count_uses(&leaves[next_random() % used]));
    if (used + 8192 > ARENA_BYTES / sizeof *leaves) root = 0, used = 0;
  }
  return checksum;
}

/* --- System calls: EL0, SVC, a table of services, ERET --- */

u64 run_at_el0(void (*function)(u64 argument), u64 argument, void *stack_top);
void leave_el0(u64 result) __attribute__((noreturn));

enum { SERVICE_READ, SERVICE_WRITE, SERVICE_SEEK, SERVICE_COUNT, SERVICES, SERVICE_EXIT = SERVICES };

static u64 el0_stack[512];
static u64 file[512], file_position, service_calls;

static u64 service_read(u64 *to, u64 count) {
  for (u64 i = 0; i < count; i++) to[i] = file[file_position++ % COUNT(file)];
  return count;
}

static u64 service_write(u64 *from, u64 count) {
  for (u64 i = 0; i < count; i++) file[file_position++ % COUNT(file)] ^= from[i];
  return count;
}

static u64 service_seek(u64 *unused, u64 position) {
  (void)unused;
  file_position = position;
  return position % COUNT(file);
}

static u64 service_count(u64 *unused, u64 also_unused) {
  (void)unused, (void)also_unused;
  return service_calls;
}

static u64 (*const services[SERVICES])(u64 *, u64) = {service_read, service_write, service_seek, service_count};

static u64 call_service(u64 number, u64 *memory, u64 argument) {
  register u64 x8 __asm__("x8") = number;
  register u64 x0 __asm__("x0") = (u64)memory;
  register u64 x1 __asm__("x1") = argument;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x8) : "memory");
  return x0;
}

/* EL0 can execute the image and not read it: no constants in memory. */
static void el0_program(u64 calls) {
  u64 buffer[4], state = 0x9e3779b97f4a7c15;
  for (u64 i = 0; i < COUNT(buffer); i++) buffer[i] = calls;
  while (calls--) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    buffer[state >> 8 & 3] += state;
    state += call_service(state % SERVICES, buffer, 1 + (state >> 16 & 3));
  }
  call_service(SERVICE_EXIT, buffer, state ^ buffer[0] ^ buffer[3]);
}

u64 system_calls(u64 rounds) {
  for (u64 i = 0; i < COUNT(file); i++) file[i] = i;
  file_position = service_calls = 0;
  return run_at_el0(el0_program, rounds * 1000, el0_stack + COUNT(el0_stack));
}

/* --- Page faults: a window whose pages appear when they are read, and can be written when they have been --- */

enum { WINDOW_PAGES = 1024, PAGE_BYTES = 4096, READ_ONLY = 1 << 7 };

static u64 window_descriptors[WINDOW_PAGES], faults;

/* By the address at which the image's GiB has it. */
static void clear_page(u64 physical) {
  u64 dczid;
  __asm__("mrs %0, dczid_el0" : "=r"(dczid));
  const u64 step = 4ul << (dczid & 15);
  for (u64 at = physical; at < physical + PAGE_BYTES; at += step) __asm__ volatile("dc zva, %0" ::"r"(at) : "memory");
}

/* Whether it was one. */
static int handle_page_fault(u64 status, u64 address) {
  const u64 page = (address - (u64)arena) / PAGE_BYTES;
  if (page >= WINDOW_PAGES) return 0;
  u64 *descriptor = page_descriptor((const void *)address);
  faults++;
  switch (status) {
    case 7: /* no translation at level 3 */
      clear_page(window_descriptors[page] & 0xfffffffff000);
      *descriptor = window_descriptors[page] | READ_ONLY;
      synchronize_tables();
      return 1;
    case 15: /* no permission at level 3 */
      *descriptor = window_descriptors[page];
      forget_translation(address);
      return 1;
    default:
      return 0;
  }
}

u64 page_faults(u64 rounds) {
  u64 checksum = 0;
  faults = 0;
  for (u64 page = 0; page < WINDOW_PAGES; page++)
    window_descriptors[page] = *page_descriptor(arena + page * PAGE_BYTES);
  while (rounds--) {
    for (u64 page = 0; page < WINDOW_PAGES; page++) *page_descriptor(arena + page * PAGE_BYTES) = 0;
    forget_all_translations();
    for (u64 n = 0; n < WINDOW_PAGES; n++) {
      u64 *const words = (u64 *)(arena + n * 0x185 % WINDOW_PAGES * PAGE_BYTES);
      u64 sum = n;
      for (u64 i = 0; i < PAGE_BYTES / 8; i += 16) sum += words[i];
      if (n & 1)
        for (u64 i = 0; i < PAGE_BYTES / 8; i += 32) words[i] = sum++;
      checksum = mix(checksum, sum);
    }
    for (u64 i = 0; i < WINDOW_PAGES * PAGE_BYTES; i += 1024) checksum += *(u64 *)(arena + i);
    checksum = mix(checksum, faults);
  }
  for (u64 page = 0; page < WINDOW_PAGES; page++)
    *page_descriptor(arena + page * PAGE_BYTES) = window_descriptors[page];
  forget_all_translations();
  return checksum;
}

/* --- The exceptions of the two above --- */

/* Called by start.S. */
void handle_exception(struct frame *frame, u64 esr, u64 far) {
  switch (esr >> 26) {
    case 0x15: { /* SVC */
      const u64 number = frame->x[8];
      service_calls++;
      if (number == SERVICE_EXIT) leave_el0(frame->x[1]);
      frame->x[0] = services[number]((u64 *)frame->x[0], frame->x[1]);
      return;
    }
    case 0x25: /* data abort at EL1 */
      if (handle_page_fault(esr & 63, far)) return;
      break;
    default:
  }
  unexpected_exception(esr, frame->elr, far);
}

/* --- Address spaces that take turns: TTBR0_EL1 with an ASID, the same addresses, other pages --- */

enum { SPACES = 8, SPACE_PAGES = 512, NOT_GLOBAL = 1 << 11, TABLE = 3 };

static u64 space_tables[SPACES][3][512] AT_ITS_ADDRESS;

/* The last GiB of level 1 that one space has for itself. */
static u64 *const space_memory = (u64 *)0xc0000000;

extern u64 translation_table[512];

static void enter_space(const u64 *table, u64 asid) {
  __asm__ volatile("msr ttbr0_el1, %0\n\tisb" ::"r"((u64)table | asid << 48) : "memory");
}

static NOINLINE u64 run_in_space(u64 state) {
  for (u64 n = 0; n < 200; n++) {
    state = state * 6364136223846793005 + 1442695040888963407;
    u64 *const page = space_memory + (state >> 40) % SPACE_PAGES * (PAGE_BYTES / 8);
    page[0] += state;
    state ^= page[0] >> 3 ^ page[(state >> 33) % 512] << 1;
  }
  return state;
}

u64 address_spaces(u64 rounds) {
  u64 state = 1;
  for (u64 space = 0; space < SPACES; space++) {
    u64 (*const levels)[512] = space_tables[space];
    for (u64 i = 0; i < 3; i++) levels[0][i] = translation_table[i];
    levels[0][3] = (u64)levels[1] | TABLE;
    levels[1][0] = (u64)levels[2] | TABLE;
    /* Pages of the arena, by turns. */
    for (u64 i = 0; i < SPACE_PAGES; i++)
      levels[2][i] = *page_descriptor(arena + (i * SPACES + space) * PAGE_BYTES) | NOT_GLOBAL;
  }
  for (u64 i = 0; i < SPACES * SPACE_PAGES * (PAGE_BYTES / 8); i++) ((u64 *)arena)[i] = i;
  synchronize_tables();
  while (rounds--)
    for (u64 space = 0; space < SPACES; space++) {
      enter_space(space_tables[space][0], space + 1);
      state = run_in_space(state);
    }
  enter_space(translation_table, 0);
  return state;
}

/* --- Locks, counters and lists that would be safe with several CPUs: exclusive loads and stores --- */

static u32 lock, locked_sum;
static u64 counters[64];
static u8 flags[64];

static struct item {
  struct item *next;
  u64 value;
} items[256];
static struct item *first_item;

static void push(struct item *item) {
  struct item *first = __atomic_load_n(&first_item, __ATOMIC_RELAXED);
  do item->next = first;
  while (!__atomic_compare_exchange_n(&first_item, &first, item, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static struct item *pop(void) {
  struct item *first = __atomic_load_n(&first_item, __ATOMIC_ACQUIRE);
  while (!__atomic_compare_exchange_n(&first_item, &first, first->next, 1, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
  return first;
}

u64 atomics(u64 rounds) {
  u64 checksum = 0;
  restart_random();
  lock = locked_sum = 0;
  first_item = 0;
  for (u64 i = 0; i < COUNT(counters); i++) counters[i] = flags[i] = 0;
  for (u64 i = 0; i < COUNT(items); i++) items[i].value = i, push(&items[i]);
  while (rounds--) {
    for (u64 n = 0; n < 1000; n++) {
      const u64 random = next_random();
      while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) {}
      locked_sum += (u32)random;
      __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
      checksum += __atomic_fetch_add(&counters[random % 64], n, __ATOMIC_RELAXED);
      checksum ^= __atomic_fetch_sub(&counters[random >> 8 & 63], random & 15, __ATOMIC_SEQ_CST);
      checksum += __atomic_fetch_or(&flags[random >> 16 & 63], 1 << (n & 7), __ATOMIC_ACQ_REL);
      __atomic_fetch_and(&flags[random >> 24 & 63], (u8)random, __ATOMIC_RELEASE);
      struct item *one = pop(), *other = pop();
      one->value += random, other->value ^= n;
      push(one);
      push(other);
    }
    checksum = mix(checksum, locked_sum + items[rounds % COUNT(items)].value);
  }
  return checksum;
}

/* --- Code that is written, executed, changed in one place, and written over --- */

enum { CODE_SLOTS = 64, SLOT_WORDS = 128 };

static u32 code[CODE_SLOTS][SLOT_WORDS] AT_ITS_ADDRESS;

static void synchronize_code(const u32 *from, const u32 *end) {
  u64 ctr;
  __asm__("mrs %0, ctr_el0" : "=r"(ctr));
  const u64 data = 4ul << (ctr >> 16 & 15), instruction = 4ul << (ctr & 15);
  for (u64 at = (u64)from & -data; at < (u64)end; at += data) __asm__ volatile("dc cvau, %0" ::"r"(at) : "memory");
  __asm__ volatile("dsb ish" ::: "memory");
  for (u64 at = (u64)from & -instruction; at < (u64)end; at += instruction)
    __asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
  __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

/* ADD (immediate) of `value` to X0: the word that is changed. */
static u32 add_to_x0(u64 value) { return 0x91000000 | (u32)(value & 0xfff) << 10; }

/* A function of X0 and of how often to repeat, X1. Its word 6 is `add_to_x0`. Returns its end. */
static u32 *write_function(u32 *at) {
  static const u32 operations[] = {
    0x8b000000, 0xcb000000, 0xca000000, 0xaa000000, 0x8a200000, /* ADD, SUB, EOR, ORR, BIC (shifted register) */
    0x9b007c00, 0x93c00000,                                     /* MUL, EXTR */
  };
  for (u32 i = 2; i < 8; i++) *at++ = 0xd2800000 | (u32)(next_random() & 0xffff) << 5 | i; /* MOVZ Xi */
  u32 *const loop = at;
  *at++ = add_to_x0(next_random());
  for (u64 n = 10 + next_random() % 40; n; n--) {
    const u64 random = next_random();
    const u32 operation = operations[random % COUNT(operations)];
    /* X1 is no operand; X0 is one of each. */
    const u32 to = random >> 8 & 1 ? 0 : 2 + (random >> 9) % 6, from = 2 + (random >> 16) % 6;
    const u32 shift = operation == 0x9b007c00 ? 0 : (random >> 24 & 63) << 10;
    *at++ = operation | from << 16 | shift | to;
  }
  *at++ = 0xf1000421;                                       /* SUBS X1, X1, #1 */
  *at = 0x54000001 | ((u32)(loop - at) & 0x7ffff) << 5;     /* B.NE loop */
  at++;
  *at++ = 0xd65f03c0; /* RET */
  return at;
}

static u64 call_code(u64 slot, u64 value, u64 times) { return ((u64(*)(u64, u64))code[slot])(value, times); }

u64 code_writing(u64 rounds) {
  u64 state = 1;
  restart_random();
  for (u64 slot = 0; slot < CODE_SLOTS; slot++)
    synchronize_code(code[slot], write_function(code[slot]));
  while (rounds--) {
    const u64 slot = next_random() % CODE_SLOTS;
    synchronize_code(code[slot], write_function(code[slot]));
    state = call_code(slot, state, 100);
    for (u64 n = 0; n < 2; n++) {
      code[slot][6] = add_to_x0(state);
      synchronize_code(code[slot] + 6, code[slot] + 7);
      state = call_code(slot, state, 50);
    }
    for (u64 n = 0; n < 4; n++) state = call_code(next_random() % CODE_SLOTS, state, 25);
  }
  return state;
}
