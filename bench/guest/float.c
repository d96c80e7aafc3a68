/*
 * Floating point and Advanced SIMD: scalar arithmetic in double and single precision, and intrinsics on vectors. All
 * that is rounded is part of the checksums, which agree with QEMU's only where every operation does.
 */
#include <arm_neon.h>

#include "kernels.h"

static u64 bits_of(double value) {
  union { double value; u64 bits; } both = {value};
  return both.bits;
}

/* --- Bodies that attract each other: products, sums, roots and quotients of doubles --- */

enum { BODIES = 5 };

static struct body {
  double position[3], velocity[3], mass;
} bodies[BODIES];

static void restart_bodies(void) {
  for (int i = 0; i < BODIES; i++) {
    for (int axis = 0; axis < 3; axis++) {
      bodies[i].position[axis] = (i + 1) * (axis == i % 3 ? 3.25 : 0.375 * axis - 0.25);
      bodies[i].velocity[axis] = (axis == (i + 1) % 3 ? 0.5 : -0.0625) / (i + 1);
    }
    bodies[i].mass = i == 0 ? 40.0 : 0.03125 * i;
  }
}

static void attract(double step) {
  for (int i = 0; i < BODIES; i++)
    for (int k = i + 1; k < BODIES; k++) {
      double distance[3], square = 0;
      for (int axis = 0; axis < 3; axis++) {
        distance[axis] = bodies[i].position[axis] - bodies[k].position[axis];
        square += distance[axis] * distance[axis];
      }
      const double magnitude = step / (square * __builtin_sqrt(square));
      for (int axis = 0; axis < 3; axis++) {
        bodies[i].velocity[axis] -= distance[axis] * bodies[k].mass * magnitude;
        bodies[k].velocity[axis] += distance[axis] * bodies[i].mass * magnitude;
      }
    }
  for (int i = 0; i < BODIES; i++)
    for (int axis = 0; axis < 3; axis++) bodies[i].position[axis] += step * bodies[i].velocity[axis];
}

u64 fp_nbody(u64 rounds) {
  u64 checksum = 0;
  restart_bodies();
  while (rounds--) {
    for (int n = 0; n < 1000; n++) attract(0.001953125);
    checksum = mix(checksum, bits_of(bodies[0].position[0]) ^ bits_of(bodies[4].velocity[2]));
  }
  return checksum;
}

/* --- Products of matrices of floats, a multiply-add at a time --- */

enum { SIDE = 48 };
static float left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

u64 fp_matrix(u64 rounds) {
  u64 checksum = 0;
  for (int i = 0; i < SIDE; i++)
    for (int k = 0; k < SIDE; k++) {
      left[i][k] = (float)(i * 7 + k * 3 - 100) / 64;
      right[i][k] = (float)(i * 5 - k * 11 + 30) / 96;
    }
  while (rounds--) {
    for (int i = 0; i < SIDE; i++)
      for (int k = 0; k < SIDE; k++) {
        float sum = 0;
        for (int n = 0; n < SIDE; n++) sum = __builtin_fmaf(left[i][n], right[n][k], sum);
        product[i][k] = sum;
      }
    /* The next round's factor, of elements below 1: sums stay finite. */
    for (int i = 0; i < SIDE; i++)
      for (int k = 0; k < SIDE; k++) left[i][k] = product[i][k] / (1.0f + __builtin_fabsf(product[i][k]));
    checksum = mix(checksum, (u64)(s64)(left[5][7] * 65536.0f) ^ bits_of(left[40][3]));
  }
  return checksum;
}

/* --- A filter of 16 taps over samples: vectors of four floats --- */

enum { SAMPLES = 4096, TAPS = 16 };
static float samples[SAMPLES + TAPS], filtered[SAMPLES];

u64 simd_filter(u64 rounds) {
  u64 checksum = 0;
  float taps[TAPS];
  for (int i = 0; i < TAPS; i++) taps[i] = (float)(i < TAPS / 2 ? i + 1 : TAPS - i) / 72;
  for (int i = 0; i < SAMPLES + TAPS; i++) samples[i] = (float)(i * 37 % 1024 - 512) / 512;
  while (rounds--) {
    float32x4_t largest = vdupq_n_f32(0);
    for (int i = 0; i < SAMPLES; i += 4) {
      float32x4_t sum = vdupq_n_f32(0);
      for (int n = 0; n < TAPS; n++) sum = vfmaq_n_f32(sum, vld1q_f32(samples + i + n), taps[n]);
      largest = vmaxq_f32(largest, vabsq_f32(sum));
      vst1q_f32(filtered + i, sum);
    }
    const float scale = 1.0f / vmaxvq_f32(largest);
    for (int i = 0; i < SAMPLES; i += 4)
      vst1q_f32(samples + i, vsubq_f32(vmulq_n_f32(vld1q_f32(filtered + i), scale), vld1q_f32(samples + i)));
    checksum = mix(checksum, bits_of(samples[rounds % SAMPLES]));
  }
  return checksum;
}

