// SPDX-License-Identifier: GPL-2.0-or-later

static int limits[4] = { 1, 2, 3, 4 };

__attribute__((noinline)) int parse(int a)
{
	return limits[a & 3]++;
}

int main(int argc, char **argv) { return parse(argc) + parse(3); }
