// SPDX-License-Identifier: GPL-2.0-or-later

static int total;

__attribute__((noinline)) int parse(int a) { return total += a & 0xff; }

__attribute__((noinline)) void debug(int a) { total -= a * 5; }

int main(int argc, char **argv)
{
	debug(argc);
	return parse(argc);
}
