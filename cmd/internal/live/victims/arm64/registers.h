// SPDX-License-Identifier: GPL-2.0-or-later

/* Whether registers change while they hold known values and time passes: x1 to
 * x30, the flags, v0 to v31, FPCR and FPSR, and where the CPU has SVE, z0 to z31 in
 * their full width, p0 to p15 and FFR. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

/* Clears what a function that is called need not keep, and tells whether something
 * was not as it finds it. */
static inline int registers_clear(void)
{
	asm volatile(
		"mov x1, #0\nmov x2, #0\nmov x7, #0\nmov x8, #0\nmov x9, #0\nmov x15, #0\nmov x16, #0\nmov x17, #0\n"
		"movi v0.2d, #0\nmovi v1.2d, #0\nmovi v7.2d, #0\nmovi v16.2d, #0\nmovi v24.2d, #0\nmovi v31.2d, #0\n"
		: : : "x1", "x2", "x7", "x8", "x9", "x15", "x16", "x17", "v0", "v1", "v7", "v16", "v24", "v31", "cc");
	return 0;
}

#define REGISTERS_SVE (1UL << 22) /* HWCAP_SVE */

struct registers {
	uint64_t x[31], flags, fpcr, fpsr;
	uint8_t v[32][16];
	uint8_t z[32][256], p[17][32]; /* as many bytes as the CPU has, one register behind the other; FFR last */
};

