// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((weak, noinline)) int soft(int a)
{
	return a * 4;
}

__attribute__((noinline)) int use(int a) { return soft(a) + 2; }

int main(int argc, char **argv) { return use(argc); }
