/*
 * From reset (MMU off, at address 0 in flash) to `main` in RAM with the MMU on, and the exception vectors.
 *
 * `main` runs at EL1. Where the CPU starts at EL2, start.S goes down; but with -DEL2 all of this is EL2's, and with
 * -DHOST the program runs at EL2 as a host (HCR_EL2.E2H and TGE), where the names of EL1's registers mean EL2's.
 *
 * An exception is noted in `taken`. One from EL0 ends `el0_call`. One from EL1 goes on at `taken.resume` where that is
 * set, else after the instruction. IRQs and FIQs call `on_irq` and return.
 */
#define TABLE             3
#define BLOCK             1
#define ATTR(index)       ((index) << 2)
#define READ_ONLY         (1 << 7)
#define INNER_SHAREABLE   (3 << 8)
#define AF                (1 << 10)
#define XN                (3 << 53)

#ifdef EL2
#define EL(register)      register##_el2
#define FLUSH             tlbi alle2
#else
#define EL(register)      register##_el1
#define FLUSH             tlbi vmalle1
#endif

#define MAIR              0x44ff00              // 0: Device-nGnRnE, 1: Normal write-back, 2: Normal non-cacheable
// T0SZ 25 (walks start at level 1), write-back inner-shareable walks, 4 KiB granule, no TTBR1, 40-bit PA
#ifdef EL2
#define TCR               (25 | (1 << 8) | (1 << 10) | (3 << 12) | (2 << 16) | (1 << 23) | (1 << 31))
#else
#define TCR               (25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (2 << 32))
#endif
// RES1 bits of Armv8.0, SPAN among them; nTWE, nTWI, UCT, DZE, I, SA0, SA, C, M; no alignment check
#ifdef EL2
// RES1 bits of EL2; I, SA, C, M
#define SCTLR             (0x30c50830 | (1 << 12) | (1 << 3) | 5)
#else
#define SCTLR             (0x30d00800 | (5 << 16) | (1 << 15) | (1 << 14) | (1 << 12) | (3 << 3) | 5)
#endif

// HCR_EL2: RW; E2H and TGE
#define HCR               (1 << 31)
#define HCR_HOST          ((1 << 31) | (1 << 34) | (1 << 27))

    .section .text.start, "ax"
    .globl _start
_start:
    adr x0, _start
    ldr x1, =_start
    ldr x2, =_image_end
1:  ldp x3, x4, [x0], #16
    stp x3, x4, [x1], #16
    cmp x1, x2
    b.lo 1b
    ldr x2, =_bss_start
    ldr x3, =_bss_end
2:  stp xzr, xzr, [x2], #16
    cmp x2, x3
    b.lo 2b
    dsb sy
    ic iallu
    dsb sy
    isb
    ldr x0, =in_ram
    br x0

in_ram:
    mrs x0, currentel
    cmp x0, #8
    b.ne at_level
    ldr x0, =is_el2
    mov x1, #1
    str x1, [x0]
    bl from_el2
at_level:
    ldr x0, =stack_top
    mov sp, x0
    ldr x0, =vectors
    msr EL(vbar), x0
    ldr x0, =boot_level1
    ldr x1, =boot_level2
    ldr x2, =(BLOCK | ATTR(0) | AF | XN)
    orr x3, x1, #TABLE
    stp x2, x3, [x0]
    ldr x2, =(0x40000000 | BLOCK | ATTR(1) | INNER_SHAREABLE | AF | READ_ONLY)
    str x2, [x1], #8
    ldr x2, =(0x40200000 | BLOCK | ATTR(1) | INNER_SHAREABLE | AF)
    mov x3, #511
3:  str x2, [x1], #8
    add x2, x2, #0x200000
    subs x3, x3, #1
    b.ne 3b
    bl enable_mmu
    bl main
    .globl power_off
power_off:
    ldr x0, =0x84000008                         // PSCI SYSTEM_OFF
    bl firmware_call
    b .

// A firmware call: by HVC, or by SMC where that is EL2's.
    .globl firmware_call
firmware_call:
    ldr x9, =is_el2
    ldr x9, [x9]
    cbnz x9, 1f
    hvc #0
    ret
1:  smc #0
    ret

// Goes on after the call at the level that the program is for, from EL2.
from_el2:
#ifdef HOST
    ldr x0, =HCR_HOST
    msr hcr_el2, x0
    isb
    ret
