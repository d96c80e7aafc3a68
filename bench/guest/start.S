// From reset (EL1, MMU off, at address 0 in flash or wherever the image was put) to benchmark_main, which runs from
// RAM with the MMU on: 1 GiB of device memory, then 1 GiB of ordinary cacheable memory, mapped one to one.

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
2:  ldr x3, =_bss_end
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

    .balign 2048
vectors:
    .rept 16
    .balign 128
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    b unexpected_exception
    .endr

    .bss
    .balign 4096
translation_table:
    .skip 4096
    .skip 65536
stack_top:
