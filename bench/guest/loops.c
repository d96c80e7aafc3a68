/*
 * Integer loops of the kinds that guests are made of, in little memory. Each folds all that it computes into its
 * checksum.
 */
#include "kernels.h"

static u8 bytes[1 << 16] __attribute__((aligned(16)));
static u8 copies[1 << 16] __attribute__((aligned(16)));
static u32 words[1 << 14];

static void fill_bytes(void) {
  restart_random();
  for (u64 i = 0; i < sizeof bytes; i++) bytes[i] = (u8)next_random();
}

/* --- SHA-256 (FIPS 180-4) of a buffer: rotates, dependent adds, 64 live table words --- */

static const u32 sha_constants[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotate_right(u32 value, int by) { return value >> by | value << (32 - by); }

static void sha_block(u32 *state, const u8 *block) {
  u32 w[64];
  for (int i = 0; i < 16; i++)
    w[i] = (u32)block[4 * i] << 24 | (u32)block[4 * i + 1] << 16 | (u32)block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    const u32 s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
    const u32 s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  u32 a = state[0], b = state[1], c = state[2], d = state[3];
  u32 e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    const u32 s1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
    const u32 t1 = h + s1 + ((e & f) ^ (~e & g)) + sha_constants[i] + w[i];
    const u32 s0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
    const u32 t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

u64 sha256(u64 rounds) {
  u32 state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  fill_bytes();
  while (rounds--)
    for (u64 at = 0; at < sizeof bytes; at += 64) sha_block(state, bytes + at);
  u64 checksum = 0;
  for (int i = 0; i < 8; i++) checksum = mix(checksum, state[i]);
  return checksum;
}

/* --- CRC-32, a table look-up per byte: byte loads and one long dependency --- */

u64 crc32(u64 rounds) {
  static u32 table[256];
  for (u32 i = 0; i < 256; i++) {
    u32 value = i;
    for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
    table[i] = value;
  }
  fill_bytes();
  u32 crc = ~0u;
  while (rounds--)
    for (u64 i = 0; i < sizeof bytes; i++) crc = table[(crc ^ bytes[i]) & 255] ^ crc >> 8;
  return ~crc;
}

/* --- Quicksort, recursive: unpredictable branches, calls --- */

static NOINLINE void quicksort(u32 *from, s64 count) {
  while (count > 12) {
    const u32 pivot = from[count / 2];
    s64 low = 0, high = count - 1;
    for (;;) {
      while (from[low] < pivot) low++;
      while (from[high] > pivot) high--;
      if (low >= high) break;
      const u32 swap = from[low];
      from[low++] = from[high];
      from[high--] = swap;
    }
    quicksort(from, low);
    from += low;
    count -= low;
  }
  for (s64 i = 1; i < count; i++) {
    const u32 value = from[i];
    s64 at = i;
    for (; at > 0 && from[at - 1] > value; at--) from[at] = from[at - 1];
    from[at] = value;
  }
}

u64 sort(u64 rounds) {
  u64 checksum = 0;
  restart_random();
  while (rounds--) {
    for (u64 i = 0; i < COUNT(words); i++) words[i] = (u32)next_random();
    quicksort(words, COUNT(words));
    for (u64 i = 0; i < COUNT(words); i += 1024) checksum = mix(checksum, words[i]);
  }
  return checksum;
}

/* --- Matrix product: multiply-accumulate, strided loads --- */

#define N 64
static u32 left[N][N], right[N][N], product[N][N];

u64 matrix(u64 rounds) {
  restart_random();
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) left[i][j] = (u32)next_random(), right[i][j] = (u32)next_random();
  u64 checksum = 0;
  while (rounds--) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        u32 sum = 0;
        for (int k = 0; k < N; k++) sum += left[i][k] * right[k][j];
        product[i][j] = sum;
      }
    for (int i = 0; i < N; i++) left[i][i] ^= product[i][N - 1 - i];
    checksum = mix(checksum, product[N / 2][N / 3]);
  }
  return checksum;
}

/* --- A shuffled linked list, walked and reversed: loads that depend on loads --- */

struct node {
  struct node *next;
  u64 value;
};
static struct node nodes[1 << 14];