#else
    ldr x0, =HCR
    msr hcr_el2, x0
    isb
#ifdef EL2
    ret
#else
    mov x0, #3                                  // EL1PCTEN, EL1PCEN
    msr cnthctl_el2, x0
    msr cntvoff_el2, xzr
    mrs x0, midr_el1
    msr vpidr_el2, x0
    mrs x0, mpidr_el1
    msr vmpidr_el2, x0
    mov x0, #0x33ff
    msr cptr_el2, x0
    msr mdcr_el2, xzr
    msr hstr_el2, xzr
    mrs x0, id_aa64pfr0_el1
    ubfx x0, x0, #24, #4
    cbz x0, 1f
    mov x0, #0xf                                // SRE, and EL1's use of it
    msr s3_4_c12_c9_5, x0
    isb
    msr s3_4_c12_c11_0, xzr                     // ICH_HCR_EL2
1:  ldr x0, =0x30d00980
    msr sctlr_el1, x0
    mov x0, #0x3c5
    msr spsr_el2, x0
    msr elr_el2, x30
    eret
#endif
#endif

enable_mmu:
    ldr x0, =boot_level1
    msr EL(ttbr0), x0
    ldr x1, =MAIR
    msr EL(mair), x1
    ldr x1, =TCR
    msr EL(tcr), x1
    FLUSH
    dsb sy
    isb
    ldr x1, =SCTLR
    msr EL(sctlr), x1
    isb
    ret

// Entry of a CPU that PSCI CPU_ON starts; X0, its context, is the top of its stack. Calls `secondary_main`, which is
// not in every guest, and switches the CPU off.
    .weak secondary_main
    .globl secondary_entry
secondary_entry:
    mov x20, x0
    mrs x0, currentel
    cmp x0, #8
    b.ne 1f
    bl from_el2
1:  mov sp, x20
    ldr x1, =vectors
    msr EL(vbar), x1
    bl enable_mmu
    bl secondary_main
    ldr x0, =0x84000002                         // PSCI CPU_OFF
    bl firmware_call
    b .

// struct taken
#define TAKEN_VECTOR  0
#define TAKEN_ESR     8
#define TAKEN_ELR     16
#define TAKEN_FAR     24
#define TAKEN_SPSR    32
#define TAKEN_COUNT   40
#define TAKEN_RESUME  48
#define TAKEN_SP      56

// Interrupts from lower levels end `el0_call` where the program is EL2's.
#ifdef EL2
#define LOWER_INTERRUPTS 8
#else
#define LOWER_INTERRUPTS 16
#endif

    .macro vector index
    .balign 128
    msr EL(tpidr), x18
    mov x18, #\index
    .if ((\index % 4) == 1 || (\index % 4) == 2) && \index < LOWER_INTERRUPTS
    b interrupted
    .else
    b synchronous
    .endif
    .endm

    .balign 2048
    .globl vectors
vectors:
    vector 0
    vector 1
    vector 2
    vector 3
    vector 4
    vector 5
    vector 6
    vector 7
    vector 8
    vector 9
    vector 10
    vector 11
    vector 12
    vector 13
    vector 14
    vector 15

