// SPDX-License-Identifier: GPL-2.0-or-later

/* Clears what a function that is called need not keep, and tells whether something
 * was not as it finds it. */
static inline int registers_clear(void)
{
	char byte = 0, *next = &byte;
	asm volatile("lodsb" : "+S"(next) : : "rax", "memory"); /* by the direction flag */
	asm volatile(
		"xor %%eax, %%eax\n xor %%ecx, %%ecx\n xor %%edx, %%edx\n xor %%esi, %%esi\n xor %%edi, %%edi\n"
		"xor %%r8d, %%r8d\n xor %%r9d, %%r9d\n xor %%r10d, %%r10d\n xor %%r11d, %%r11d\n"
		"pxor %%xmm0, %%xmm0\n pxor %%xmm1, %%xmm1\n pxor %%xmm7, %%xmm7\n pxor %%xmm15, %%xmm15\n"
		: : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm7", "xmm15", "cc");
	return next != &byte + 1;
}

/* Whether registers, flags or the red zone change while they hold known values
 * and time passes. */
static int registers_changed(void)
{
	unsigned long bad;
	asm volatile(
		"mov $0x1111, %%r8\n mov $0x2222, %%r9\n mov $0x3333, %%r10\n mov $0x4444, %%r11\n"
		"mov $0x5555, %%r12\n mov $0x6666, %%r13\n mov $0x7777, %%r14\n mov $0x8888, %%r15\n"
		"movq %%r8, %%xmm0\n movq %%r9, %%xmm1\n movq %%r10, %%xmm7\n movq %%r15, %%xmm15\n"
		"punpcklqdq %%xmm0, %%xmm0\n"
		"mov %%r8, -8(%%rsp)\n mov %%r15, -128(%%rsp)\n"
		"mov $200000, %%rcx\n"
		"std\n stc\n"
		"1: dec %%rcx\n jnz 1b\n"
		"jnc 2f\n"
		"cld\n"
		"cmp $0x1111, %%r8\n jne 2f\n cmp $0x2222, %%r9\n jne 2f\n cmp $0x3333, %%r10\n jne 2f\n"
		"cmp $0x4444, %%r11\n jne 2f\n cmp $0x5555, %%r12\n jne 2f\n cmp $0x6666, %%r13\n jne 2f\n"
		"cmp $0x7777, %%r14\n jne 2f\n cmp $0x8888, %%r15\n jne 2f\n"
		"movq %%xmm0, %%rax\n cmp %%rax, %%r8\n jne 2f\n"
		"psrldq $8, %%xmm0\n movq %%xmm0, %%rax\n cmp %%rax, %%r8\n jne 2f\n"
		"movq %%xmm1, %%rax\n cmp %%rax, %%r9\n jne 2f\n movq %%xmm7, %%rax\n cmp %%rax, %%r10\n jne 2f\n"
		"movq %%xmm15, %%rax\n cmp %%rax, %%r15\n jne 2f\n"
		"cmp %%r8, -8(%%rsp)\n jne 2f\n cmp %%r15, -128(%%rsp)\n jne 2f\n"
		"xor %0, %0\n jmp 3f\n"
		"2: mov $1, %0\n"
		"3: cld\n"
		: "=b"(bad) : : "rax", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		"xmm0", "xmm1", "xmm7", "xmm15", "cc", "memory");
	return bad != 0;
}
