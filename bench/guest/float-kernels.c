/*
 * Floating point and Advanced SIMD: scalar arithmetic in double and single precision, and intrinsics on vectors. All
 * that is rounded is part of the checksums, which agree with QEMU's only where every operation does.
 */
#include <arm_neon.h>

#include "kernels.h"

static u64 mix(u64 checksum, u64 value) { return (checksum ^ value) * 0x100000001b3; }

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
    /* The next round's factor, of the same size. */
    for (int i = 0; i < SIDE; i++)
      for (int k = 0; k < SIDE; k++) left[i][k] = product[i][k] / (1.0f + __builtin_fabsf(product[k][i]));
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
