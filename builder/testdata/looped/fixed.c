// SPDX-License-Identifier: GPL-2.0-or-later
__attribute__((noinline)) int pick(int a)
{
	int r;
	__asm__("test %1, %1\n1: dec %1\n\tjnz 1b\n\tlea 1(%1), %0" : "=r"(r) : "r"(a));
	return r;
}
int main(int argc, char **argv) { (void)argv; return pick(argc); }
