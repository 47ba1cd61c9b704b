// SPDX-License-Identifier: GPL-2.0-or-later

static __thread int mine = 3;

__attribute__((noinline)) int parse(int a)
{
	mine += a;
	return mine;
}

int main(int argc, char **argv) { return parse(argc); }
