// SPDX-License-Identifier: GPL-2.0-or-later

// Generated: see cmd/internal/live/generate_test.go.
#define MODE 1
#if MODE == 2
int fixed;
#endif
struct pair { unsigned a, b; };
static struct pair pairs1[4] = { { 61, 2 }, { 3, 4 } };
unsigned g0 = 31;
static unsigned char buf2[38];
unsigned arr0[8] = { 5, 4, 3 };
static const unsigned table2[16] = { 10, 4, 38, 9, 7, 7, 1 };
static unsigned g1 = 68;
static struct { unsigned a; unsigned char b; unsigned long c; } rec = { 5, 6, 7 };
static unsigned char buf1[31];
#if MODE != 0
static unsigned narr1[8] = { 34 };
#endif
static unsigned arr2[8] = { 2, 21, 3 };
static __thread unsigned tls0 = 3, tls1;
unsigned g2 = 0;
#if MODE != 0
static unsigned n0 = 25;
#endif
static const unsigned table0[16] = { 21, 4, 44, 9, 7, 7, 1 };
static unsigned arr3[8] = { 3, 85, 3 };
static unsigned arr1[8] = { 8, 98, 3 };
static struct pair pairs0[4] = { { 65, 2 }, { 3, 4 } };
static const unsigned table1[16] = { 69, 4, 69, 9, 7, 7, 1 };
#if MODE != 0
static unsigned narr0[8] = { 5 };
#endif
static unsigned g3 = 0;
static unsigned char buf0[38];
#if MODE != 0
static unsigned n1 = 26;
#endif
static unsigned *const marks[4] = { arr0 + 8, arr1 + 4, arr2 + 1, arr3 + 8 };
__attribute__((noinline)) static unsigned mix(const char *s) { unsigned h = 5; while (*s) h = h * 33 + (unsigned char)*s++; return h; }
static unsigned f0(unsigned x) {
	unsigned y = x >> 3;
	{ static unsigned count; count += x; y ^= count; }
	{ static _Bool once; if (!once) { once = 1; x += 57; } }
	for (unsigned i = 1 + (x & 1); i < 8; i++) y += arr0[i - 1] * i;
	{ static const void *const go[] = { &&a1, &&b1 }; goto *go[x & 1]; a1: y += 3; b1: x ^= y; }
	x += mix("text 1");
	for (unsigned i = 12; i > 0; i--) { y = y * 3 + i; if (i <= 8) arr2[i - 1] += y; }
	return x + y;
}
__attribute__((noinline)) static unsigned f1(unsigned x) {
	unsigned y = x >> 3;
	for (unsigned *p = arr2; p != arr2 + 8; p++) x += *p;
	for (unsigned i = 0; i < 16; i++) { if (i >= 8) x += arr3[i - 8]; else y = y * 5 + i; }
	for (unsigned i = 1 + (x & 1); i < 8; i++) y += arr1[i - 1] * i;
	x += f0(404);
	for (unsigned i = 0; i < 8; i++) arr3[7 - i] ^= arr1[i] + x;
	return x + y;
}
__attribute__((noinline)) static unsigned f2(unsigned x) {
	unsigned y = x >> 3;
	y += marks[x & 3][-1];
	{ unsigned char *p = buf0 + sizeof buf0; while (p != buf0) { *--p += 3; y += *p; } }
	for (unsigned i = 1 + (x & 1); i < 8; i++) y += arr1[i - 1] * i;
	{ static _Bool once; if (!once) { once = 1; x += 93; } }
	for (unsigned i = 0; i < 16; i++) { if (i >= 8) x += arr2[i - 8]; else y = y * 5 + i; }
	return x + y;
}
__attribute__((noinline)) unsigned f3(unsigned x) {
	unsigned y = x >> 3;
	x += f1((y ^ g3));
	{ static unsigned count; count += x; y ^= count; }
	g2 += table0[y & 15];
	{ static unsigned count; count += x; y ^= count; }
	for (unsigned i = 1 + (x & 1); i < 8; i++) y += arr1[i - 1] * i;
	{ unsigned *p = x & 1 ? arr3 : arr1 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; }
	{ unsigned (*volatile call)(unsigned) = x & 1 ? f0 : f1; y += call(x); }
	{ static unsigned count; count += x; y ^= count; }
	return x + y;
}
__attribute__((noinline)) unsigned f4(unsigned x) {
	unsigned y = x >> 3;
#if MODE == 0
	{ unsigned *p = arr1, *q = arr0 + 8; while (p != arr1 + 8) y += *p++ * *--q; }
#elif MODE == 1
	
#else
	if (fixed) {  } else { { unsigned *p = arr1, *q = arr0 + 8; while (p != arr1 + 8) y += *p++ * *--q; } }
#endif
	{ unsigned (*volatile call)(unsigned) = x & 1 ? f3 : f2; y += call(x); }
#if MODE == 0
	for (unsigned *p = arr0; p != arr0 + 8; p++) x += *p;
#elif MODE == 1
	
#else
	if (fixed) {  } else { for (unsigned *p = arr0; p != arr0 + 8; p++) x += *p; }
#endif
	tls1 ^= 167;
	y += marks[x & 3][-1];
	{ static const void *const go[] = { &&a2, &&b2 }; goto *go[x & 1]; a2: y += 3; b2: x ^= y; }
	arr3[x & 7] += (y ^ rec.a);
	y += marks[x & 3][-1];
	{ static unsigned count; count += x; y ^= count; }
	return x + y;
}
__attribute__((noinline)) unsigned f5(unsigned x) {
	unsigned y = x >> 3;
#if MODE == 0
	
#elif MODE == 1
	{ unsigned *p = arr3, *q = arr3 + 8; while (p != arr3 + 8) y += *p++ * *--q; }
#else
	if (fixed) { { unsigned *p = arr3, *q = arr3 + 8; while (p != arr3 + 8) y += *p++ * *--q; } } else {  }
#endif
	for (unsigned i = 0; i < 14; i++) { if (i >= 6) x += arr2[i - 6]; else y = y * 5 + i; }
	{ unsigned *p = arr1, *q = arr1 + 8; while (p != arr1 + 8) y += *p++ * *--q; }
#if MODE == 0
	switch (x % 7) { case 0: y += (y ^ g0); break; case 1: y += (unsigned)((double)(x & 1023) * 6.25 + 3.5); break; case 2: y += table1[y & 15]; break; case 3: y += (unsigned)((double)(x & 1023) * 6.25 + 3.5); break; case 4: y += table1[y & 15]; break; case 5: y += arr0[x & 7]; break; default: x ^= 3; }
#elif MODE == 1
	for (unsigned i = 0; i < 9; i++) { if (i >= 1) x += narr1[i - 1]; else y = y * 5 + i; }
#else
	if (fixed) { for (unsigned i = 0; i < 9; i++) { if (i >= 1) x += narr1[i - 1]; else y = y * 5 + i; } } else { switch (x % 7) { case 0: y += (y ^ g0); break; case 1: y += (unsigned)((double)(x & 1023) * 6.25 + 3.5); break; case 2: y += table1[y & 15]; break; case 3: y += (unsigned)((double)(x & 1023) * 6.25 + 3.5); break; case 4: y += table1[y & 15]; break; case 5: y += arr0[x & 7]; break; default: x ^= 3; } }
#endif
	{ static _Bool once; if (!once) { once = 1; x += 57; } }
	return x + y;
}
__attribute__((noinline)) static unsigned f6(unsigned x) {
	unsigned y = x >> 3;
	x += mix("text 2");
	{ static _Bool once; if (!once) { once = 1; x += 54; } }
	{ unsigned *p = arr0 + 8; do x += *--p; while (p != arr0 && *p < 47); }
	{ unsigned *p = arr2 + 8; do x += *--p; while (p != arr2 && *p < 24); }
	{ unsigned *p = arr3 + 8; do x += *--p; while (p != arr3 && *p < 27); }
	x += mix("it") ^ mix("it");
	{ static const void *const go[] = { &&a3, &&b3 }; goto *go[x & 1]; a3: y += 3; b3: x ^= y; }
	{ unsigned *p = arr1 + 7; y += p[(int)(x & 3) - 4]; }
	return x + y;
}
__attribute__((noinline)) static void touch(unsigned x) { rec.a = x; rec.b = x; rec.c = x; tls0 = x; tls1 = x;
	g0 = x; arr0[x & 7] = x;
	g1 = x; arr1[x & 7] = x;
	g2 = x; arr2[x & 7] = x;
	g3 = x; arr3[x & 7] = x;
	buf0[0] = x;
	buf1[0] = x;
	buf2[0] = x;
	pairs0[x & 3].a = x;
	pairs1[x & 3].a = x;
}
unsigned entry(unsigned x) { unsigned a = x * 7;
	if (x == 0xffffffff) touch(x);
	a += f0(a ^ x);
	a += f1(a ^ x);
	a += f2(a ^ x);
	a += f3(a ^ x);
	a += f4(a ^ x);
	a += f5(a ^ x);
	a += f6(a ^ x);
	return a; }
