// SPDX-License-Identifier: GPL-2.0-or-later

int cell = 4;
extern int other_cell __attribute__((alias("cell")));

__attribute__((noinline)) int name(int a)
{
	return a * 5 + cell;
}
int other_name(int) __attribute__((alias("name")));

__attribute__((noinline)) int use(int a) { return other_name(a) * other_cell; }

int main(int argc, char **argv) { return name(argc) + use(argc); }
