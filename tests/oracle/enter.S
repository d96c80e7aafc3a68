/* Into a program and back: see harness.c. */
#define STATE_NZCV 768
#define STATE_FPCR 776
#define STATE_FPSR 784
#define STATE_V 256
#define STATE_X30 240

  .text
  .global enter_program, leave_program, back_in_harness, _start

_start:
  bl harness

/* X0: the state, X1: where to branch with X30 in TPIDR_EL0. */
enter_program:
  stp x19, x20, [sp, #-160]!
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  adrp x2, harness_sp
  mov x3, sp
  str x3, [x2, :lo12:harness_sp]
  add x2, x0, STATE_V
  .irp pair, "0, q1", "2, q3", "4, q5", "6, q7", "8, q9", "10, q11", "12, q13", "14, q15"
  ldp q\pair, [x2], #32
  .endr
  .irp pair, "16, q17", "18, q19", "20, q21", "22, q23", "24, q25", "26, q27", "28, q29", "30, q31"
  ldp q\pair, [x2], #32
  .endr
  ldr x3, [x0, STATE_NZCV]
  ldr x4, [x0, STATE_FPCR]
  ldr x5, [x0, STATE_FPSR]
  lsl x3, x3, #28
  msr nzcv, x3
  msr fpcr, x4
  msr fpsr, x5
  clrex
  ldp x2, x3, [x0, STATE_X30]
  msr tpidr_el0, x2
  mov sp, x3
  mov x30, x1
  ldp x2, x3, [x0, #16]
  ldp x4, x5, [x0, #32]
  ldp x6, x7, [x0, #48]
  ldp x8, x9, [x0, #64]
  ldp x10, x11, [x0, #80]
  ldp x12, x13, [x0, #96]
  ldp x14, x15, [x0, #112]
  ldp x16, x17, [x0, #128]
  ldp x18, x19, [x0, #144]
  ldp x20, x21, [x0, #160]
  ldp x22, x23, [x0, #176]
  ldp x24, x25, [x0, #192]
  ldp x26, x27, [x0, #208]
  ldp x28, x29, [x0, #224]
  ldp x0, x1, [x0]
  br x30

/* X0 is in TPIDR_EL0. */
leave_program:
  adrp x0, now
  add x0, x0, :lo12:now
  stp x2, x3, [x0, #16]
  stp x4, x5, [x0, #32]
  stp x6, x7, [x0, #48]
  stp x8, x9, [x0, #64]
  stp x10, x11, [x0, #80]
  stp x12, x13, [x0, #96]
  stp x14, x15, [x0, #112]
  stp x16, x17, [x0, #128]
  stp x18, x19, [x0, #144]
  stp x20, x21, [x0, #160]
  stp x22, x23, [x0, #176]
  stp x24, x25, [x0, #192]
  stp x26, x27, [x0, #208]
  stp x28, x29, [x0, #224]
  mrs x2, tpidr_el0
  stp x2, x1, [x0]
  mov x2, sp
  stp x30, x2, [x0, STATE_X30]
  mrs x2, nzcv
  lsr x2, x2, #28
  mrs x3, fpcr
  str x2, [x0, STATE_NZCV]
  str x3, [x0, STATE_FPCR]
  mrs x2, fpsr
  str x2, [x0, STATE_FPSR]
  add x0, x0, STATE_V
  .irp pair, "0, q1", "2, q3", "4, q5", "6, q7", "8, q9", "10, q11", "12, q13", "14, q15"
  stp q\pair, [x0], #32
  .endr
  .irp pair, "16, q17", "18, q19", "20, q21", "22, q23", "24, q25", "26, q27", "28, q29", "30, q31"
  stp q\pair, [x0], #32
  .endr
back_in_harness:
  adrp x0, harness_sp
  ldr x0, [x0, :lo12:harness_sp]
  mov sp, x0
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  ldp x19, x20, [sp], #160
  ret

  .section .note.GNU-stack, "", %progbits