u64 list(u64 rounds) {
  restart_random();
  for (u64 i = 0; i < COUNT(nodes); i++) words[i] = (u32)i;
  for (u64 i = COUNT(nodes) - 1; i > 0; i--) {
    const u64 j = next_random() % (i + 1);
    const u32 swap = words[i];
    words[i] = words[j];
    words[j] = swap;
  }
  for (u64 i = 0; i < COUNT(nodes); i++) {
    nodes[words[i]].next = i + 1 < COUNT(nodes) ? &nodes[words[i + 1]] : 0;
    nodes[words[i]].value = next_random();
  }
  struct node *head = &nodes[words[0]];
  u64 checksum = 0;
  while (rounds--) {
    for (const struct node *node = head; node; node = node->next) checksum = checksum * 31 + node->value;
    struct node *reversed = 0;
    while (head) {
      struct node *next = head->next;
      head->next = reversed;
      reversed = head;
      head = next;
    }
    head = reversed;
  }
  return checksum;
}

/* --- Copying: pairs of doublewords, then an unaligned tail of bytes --- */

static NOINLINE void copy(u8 *to, const u8 *from, u64 count) {
  u64 *to8 = (u64 *)to;
  const u64 *from8 = (const u64 *)from;
  for (; count >= 32; count -= 32, to8 += 4, from8 += 4) {
    const u64 a = from8[0], b = from8[1], c = from8[2], d = from8[3];
    to8[0] = a, to8[1] = b, to8[2] = c, to8[3] = d;
  }
  to = (u8 *)to8, from = (const u8 *)from8;
  while (count--) *to++ = *from++;
}

u64 copying(u64 rounds) {
  u64 checksum = 0;
  fill_bytes();
  for (u64 round = 0; round < rounds; round++) {
    const u64 shift = round & 63;
    copy(copies + shift, bytes, sizeof bytes - 128 - (round & 31));
    copy(bytes + 64, copies, sizeof bytes - 128 - shift);
    checksum = mix(checksum, bytes[(round * 977) & 0xffff]);
  }
  return checksum;
}

/* --- Strings: length, comparison, search by byte --- */

static NOINLINE u64 length(const u8 *text) {
  const u8 *end = text;
  while (*end) end++;
  return (u64)(end - text);
}

static NOINLINE int compare(const u8 *a, const u8 *b) {
  while (*a && *a == *b) a++, b++;
  return *a - *b;
}

static NOINLINE const u8 *find(const u8 *text, const u8 *part) {
  for (; *text; text++) {
    u64 i = 0;
    while (part[i] && text[i] == part[i]) i++;
    if (!part[i]) return text;
  }
  return 0;
}

u64 strings(u64 rounds) {
  restart_random();
  for (u64 i = 0; i < sizeof bytes; i++) bytes[i] = copies[i] = (u8)('a' + next_random() % 4);
  for (u64 i = 255; i < sizeof bytes; i += 256) bytes[i] = copies[i] = 0;
  u64 checksum = 0;
  while (rounds--)
    for (u64 at = 0; at < sizeof bytes; at += 256) {
      checksum = mix(checksum, length(bytes + at));
      checksum = mix(checksum, (u64)compare(bytes + at, copies + at));
      const u8 *found = find(bytes + at, (const u8 *)"abcdab");
      checksum = mix(checksum, found ? (u64)(found - bytes) : 1);
    }
  return checksum;
}

/* --- Sieve of Eratosthenes: byte stores with a stride, through a megabyte --- */

static u8 composite[1 << 20];

u64 sieve(u64 rounds) {
  u64 checksum = 0;
  while (rounds--) {
    for (u64 i = 0; i < sizeof composite; i++) composite[i] = 0;
    u64 primes = 0;
    for (u64 i = 2; i < sizeof composite; i++) {
      if (composite[i]) continue;
      primes++;
      for (u64 j = i * i; j < sizeof composite; j += i) composite[j] = 1;
    }
    checksum = mix(checksum, primes);
  }
  return checksum;
}

/* --- Long multiplication and division of 4096-bit numbers: 64x64 to 128 bits, carries --- */

#define LIMBS 64
static u64 number[LIMBS], factor[LIMBS], result[2 * LIMBS];

u64 bignum(u64 rounds) {
  restart_random();
  for (int i = 0; i < LIMBS; i++) number[i] = next_random(), factor[i] = next_random();
  u64 checksum = 0;
  while (rounds--) {
    for (int i = 0; i < 2 * LIMBS; i++) result[i] = 0;
    for (int i = 0; i < LIMBS; i++) {
      u64 carry = 0;
      for (int j = 0; j < LIMBS; j++) {
        const unsigned __int128 sum = (unsigned __int128)number[i] * factor[j] + result[i + j] + carry;
        result[i + j] = (u64)sum;
        carry = (u64)(sum >> 64);
      }
      result[i + LIMBS] = carry;
    }
    u64 remainder = 0;
    for (int i = 2 * LIMBS - 1; i >= 0; i--) {
      /* A 31-bit divisor, two steps per limb, so that the hardware's division serves. */
      const u64 high = remainder << 32 | result[i] >> 32;
      const u64 low = (high % 1000000007) << 32 | (result[i] & 0xffffffff);
      remainder = low % 1000000007;
    }
    checksum = mix(checksum, remainder);
    for (int i = 0; i < LIMBS; i++) number[i] = result[i + LIMBS / 2] ^ remainder;
  }
  return checksum;
}

