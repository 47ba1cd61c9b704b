// SPDX-License-Identifier: GPL-2.0-or-later

/* What the kernel's own headers say, to be read out of .rodata in this order. */
#include <stddef.h>
#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <asm/ptrace.h>
#include <asm/unistd.h>
#include <linux/elf.h>

struct rt_sigframe {
	struct siginfo info;
	struct ucontext uc;
};

const unsigned long kernel[] = {
	sizeof(struct user_pt_regs),
	offsetof(struct user_pt_regs, regs[30]),
	offsetof(struct user_pt_regs, sp),
	offsetof(struct user_pt_regs, pc),
	offsetof(struct user_pt_regs, pstate),

	offsetof(struct rt_sigframe, uc),
	offsetof(struct rt_sigframe, uc.uc_sigmask),
	offsetof(struct rt_sigframe, uc.uc_mcontext),
	offsetof(struct rt_sigframe, uc.uc_mcontext.regs),
	offsetof(struct rt_sigframe, uc.uc_mcontext.sp),
	offsetof(struct rt_sigframe, uc.uc_mcontext.pc),
	offsetof(struct rt_sigframe, uc.uc_mcontext.pstate),
	offsetof(struct rt_sigframe, uc.uc_mcontext.__reserved),
	sizeof(struct rt_sigframe),

	FPSIMD_MAGIC, sizeof(struct fpsimd_context),
	offsetof(struct fpsimd_context, fpsr), offsetof(struct fpsimd_context, vregs),
	SVE_MAGIC, offsetof(struct sve_context, vl),
	EXTRA_MAGIC, sizeof(struct extra_context),
	offsetof(struct extra_context, datap), offsetof(struct extra_context, size),

	sizeof(struct user_fpsimd_state), offsetof(struct user_fpsimd_state, fpsr),
	sizeof(struct user_sve_header), offsetof(struct user_sve_header, vl),
	offsetof(struct user_sve_header, flags), SVE_PT_REGS_SVE,
#define SVE(vq) \
	SVE_PT_SIZE(vq, SVE_PT_REGS_SVE), SVE_PT_SVE_FPSR_OFFSET(vq), \
	SVE_SIG_REGS_OFFSET, SVE_SIG_CONTEXT_SIZE(vq)
	SVE(1), SVE(2), SVE(3), SVE(16),

	sizeof(struct user_pac_mask), offsetof(struct user_pac_mask, insn_mask),

	NT_PRFPREG, NT_ARM_SVE, NT_ARM_PAC_MASK, NT_ARM_SYSTEM_CALL, NT_ARM_TLS,
	__NR_memfd_create, __NR_mmap, __NR_munmap, __NR_close, __NR_getpid, __NR_rt_sigreturn,
};
