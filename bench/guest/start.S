// From reset (EL1, MMU off, at address 0 in flash or wherever the image was put) to benchmark_main, which runs from
// RAM with the MMU on: 1 GiB of device memory, then 1 GiB of ordinary cacheable memory, mapped one to one, then what
// paging.c maps.

#define TABLE_BLOCK       1
#define TABLE_ATTR(index) ((index) << 2)
#define TABLE_INNER       (3 << 8)
#define TABLE_AF          (1 << 10)
#define TABLE_XN          (3 << 53)             // PXN and UXN

#define DEVICE_BLOCK      (TABLE_BLOCK | TABLE_ATTR(0) | TABLE_AF | TABLE_XN)
#define NORMAL_BLOCK      (0x40000000 | TABLE_BLOCK | TABLE_ATTR(1) | TABLE_INNER | TABLE_AF)

#define MAIR              0xff00                // 0: Device-nGnRnE, 1: Normal write-back
// T0SZ 25 (the walk starts at level 1), write-back inner-shareable walks, 4 KiB granule, no TTBR1, 40-bit PA
#define TCR               (25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (2 << 32))
#define SCTLR_M_C_I       ((1 << 0) | (1 << 2) | (1 << 12))

#define FRAME_BYTES       272                   // struct frame, and 8 bytes that keep SP aligned
#define FRAME_ELR         248

#define SPSR_EL0          0x3c0                 // AArch64, interrupts masked

    .section .text.start, "ax"
    .globl _start
_start:
    adr x0, _start
    ldr x1, =_start
    ldr x2, =_image_end
    cmp x0, x1
    b.eq 2f
1:  ldp x3, x4, [x0], #16
    stp x3, x4, [x1], #16
    cmp x1, x2
    b.lo 1b
2:  ldr x3, =_identity_end
3:  stp xzr, xzr, [x2], #16
    cmp x2, x3
    b.lo 3b
    dsb sy
    ic iallu
    dsb sy
    isb
    ldr x0, =in_ram
    br x0

in_ram:
    ldr x0, =stack_top
    mov sp, x0
    ldr x0, =vectors
    msr vbar_el1, x0

    ldr x0, =translation_table
    ldr x1, =DEVICE_BLOCK
    ldr x2, =NORMAL_BLOCK
    stp x1, x2, [x0]
    msr ttbr0_el1, x0
    ldr x1, =MAIR
    msr mair_el1, x1
    ldr x1, =TCR
    msr tcr_el1, x1
    tlbi vmalle1
    dsb sy
    isb
    mov x1, #(3 << 20)                          // CPACR_EL1.FPEN
    msr cpacr_el1, x1
    mrs x1, sctlr_el1
    ldr x2, =SCTLR_M_C_I
    orr x1, x1, x2
    msr sctlr_el1, x1
    isb

    bl benchmark_main
    .globl power_off
power_off:
    ldr x0, =0x84000008                         // PSCI SYSTEM_OFF
    hvc #0
    b .

// u64 run_at_el0(void (*function)(u64), u64 argument, void *stack_top): until leave_el0 gives the result.
    .globl run_at_el0
run_at_el0:
    stp x29, x30, [sp, #-96]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    mov x9, sp
    adrp x10, left_at
    str x9, [x10, :lo12:left_at]
    msr sp_el0, x2
    msr elr_el1, x0
    mov x3, #SPSR_EL0
    msr spsr_el1, x3
    mov x0, x1
    eret

// void leave_el0(u64 result): for the handler of an exception from EL0.
    .globl leave_el0
leave_el0:
    adrp x10, left_at
    ldr x9, [x10, :lo12:left_at]
    mov sp, x9
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp x29, x30, [sp], #96
    ret

    .balign 2048
vectors:
    .rept 4                                     // with SP_EL0, which nothing here uses at EL1
    .balign 128
    b unexpected
    .endr
    .balign 128
    b synchronous                               // from EL1
    .rept 3
    .balign 128
    b unexpected
    .endr
    .balign 128
    b synchronous                               // from EL0
    .rept 7
    .balign 128
    b unexpected
    .endr

unexpected:
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    b unexpected_exception

// As operating systems do: all registers to the stack, a function in C, and back.
synchronous:
    sub sp, sp, #FRAME_BYTES
    stp x0, x1, [sp, #0]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    str x30, [sp, #240]
    mrs x3, elr_el1
    mrs x4, spsr_el1
    stp x3, x4, [sp, #FRAME_ELR]
    mov x0, sp
    mrs x1, esr_el1
    mrs x2, far_el1
    bl handle_exception
    ldp x3, x4, [sp, #FRAME_ELR]
    msr elr_el1, x3
    msr spsr_el1, x4
    ldp x0, x1, [sp, #0]
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldr x30, [sp, #240]
    add sp, sp, #FRAME_BYTES
    eret

    .section .bss.identity, "aw", %nobits
    .balign 4096
    .globl translation_table
translation_table:
    .skip 4096
    .skip 65536
stack_top:
left_at:
    .skip 8
