// SPDX-License-Identifier: GPL-2.0-or-later

// Generated: see cmd/internal/live/generate_test.go.
#define MODE 1
#if MODE == 2
int fixed;
#endif
struct pair { unsigned a, b; };
static const unsigned table0[16] = { 10, 4, 31, 9, 7, 7, 1 };
static const unsigned table2[16] = { 3, 4, 28, 9, 7, 7, 1 };
#if MODE != 0
static unsigned n0 = 4;
#endif
unsigned g2 = 0;
static __thread unsigned tls0 = 3, tls1;
static unsigned arr1[8] = { 7, 11, 3 };
static unsigned g0 = 0;
#if MODE != 0
static unsigned narr0[8] = { 2 };
#endif
static struct pair pairs0[4] = { { 88, 2 }, { 3, 4 } };
#if MODE != 0
static unsigned n1 = 17;
#endif
unsigned arr2[8] = { 0, 35, 3 };
static unsigned g1 = 106;
static unsigned char buf1[7];
static const unsigned table1[16] = { 82, 4, 63, 9, 7, 7, 1 };
static unsigned g3 = 22;
static struct { unsigned a; unsigned char b; unsigned long c; } rec = { 5, 6, 7 };
static unsigned char buf2[32];
static unsigned char buf0[19];
unsigned arr0[8] = { 5, 42, 3 };
static unsigned arr3[8] = { 5, 4, 3 };
#if MODE != 0
static unsigned narr1[8] = { 21 };
#endif
static struct pair pairs1[4] = { { 32, 2 }, { 3, 4 } };
static unsigned *const marks[4] = { arr0 + 8, arr1 + 4, arr2 + 1, arr3 + 8 };
__attribute__((noinline)) static unsigned mix(const char *s) { unsigned h = 5; while (*s) h = h * 33 + (unsigned char)*s++; return h; }
unsigned f0(unsigned x) {
	unsigned y = x >> 3;
	{ unsigned char *p = buf1 + sizeof buf1; while (p != buf1) { *--p += 3; y += *p; } }
	{ unsigned *p = arr1, *q = arr2 + 8; while (p != arr1 + 8) y += *p++ * *--q; }
	pairs0[x & 3] = pairs0[y & 3];
	for (unsigned i = 8; i > 0; i--) { y = y * 3 + i; if (i <= 8) arr2[i - 1] += y; }
	{ static unsigned count; count += x; y ^= count; }
	return x + y;
}
__attribute__((noinline)) static unsigned f1(unsigned x) {
	unsigned y = x >> 3;
	{ unsigned char c = x; if (c >= 59 && c < 67) y += arr3[c - 59]; }
	{ static const void *const go[] = { &&a1, &&b1 }; goto *go[x & 1]; a1: y += 3; b1: x ^= y; }
	pairs1[x & 3] = pairs0[y & 3];
	x += mix("of it") ^ mix("left of it");
	switch (x % 7) { case 0: y += x * 4; break; case 1: y += (x >> 8); break; case 2: y += table0[y & 15]; break; case 3: y += (x >> 8); break; case 4: y += arr2[x & 7]; break; case 5: y += x * 4; break; default: x ^= 3; }
	y += marks[x & 3][-1];
	arr1[x & 7] += x * 6;
	for (unsigned i = 0; i < 12; i++) { if (i >= 4) x += arr2[i - 4]; else y = y * 5 + i; }
	return x + y;
}
__attribute__((noinline)) static unsigned f2(unsigned x) {
	unsigned y = x >> 3;
	{ unsigned *p = x & 1 ? arr1 : arr1 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; }
	for (unsigned *p = arr0; p != arr0 + 8; p++) x += *p;
	for (unsigned i = 11; i > 0; i--) { y = y * 3 + i; if (i <= 8) arr2[i - 1] += y; }
	switch (x % 7) { case 0: y += 95; break; case 1: y += arr3[x & 7]; break; case 2: y += (y ^ g0); break; case 3: y += (unsigned)((double)(x & 1023) * 5.25 + 3.5); break; case 4: y += (y ^ rec.b); break; case 5: y += arr3[x & 7]; break; default: x ^= 3; }
	for (unsigned i = 1 + (x & 1); i < 8; i++) y += arr1[i - 1] * i;
	{ unsigned *p = x & 1 ? arr1 : arr1 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; }
	return x + y;
}
static unsigned f3(unsigned x) {
	unsigned y = x >> 3;
	for (unsigned i = 0; i < 8; i++) arr2[7 - i] ^= arr1[i] + x;
	for (unsigned i = 1 + (x & 1); i < 8; i++) y += arr0[i - 1] * i;
#if MODE == 0
	x += f2(283);
#elif MODE == 1
	{ unsigned char *p = buf0 + sizeof buf0; while (p != buf0) { *--p += 3; y += *p; } }
#else
	if (fixed) { { unsigned char *p = buf0 + sizeof buf0; while (p != buf0) { *--p += 3; y += *p; } } } else { x += f2(283); }
#endif
	{ static _Bool once; if (!once) { once = 1; x += 52; } }
	{ unsigned char *p = buf2 + sizeof buf2; while (p != buf2) { *--p += 3; y += *p; } }
	{ unsigned *p = arr2 + 6; y += p[(int)(x & 3) - 4]; }
#if MODE == 0
	{ unsigned *p = x & 1 ? arr2 : arr0 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; }
#elif MODE == 1
	{ struct pair *p = pairs1 + 4; while (p != pairs1) { p--; y += p->b ^ p->a++; } }
#else
	if (fixed) { { struct pair *p = pairs1 + 4; while (p != pairs1) { p--; y += p->b ^ p->a++; } } } else { { unsigned *p = x & 1 ? arr2 : arr0 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; } }
#endif
	return x + y;
}
static unsigned f4(unsigned x) {
	unsigned y = x >> 3;
#if MODE == 0
	y += marks[x & 3][-1];
#elif MODE == 1
	{ unsigned *p = x & 1 ? arr1 : narr1 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; }
#else
	if (fixed) { { unsigned *p = x & 1 ? arr1 : narr1 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; } } else { y += marks[x & 3][-1]; }
#endif
#if MODE == 0
	for (unsigned i = 13; i > 0; i--) { y = y * 3 + i; if (i <= 8) arr3[i - 1] += y; }
#elif MODE == 1
	
#else
	if (fixed) {  } else { for (unsigned i = 13; i > 0; i--) { y = y * 3 + i; if (i <= 8) arr3[i - 1] += y; } }
#endif
	y += marks[x & 3][-1];
	{ static const void *const go[] = { &&a2, &&b2 }; goto *go[x & 1]; a2: y += 3; b2: x ^= y; }
	return x + y;
}
__attribute__((noinline)) unsigned f5(unsigned x) {
	unsigned y = x >> 3;
	{ static unsigned last[4]; last[x & 3] += y; y ^= last[y & 3]; }
	for (unsigned i = 0; i < 13; i++) { if (i >= 5) x += arr2[i - 5]; else y = y * 5 + i; }
	{ unsigned char c = x; if (c >= 114 && c < 122) y += arr3[c - 114]; }
	{ struct pair *p = pairs0 + 4; while (p != pairs0) { p--; y += p->b ^ p->a++; } }
	{ unsigned *p = x & 1 ? arr1 : arr2 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; }
	x += f1(table0[y & 15]);
	x += f3((unsigned)((double)(x & 1023) * 4.25 + 3.5));
	for (unsigned i = 13; i > 0; i--) { y = y * 3 + i; if (i <= 8) arr0[i - 1] += y; }
	return x + y;
}
static unsigned f6(unsigned x) {
	unsigned y = x >> 3;
	for (unsigned i = 0; i < 8; i++) arr1[7 - i] ^= arr1[i] + x;
	{ unsigned (*volatile call)(unsigned) = x & 1 ? f5 : f4; y += call(x); }
	x += f1(arr2[x & 7]);
	switch (x % 7) { case 0: y += (x >> 8); break; case 1: y += (unsigned)((double)(x & 1023) * 8.25 + 3.5); break; case 2: y += (y ^ rec.a); break; case 3: y += x * 2; break; case 4: y += (unsigned)((double)(x & 1023) * 7.25 + 3.5); break; case 5: y += arr3[x & 7]; break; default: x ^= 3; }
	{ static unsigned last[4]; last[x & 3] += y; y ^= last[y & 3]; }
	return x + y;
}
static unsigned f7(unsigned x) {
	unsigned y = x >> 3;
	{ unsigned (*volatile call)(unsigned) = x & 1 ? f2 : f0; y += call(x); }
#if MODE == 0
	
#elif MODE == 1
	for (unsigned i = 0; i < 14; i++) { if (i >= 6) x += arr3[i - 6]; else y = y * 5 + i; }
#else
	if (fixed) { for (unsigned i = 0; i < 14; i++) { if (i >= 6) x += arr3[i - 6]; else y = y * 5 + i; } } else {  }
#endif
	for (unsigned i = 0; i < 9; i++) { if (i >= 1) x += arr2[i - 1]; else y = y * 5 + i; }
#if MODE == 0
	arr2[y & 7] += arr2[x & 7];
#elif MODE == 1
	
#else
	if (fixed) {  } else { arr2[y & 7] += arr2[x & 7]; }
#endif
	return x + y;
}
__attribute__((noinline)) unsigned f8(unsigned x) {
	unsigned y = x >> 3;
	for (unsigned i = 0; i < 11; i++) { if (i >= 3) x += arr3[i - 3]; else y = y * 5 + i; }
	{ unsigned *p = arr2 + 6; y += p[(int)(x & 3) - 4]; }
	x += f3((y ^ rec.a));
	x += f5(arr0[x & 7]);
	{ static _Bool once; if (!once) { once = 1; x += 73; } }
	{ unsigned char *p = buf1 + sizeof buf1; while (p != buf1) { *--p += 3; y += *p; } }
	{ static _Bool once; if (!once) { once = 1; x += 75; } }
	for (unsigned i = 0; i < 16; i++) { if (i >= 8) x += arr1[i - 8]; else y = y * 5 + i; }
	{ unsigned *p = x & 1 ? arr2 : arr1 + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; }
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
	a += f7(a ^ x);
	a += f8(a ^ x);
	return a; }
