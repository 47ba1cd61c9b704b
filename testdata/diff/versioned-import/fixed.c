// SPDX-License-Identifier: GPL-2.0-or-later

void *memcpy(void *, const void *, unsigned long);
void *old_memcpy(void *, const void *, unsigned long);
__asm__(".symver old_memcpy, memcpy@GLIBC_2.2.5");

static char buffer[4096];

__attribute__((noinline)) char *parse(const char *s, int n)
{
	old_memcpy(buffer, s, n & 1023);
	return buffer;
}

__attribute__((noinline)) char *keep(const char *s, int n)
{
	memcpy(buffer + 8, s, n - 1);
	return buffer;
}

int main(int argc, char **argv) { return *parse(argv[0], argc) + *keep(argv[0], argc); }
