// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int pick(int a)
{
	__asm__("test %0, %0\n1:	dec %0\n	jnz 1b" : "+r"(a));
	return a + 1;
}

int main(int argc, char **argv) { return pick(argc); }