/* Loads all from the first, spins, and stores all to the second. x[0] counts. */
void registers_pass(const struct registers *in, struct registers *out, long sve);
asm(".globl registers_pass\n.type registers_pass,%function\nregisters_pass:\n"
	".arch armv8.2-a+sve\n"
	"stp x29, x30, [sp, #-192]!\n"
	"stp x19, x20, [sp, #16]\nstp x21, x22, [sp, #32]\nstp x23, x24, [sp, #48]\n"
	"stp x25, x26, [sp, #64]\nstp x27, x28, [sp, #80]\n"
	"stp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
	"stp x1, x2, [sp, #160]\nmrs x3, fpcr\nstr x3, [sp, #176]\n"
	"ldr x3, [x0, #248]\nmsr nzcv, x3\nldr x3, [x0, #256]\nmsr fpcr, x3\nldr x3, [x0, #264]\nmsr fpsr, x3\n"
	"cbnz x2, 1f\n"
	"add x3, x0, #272\n"
#define PAIR(op, a, b, at) #op " q" #a ", q" #b ", [x3, #" #at "]\n"
#define PAIRS(op) \
	PAIR(op, 0, 1, 0) PAIR(op, 2, 3, 32) PAIR(op, 4, 5, 64) PAIR(op, 6, 7, 96) PAIR(op, 8, 9, 128) \
	PAIR(op, 10, 11, 160) PAIR(op, 12, 13, 192) PAIR(op, 14, 15, 224) PAIR(op, 16, 17, 256) PAIR(op, 18, 19, 288) \
	PAIR(op, 20, 21, 320) PAIR(op, 22, 23, 352) PAIR(op, 24, 25, 384) PAIR(op, 26, 27, 416) PAIR(op, 28, 29, 448) \
	PAIR(op, 30, 31, 480)
	PAIRS(ldp)
	"b 2f\n"
	"1: add x3, x0, #784\nmov x4, #8976\nadd x4, x0, x4\n" /* z and p */
	"ldr p0, [x4, #16, mul vl]\nwrffr p0.b\n"
#define EACH16(op, kind, base) \
	op(kind, 0, base) op(kind, 1, base) op(kind, 2, base) op(kind, 3, base) op(kind, 4, base) op(kind, 5, base) \
	op(kind, 6, base) op(kind, 7, base) op(kind, 8, base) op(kind, 9, base) op(kind, 10, base) op(kind, 11, base) \
	op(kind, 12, base) op(kind, 13, base) op(kind, 14, base) op(kind, 15, base)
#define LOAD(kind, n, base) "ldr " #kind #n ", [" #base ", #" #n ", mul vl]\n"
#define STORE(kind, n, base) "str " #kind #n ", [" #base ", #" #n ", mul vl]\n"
#define UPPER(op, base) \
	op(z, 16, base) op(z, 17, base) op(z, 18, base) op(z, 19, base) op(z, 20, base) op(z, 21, base) op(z, 22, base) \
	op(z, 23, base) op(z, 24, base) op(z, 25, base) op(z, 26, base) op(z, 27, base) op(z, 28, base) op(z, 29, base) \
	op(z, 30, base) op(z, 31, base)
	EACH16(LOAD, z, x3) UPPER(LOAD, x3) EACH16(LOAD, p, x4)
	"2:\n"
	"ldp x1, x2, [x0, #8]\nldp x3, x4, [x0, #24]\nldp x5, x6, [x0, #40]\nldp x7, x8, [x0, #56]\n"
	"ldp x9, x10, [x0, #72]\nldp x11, x12, [x0, #88]\nldp x13, x14, [x0, #104]\nldp x15, x16, [x0, #120]\n"
	"ldp x17, x18, [x0, #136]\nldp x19, x20, [x0, #152]\nldp x21, x22, [x0, #168]\nldp x23, x24, [x0, #184]\n"
	"ldp x25, x26, [x0, #200]\nldp x27, x28, [x0, #216]\nldp x29, x30, [x0, #232]\n"
	"ldr x0, [x0]\n"
	"3: sub x0, x0, #1\ncbnz x0, 3b\n"
	"ldr x0, [sp, #160]\n"
	"stp x1, x2, [x0, #8]\nstp x3, x4, [x0, #24]\nstp x5, x6, [x0, #40]\nstp x7, x8, [x0, #56]\n"
	"stp x9, x10, [x0, #72]\nstp x11, x12, [x0, #88]\nstp x13, x14, [x0, #104]\nstp x15, x16, [x0, #120]\n"
	"stp x17, x18, [x0, #136]\nstp x19, x20, [x0, #152]\nstp x21, x22, [x0, #168]\nstp x23, x24, [x0, #184]\n"
	"stp x25, x26, [x0, #200]\nstp x27, x28, [x0, #216]\nstp x29, x30, [x0, #232]\n"
	"mrs x3, nzcv\nstr x3, [x0, #248]\nmrs x3, fpcr\nstr x3, [x0, #256]\nmrs x3, fpsr\nstr x3, [x0, #264]\n"
	"ldr x2, [sp, #168]\ncbnz x2, 4f\n"
	"add x3, x0, #272\n" PAIRS(stp)
	"b 5f\n"
	"4: add x3, x0, #784\nmov x4, #8976\nadd x4, x0, x4\n"
	EACH16(STORE, z, x3) UPPER(STORE, x3) EACH16(STORE, p, x4)
	"rdffr p0.b\nstr p0, [x4, #16, mul vl]\n"
	"5: ldr x3, [sp, #176]\nmsr fpcr, x3\n"
	"ldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\n"
	"ldp x25, x26, [sp, #64]\nldp x27, x28, [sp, #80]\n"
	"ldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n"
	"ldp x29, x30, [sp], #192\nret\n.size registers_pass,.-registers_pass\n");

static int registers_changed(void)
{
	static __thread struct registers in, out;
	static __thread unsigned char seed;
	long sve = (getauxval(AT_HWCAP) & REGISTERS_SVE) != 0;
	unsigned char *byte = (unsigned char *)&in;
	_Static_assert(offsetof(struct registers, v) == 272 && offsetof(struct registers, z) == 784 && offsetof(struct registers, p) == 8976, "as the code above has it");
	seed++;
	for (size_t i = 0; i < sizeof in; i++)
		byte[i] = seed + i * 7 + (i >> 8);
	in.x[0] = 20000;
	in.flags = (uint64_t)(seed & 15) << 28;
	in.fpcr = (uint64_t)(seed & 3) << 22; /* the rounding mode */
	in.fpsr = seed & 31;
	if (sve) {
		long width;
		asm(".arch armv8.2-a+sve\nrdvl %0, #2\n" : "=r"(width)); /* of p0 to p15 */
		memset((unsigned char *)in.p + width, 0xff, sizeof in.p - width); /* FFR takes ones followed by zeros, and nothing else */
	}
	memcpy(&out, &in, sizeof out);
	registers_pass(&in, &out, sve);
	return memcmp(&in, &out, sizeof in) != 0;
}