/* --- Pictures blended into each other, and differences counted: vectors of bytes and halfwords --- */

enum { PIXELS = 1 << 14 };
static u8 front[PIXELS], back[PIXELS];

u64 simd_blend(u64 rounds) {
  u64 checksum = 0;
  for (int i = 0; i < PIXELS; i++) {
    front[i] = (u8)(i * 31 + (i >> 5));
    back[i] = (u8)(i * 17 ^ i >> 3);
  }
  while (rounds--) {
    const uint8x8_t weight = vdup_n_u8((u8)(rounds * 7)), rest = vdup_n_u8((u8)(255 - (u8)(rounds * 7)));
    uint32x4_t differences = vdupq_n_u32(0);
    for (int i = 0; i < PIXELS; i += 16) {
      const uint8x16_t a = vld1q_u8(front + i), b = vld1q_u8(back + i);
      const uint16x8_t low = vmlal_u8(vmull_u8(vget_low_u8(a), weight), vget_low_u8(b), rest);
      const uint16x8_t high = vmlal_u8(vmull_u8(vget_high_u8(a), weight), vget_high_u8(b), rest);
      const uint8x16_t blended = vcombine_u8(vqrshrn_n_u16(low, 8), vqrshrn_n_u16(high, 8));
      const uint8x16_t difference = vabdq_u8(a, blended);
      differences = vpadalq_u16(differences, vpaddlq_u8(difference));
      vst1q_u8(back + i, veorq_u8(blended, vextq_u8(a, b, 3)));
      vst1q_u8(front + i, vbslq_u8(vcgtq_u8(difference, vdupq_n_u8(40)), vqaddq_u8(a, vdupq_n_u8(3)), vrev32q_u8(a)));
    }
    checksum = mix(checksum, vaddvq_u32(differences));
  }
  return checksum;
}

/* --- Functions of doubles as libraries compute them: reduction, a polynomial, exponents put together from bits --- */

static double from_bits(u64 bits) {
  union { u64 bits; double value; } both = {bits};
  return both.value;
}

static double sine(double x) {
  const double turns = __builtin_round(x * 0.31830988618379067);
  const double r = x - turns * 3.1415926535897931, square = r * r;
  double sum = -2.5052108385441719e-08;
  sum = sum * square + 2.7557319223985893e-06;
  sum = sum * square - 1.9841269841269841e-04;
  sum = sum * square + 8.3333333333333333e-03;
  sum = sum * square - 1.6666666666666666e-01;
  const double result = r + r * square * sum;
  return (s64)turns & 1 ? -result : result;
}

static double exponential(double x) {
  if (x > 700) return from_bits(0x7ff0000000000000);
  if (x < -700) return 0;
  const s64 power = (s64)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
  const double r = x - (double)power * 0.69314718055994531;
  double sum = 1.0 / 5040, factorial = 720;
  for (int n = 6; n >= 0; n--) {
    sum = sum * r + 1 / factorial;
    factorial /= n ? n : 1;
  }
  return sum * from_bits((u64)(power + 1023) << 52);
}

