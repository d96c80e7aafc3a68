typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

#define NOINLINE __attribute__((noinline))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * One piece of work. Its checksum depends on `rounds` and on nothing else: not on time, not on the machine. `rounds`
 * make 100 million instructions and more.
 */
struct kernel {
  const char *name;
  /* Kernels of a group have a mean of their own. */
  const char *group;
  u64 (*run)(u64 rounds);
  u64 rounds;
};

/* Ends with an entry without a name. */
extern const struct kernel kernels[];

typedef u64 kernel_function(u64 rounds);

/* loops.c */
kernel_function sha256, crc32, sort, matrix, list, copying, strings, sieve, bignum, tokenizer, bytecode, queens;

/* programs.c */
kernel_function compression, json, regex, shortest_paths, sort_callback, virtual_calls;

/* float.c, which alone may use the registers of Advanced SIMD and floating point. */
kernel_function fp_nbody, fp_matrix, fp_functions, fp_fourier, simd_filter, simd_blend, simd_memmove;

/* system.c */
kernel_function hash_table, tree, system_calls, page_faults, address_spaces, atomics, code_writing;

/* xorshift64 (Marsaglia 2003): the same sequence for every kernel. */
extern u64 random_state;

static inline u64 next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static inline void restart_random(void) { random_state = 0x9e3779b97f4a7c15; }

static inline u64 mix(u64 checksum, u64 value) { return (checksum ^ value) * 0x100000001b3; }

/*
 * Memory for whoever runs, with leftovers of who ran before. Like all variables of kernels it is in pages of 4 KiB,
 * which are neither where their addresses say nor in order (paging.c).
 */
enum { ARENA_BYTES = 48 << 20 };
extern u8 arena[ARENA_BYTES];

/* For tables that the MMU walks and code that is written: where its address says. */
#define AT_ITS_ADDRESS __attribute__((section(".bss.identity"), aligned(4096)))

/* Maps what is linked to PAGED and above. */
void map_pages(void);

/* The descriptor of the 4 KiB page that a variable is in. */
u64 *page_descriptor(const void *address);

/* What start.S saves of what ran when an exception was taken, and restores. */
struct frame {
  u64 x[31], elr, spsr;
};

void unexpected_exception(u64 esr, u64 elr, u64 far) __attribute__((noreturn));
