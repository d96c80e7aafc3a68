/* What main.c runs, in this order, and how much of it. */
#include "kernels.h"

u64 random_state;
u8 arena[ARENA_BYTES] __attribute__((section(".bss.arena"), aligned(4096)));

/* In the caches and the TLB, without vectors. */
#define INTEGER "integer"
#define FP_SIMD "fp-simd"
/* Bound by translations of addresses, exceptions, barriers and maintenance. */
#define SYSTEM "system"

const struct kernel kernels[] = {
  /* Time for a just-in-time compiler to come up to speed; not part of the comparison. */
  {"warmup", "none", crc32, 800},
  {"sha256", INTEGER, sha256, 90},
  {"crc32", INTEGER, crc32, 400},
  {"sort", INTEGER, sort, 80},
  {"sort_callback", INTEGER, sort_callback, 22},
  {"matrix", INTEGER, matrix, 120},
  {"list", INTEGER, list, 1200},
  {"copying", INTEGER, copying, 6000},
  {"strings", INTEGER, strings, 160},
  {"sieve", INTEGER, sieve, 12},
  {"bignum", INTEGER, bignum, 4000},
  {"tokenizer", INTEGER, tokenizer, 140},
  {"json", INTEGER, json, 220},
  {"regex", INTEGER, regex, 40},
  {"compression", INTEGER, compression, 22},
  {"shortest_paths", INTEGER, shortest_paths, 130},
  {"bytecode", INTEGER, bytecode, 400},
  {"virtual_calls", INTEGER, virtual_calls, 2800},
  {"queens", INTEGER, queens, 150},
  {"fp_nbody", FP_SIMD, fp_nbody, 200},
  {"fp_matrix", FP_SIMD, fp_matrix, 330},
  {"fp_functions", FP_SIMD, fp_functions, 900},
  {"fp_fourier", FP_SIMD, fp_fourier, 500},
  {"simd_filter", FP_SIMD, simd_filter, 1500},
  {"simd_blend", FP_SIMD, simd_blend, 6000},
  {"simd_memmove", FP_SIMD, simd_memmove, 1000},
  {"hash_table", SYSTEM, hash_table, 80},
  {"tree", SYSTEM, tree, 60},
  {"system_calls", SYSTEM, system_calls, 1100},
  {"page_faults", SYSTEM, page_faults, 150},
  {"address_spaces", SYSTEM, address_spaces, 4800},
  {"atomics", SYSTEM, atomics, 1400},
  {"code_writing", SYSTEM, code_writing, 11000},
  {0, 0, 0, 0},
};