static double logarithm(double x) {
  const u64 bits = bits_of(x);
  s64 power = (s64)(bits >> 52) - 1023;
  double mantissa = from_bits((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  if (mantissa > 1.4142135623730951) mantissa *= 0.5, power++;
  const double s = (mantissa - 1) / (mantissa + 1), square = s * s;
  double sum = 0;
  for (int n = 13; n >= 1; n -= 2) sum = sum * square + 1.0 / n;
  return 2 * s * sum + (double)power * 0.69314718055994531;
}

u64 fp_functions(u64 rounds) {
  u64 checksum = 0;
  double x = 0.5;
  while (rounds--) {
    for (int n = 0; n < 1000; n++) {
      const double wave = sine(x), grown = exponential(wave * 3), back = logarithm(grown + 1);
      x += wave < 0 ? grown : back + __builtin_fmin(wave, 0.25);
      if (x > 1e6) x -= __builtin_floor(x) - 1;
      checksum += (u64)(s64)(back * 4096) + (float)wave > 0.5f;
    }
    checksum = mix(checksum, bits_of(x));
  }
  return checksum;
}

/* --- A Fourier transform of 1024 complex doubles, there and back --- */

enum { POINTS = 1024 };
static struct complex {
  double real, imaginary;
} points[POINTS], roots[POINTS / 2];

static void transform(double direction) {
  for (u32 i = 0, k = 0; i < POINTS; i++) {
    if (i < k) {
      const struct complex swap = points[i];
      points[i] = points[k];
      points[k] = swap;
    }
    u32 bit = POINTS / 2;
    for (; k & bit; bit >>= 1) k ^= bit;
    k |= bit;
  }
  for (u32 half = 1; half < POINTS; half *= 2)
    for (u32 group = 0; group < POINTS; group += 2 * half)
      for (u32 i = 0; i < half; i++) {
        struct complex *const low = &points[group + i], *const high = low + half;
        const struct complex root = roots[i * (POINTS / 2 / half)];
        const double turned = direction * root.imaginary;
        const double real = high->real * root.real - high->imaginary * turned;
        const double imaginary = high->real * turned + high->imaginary * root.real;
        high->real = low->real - real, high->imaginary = low->imaginary - imaginary;
        low->real += real, low->imaginary += imaginary;
      }
}

u64 fp_fourier(u64 rounds) {
  u64 checksum = 0;
  for (int i = 0; i < POINTS / 2; i++)
    roots[i] = (struct complex){sine(1.5707963267948966 - i * 0.0061359231515425649), sine(i * 0.0061359231515425649)};
  for (int i = 0; i < POINTS; i++) points[i] = (struct complex){i % 37 - 18, i % 11 * 0.125};
  while (rounds--) {
    transform(1);
    checksum = mix(checksum, bits_of(points[rounds % POINTS].real));
    for (int i = 0; i < POINTS; i++) points[i].real *= 1.0 / POINTS, points[i].imaginary *= 1.0 / POINTS;
    transform(-1);
    checksum = mix(checksum, bits_of(points[rounds % POINTS].imaginary));
  }
  return checksum;
}

/* --- Moves of all sizes, as C libraries do them: pairs of vectors, overlapping at the ends --- */

static u8 heap[1 << 17];

/* Loads and stores without alignment. */
struct eight { u64 value; } __attribute__((packed, may_alias));
struct four { u32 value; } __attribute__((packed, may_alias));

static NOINLINE void move(u8 *to, const u8 *from, u64 count) {
  if (count > 32) {
    const uint8x16_t last0 = vld1q_u8(from + count - 32), last1 = vld1q_u8(from + count - 16);
    const uint8x16_t first0 = vld1q_u8(from), first1 = vld1q_u8(from + 16);
    if ((u64)(to - from) >= count) {
      for (u64 at = 32; at + 32 < count; at += 32) {
        const uint8x16_t a = vld1q_u8(from + at), b = vld1q_u8(from + at + 16);
        vst1q_u8(to + at, a);
        vst1q_u8(to + at + 16, b);
      }
    } else {
      for (u64 at = count - 32; at > 32; at -= 32) {
        const uint8x16_t a = vld1q_u8(from + at - 32), b = vld1q_u8(from + at - 16);
        vst1q_u8(to + at - 32, a);
        vst1q_u8(to + at - 16, b);
      }
    }
    vst1q_u8(to, first0);
    vst1q_u8(to + 16, first1);
    vst1q_u8(to + count - 32, last0);
    vst1q_u8(to + count - 16, last1);
  } else if (count >= 16) {
    const uint8x16_t first = vld1q_u8(from), last = vld1q_u8(from + count - 16);
    vst1q_u8(to, first);
    vst1q_u8(to + count - 16, last);
  } else if (count >= 8) {
    const struct eight first = *(const struct eight *)from, last = *(const struct eight *)(from + count - 8);
    *(struct eight *)to = first;
    *(struct eight *)(to + count - 8) = last;
  } else if (count >= 4) {
    const struct four first = *(const struct four *)from, last = *(const struct four *)(from + count - 4);
    *(struct four *)to = first;
    *(struct four *)(to + count - 4) = last;
  } else if (count) {
    const u8 first = from[0], middle = from[count / 2], last = from[count - 1];
    to[0] = first;
    to[count / 2] = middle;
    to[count - 1] = last;
  }
}

u64 simd_memmove(u64 rounds) {
  u64 checksum = 0;
  restart_random();
  for (u64 i = 0; i < sizeof heap; i++) heap[i] = (u8)next_random();
  while (rounds--) {
    for (u64 n = 0; n < 1000; n++) {
      const u64 random = next_random();
      /* Small ones more often, and neighbours, which overlap, as often as others. */
      const u64 count = (random & 0xfff) >> (random >> 12 & 15) % 9;
      const u64 from = (random >> 16) % (sizeof heap - 0x2000);
      const u64 to = random >> 63 ? from + (random >> 40 & 0x1ff) : (random >> 33) % (sizeof heap - 0x2000);
      move(heap + to, heap + from, count);
      checksum += heap[to + count / 3];
    }
    checksum = mix(checksum, heap[rounds % sizeof heap]);
  }
  return checksum;
}
