// SPDX-License-Identifier: GPL-2.0-or-later

static int table[8] = { 1 };

__attribute__((noinline)) int parse(int a)
{
	return table[a & 7]++;
}

int main(int argc, char **argv) { return parse(argc); }
