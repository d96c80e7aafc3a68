typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

/* One piece of work. Its checksum depends on `rounds` and on nothing else: not on time, not on the machine. */
struct kernel {
  const char *name;
  /* Kernels of a group have a mean of their own. */
  const char *group;
  u64 (*run)(u64 rounds);
  u64 rounds;
};

/* float-kernels.c, which alone may use the registers of Advanced SIMD and floating point. */
u64 fp_nbody(u64 rounds), fp_matrix(u64 rounds), simd_filter(u64 rounds), simd_blend(u64 rounds);

/* Ends with an entry without a name. */
extern const struct kernel kernels[];