synchronous:
    msr tpidrro_el0, x17
    ldr x17, =taken
    str x18, [x17, #TAKEN_VECTOR]
    mrs x18, EL(esr)
    str x18, [x17, #TAKEN_ESR]
    mrs x18, EL(elr)
    str x18, [x17, #TAKEN_ELR]
    mrs x18, EL(far)
    str x18, [x17, #TAKEN_FAR]
    mrs x18, sp_el0
    str x18, [x17, #TAKEN_SP]
    mrs x18, EL(spsr)
    str x18, [x17, #TAKEN_SPSR]
    and x18, x18, #~(1 << 20)                   // not back to the illegal state
    msr EL(spsr), x18
    ldr x18, [x17, #TAKEN_COUNT]
    add x18, x18, #1
    str x18, [x17, #TAKEN_COUNT]
    ldr x18, [x17, #TAKEN_VECTOR]
    tbnz x18, #3, from_el0
    ldr x18, [x17, #TAKEN_RESUME]
    str xzr, [x17, #TAKEN_RESUME]
    cbnz x18, 1f
    mrs x18, EL(elr)
    add x18, x18, #4
1:  msr EL(elr), x18
    mrs x17, tpidrro_el0
    mrs x18, EL(tpidr)
    eret
    .ltorg

interrupted:
    sub sp, sp, #192
    stp x0, x1, [sp]
    mov x0, x18
    mrs x18, EL(tpidr)
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x30, [sp, #144]
    mrs x1, EL(elr)
    mrs x2, EL(spsr)
    stp x1, x2, [sp, #160]
    bl on_irq
    ldp x1, x2, [sp, #160]
    msr EL(elr), x1
    msr EL(spsr), x2
    ldp x18, x30, [sp, #144]
    ldp x16, x17, [sp, #128]
    ldp x14, x15, [sp, #112]
    ldp x12, x13, [sp, #96]
    ldp x10, x11, [sp, #80]
    ldp x8, x9, [sp, #64]
    ldp x6, x7, [sp, #48]
    ldp x4, x5, [sp, #32]
    ldp x2, x3, [sp, #16]
    ldp x0, x1, [sp]
    add sp, sp, #192
    eret

// Runs at EL0 (or in another mode of EL1) until an exception. x0: PC, x1: its X0, x2: SP_EL0, x3: SPSR, x4: its X30,
// x5: its X1
    .globl el0_call
el0_call:
    ldr x9, =context
    stp x19, x20, [x9]
    stp x21, x22, [x9, #16]
    stp x23, x24, [x9, #32]
    stp x25, x26, [x9, #48]
    stp x27, x28, [x9, #64]
    stp x29, x30, [x9, #80]
    mov x10, sp
    str x10, [x9, #96]
    msr EL(elr), x0
    msr sp_el0, x2
    msr EL(spsr), x3
    mov x0, x1
    mov x1, x5
    mov x30, x4
    eret

    .globl from_el0
from_el0:
    ldr x9, =context
    ldp x19, x20, [x9]
    ldp x21, x22, [x9, #16]
    ldp x23, x24, [x9, #32]
    ldp x25, x26, [x9, #48]
    ldp x27, x28, [x9, #64]
    ldp x29, x30, [x9, #80]
    ldr x10, [x9, #96]
    mov sp, x10
    ret
    .ltorg

// Calls x0 with x1 as X0; an exception on the way ends it. SP and callee-saved registers must come through.
    .globl guarded_call
guarded_call:
    stp x29, x30, [sp, #-16]!
    ldr x9, =taken
    adr x10, 1f
    str x10, [x9, #TAKEN_RESUME]
    mov x9, x0
    mov x0, x1
    blr x9
1:  ldr x9, =taken
    str xzr, [x9, #TAKEN_RESUME]
    ldp x29, x30, [sp], #16
    ret
    .ltorg

// One instruction each, which may fault, then RET. They are mapped for EL0 elsewhere, so they reach nothing by PC.
    .macro op name, instruction:vararg
    .globl \name
\name:
    \instruction
    ret
    .endm

    .section .ops, "ax"
    .globl ops_start
ops_start:
    .globl op_exit
op_exit:
    svc #0xe0
    op op_nop, nop
    op op_ret, ret
    op op_ldrb, ldrb w0, [x0]
    op op_ldr, ldr x0, [x0]
    op op_ldrw, ldr w0, [x0]
    op op_str, str x1, [x0]
    op op_ldp, ldp x0, x1, [x0]
    op op_stp, stp x1, x1, [x0]
    op op_ldtr, ldtr x0, [x0]
    op op_sttr, sttr x1, [x0]
    op op_ldxr, ldxr x0, [x0]
    op op_stxr, stxr w2, x1, [x0]; mov x0, x2
    op op_ldxp, ldxp x0, x1, [x0]
    op op_ldar, ldar x0, [x0]
    op op_stlr, stlr x1, [x0]
    op op_ldaxrh, ldaxrh w0, [x0]
    op op_zva, dc zva, x0
    op op_cvau, dc cvau, x0
    op op_civac, dc civac, x0
    op op_ivac, dc ivac, x0
    op op_ivau, ic ivau, x0
    op op_ldrq, .inst 0x3dc00000                // ldr q0, [x0]
    op op_strq, .inst 0x3d800000                // str q0, [x0]
    op op_ldpq, .inst 0xad400400                // ldp q0, q1, [x0]
    op op_stpq, .inst 0xad000400                // stp q0, q1, [x0]
    op op_ld1, .inst 0x4c407800                 // ld1 {v0.4s}, [x0]
    op op_prfm, prfm pldl1keep, [x0]
    op op_ldr_post, ldr x1, [x0], #8
    op op_br, br x0
    op op_svc, svc #0x1234
    op op_brk, brk #0xabcd
    op op_hvc, hvc #0
    op op_smc, smc #0
    op op_hlt, hlt #1
    op op_udf, .inst 0x0000beef
    op op_unallocated, .inst 0xffffffff
    op op_eret, eret
    op op_wfi, wfi
    op op_wfe, wfe
    op op_fmov, .inst 0x9e660000                // fmov x0, d0
    op op_read_fpcr, .inst 0xd53b4400           // mrs x0, fpcr
    op op_write_fpsr, .inst 0xd51b4421          // msr fpsr, x1
    op op_simd_unallocated, .inst 0x0e000000 | (3 << 22) | (1 << 10) | (0 << 16)
    op op_read_sctlr, mrs x0, sctlr_el1
    op op_write_sctlr, msr sctlr_el1, x1
    op op_read_ttbr0, mrs x5, ttbr0_el1
    op op_read_currentel, mrs x0, currentel
    op op_write_currentel, .inst 0xd5184241       // msr currentel, x1
    op op_read_daif, mrs x7, daif
    op op_write_daif, msr daif, x1
    op op_daifset, msr daifset, #5
    op op_daifclr, msr daifclr, #2
    op op_spsel, msr spsel, #1
    op op_read_spsel, mrs x0, spsel
    op op_read_nzcv, mrs x0, nzcv
    op op_write_nzcv, msr nzcv, x1
    op op_read_ctr, mrs x9, ctr_el0
    op op_read_dczid, mrs x0, dczid_el0
    op op_read_cntfrq, mrs x3, cntfrq_el0
    op op_write_cntfrq, msr cntfrq_el0, x1
    op op_read_cntvct, mrs x4, cntvct_el0
    op op_read_cntpct, mrs x4, cntpct_el0
    op op_read_cntv_ctl, mrs x4, cntv_ctl_el0
    op op_write_cntv_cval, msr cntv_cval_el0, x1
    op op_read_cntp_ctl, mrs x4, cntp_ctl_el0
    op op_read_tpidr, mrs x4, tpidr_el0
    op op_read_tpidrro, mrs x4, tpidrro_el0
    op op_write_tpidrro, msr tpidrro_el0, x1
    op op_read_midr, mrs x4, midr_el1
    op op_write_midr, .inst 0xd5180001            // msr midr_el1, x1
    op op_read_unknown, mrs x4, s3_5_c15_c3_2
    op op_write_unknown, msr s3_3_c15_c3_7, x1
    op op_read_vbar_el2, mrs x4, vbar_el2
    op op_sys_unknown, sys #3, c15, c1, #2, x3
    op op_sysl, sysl x4, #3, c15, c1, #2
    op op_read_sp_el0, mrs x0, sp_el0
    op op_read_icc_iar, mrs x4, s3_0_c12_c12_0
    op op_tlbi, tlbi vmalle1
    op op_iallu, ic iallu
    op op_at, at s1e1r, x0
    op op_pan, .inst 0xd500419f                 // msr pan, #1
    op op_sp_ldr, ldr x0, [sp]
    op op_sp_str, str x1, [sp, #16]
    op op_sp_ldp, ldp x0, x1, [sp], #16
    op op_sp_ldxr, ldxr x0, [sp]
    op op_sp_ldar, ldar x0, [sp]
    op op_sp_prfm, prfm pldl1keep, [sp]
    op op_sp_ldrq, .inst 0x3dc003e0
    op op_sp_ld1, .inst 0x4c407be0
    op op_sp_ldur, ldur x0, [sp, #8]
    op op_sp_ldr_register, ldr x0, [sp, xzr]
    .balign 65536
    .globl ops_end
ops_end:

    .bss
    .balign 4096
boot_level1:
    .skip 4096
    .globl boot_level2
boot_level2:
    .skip 4096
    .skip 65536
    .globl stack_top
stack_top:
    .globl taken
taken:
    .skip 64
context:
    .skip 128
is_el2:
    .skip 8