/* --- A tokenizer: a switch over states, compiled to a jump table --- */

u64 tokenizer(u64 rounds) {
  static const char alphabet[] = "ab7 9\"\\+/*\n_.x0(){};=";
  enum state { SPACE, NAME, NUMBER, STRING, ESCAPE, SLASH, COMMENT, STAR, PUNCTUATION };
  u64 counts[9] = {0};
  restart_random();
  for (u64 i = 0; i < sizeof bytes; i++) bytes[i] = (u8)alphabet[next_random() % (sizeof alphabet - 1)];
  enum state state = SPACE;
  while (rounds--)
    for (u64 i = 0; i < sizeof bytes; i++) {
      const u8 c = bytes[i];
      switch (state) {
        case STRING:
          state = c == '"' ? SPACE : c == '\\' ? ESCAPE : STRING;
          break;
        case ESCAPE:
          state = STRING;
          break;
        case COMMENT:
          state = c == '*' ? STAR : COMMENT;
          break;
        case STAR:
          state = c == '/' ? SPACE : c == '*' ? STAR : COMMENT;
          break;
        case SLASH:
          if (c == '*') {
            state = COMMENT;
            break;
          }
          /* fall through */
        default:
          if (c == ' ' || c == '\n') state = SPACE;
          else if (c >= '0' && c <= '9') state = state == NAME ? NAME : NUMBER;
          else if (c == '_' || (c >= 'a' && c <= 'z')) state = NAME;
          else if (c == '"') state = STRING;
          else if (c == '/') state = SLASH;
          else state = PUNCTUATION;
      }
      counts[state]++;
    }
  u64 checksum = 0;
  for (u64 i = 0; i < COUNT(counts); i++) checksum = mix(checksum, counts[i]);
  return checksum;
}

/* --- A bytecode machine with a function per operation: indirect calls --- */

struct machine {
  u64 accumulator, other, sum;
};

static void op_add(struct machine *m, u64 operand) { m->accumulator += operand; }
static void op_xor(struct machine *m, u64 operand) { m->accumulator ^= m->other + operand; }
static void op_rotate(struct machine *m, u64 operand) {
  m->accumulator = m->accumulator << (operand & 63) | m->accumulator >> (-operand & 63);
}
static void op_swap(struct machine *m, u64 operand) {
  const u64 swap = m->accumulator;
  m->accumulator = m->other + operand;
  m->other = swap;
}
static void op_multiply(struct machine *m, u64 operand) { m->accumulator = m->accumulator * (operand | 1) + m->other; }
static void op_divide(struct machine *m, u64 operand) { m->other = m->accumulator / (operand + 3); }
static void op_sum(struct machine *m, u64 operand) { m->sum = mix(m->sum, m->accumulator - operand); }
static void op_count(struct machine *m, u64 operand) {
  u64 ones = 0;
  for (u64 rest = m->other & operand; rest; rest &= rest - 1) ones++;
  m->accumulator += ones;
}

static void (*const operations[])(struct machine *, u64) = {op_add,      op_xor,    op_rotate, op_swap,
                                                            op_multiply, op_divide, op_sum,    op_count};

u64 bytecode(u64 rounds) {
  struct machine machine = {1, 2, 0};
  fill_bytes();
  while (rounds--)
    for (u64 i = 0; i + 1 < sizeof bytes; i += 2)
      operations[bytes[i] % COUNT(operations)](&machine, bytes[i + 1]);
  return mix(machine.sum, machine.accumulator);
}

/* --- Queens on a board of 10: recursion over bit masks --- */

static NOINLINE u64 place(u32 all, u32 columns, u32 rising, u32 falling) {
  if (columns == all) return 1;
  u64 solutions = 0;
  for (u32 free = all & ~(columns | rising | falling); free;) {
    const u32 queen = free & -free;
    free ^= queen;
    solutions += place(all, columns | queen, (rising | queen) << 1, (falling | queen) >> 1);
  }
  return solutions;
}

u64 queens(u64 rounds) {
  u64 checksum = 0;
  while (rounds--) checksum = mix(checksum, place((1 << 10) - 1, 0, 0, 0));
  return checksum;
}
