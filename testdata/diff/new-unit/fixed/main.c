// SPDX-License-Identifier: GPL-2.0-or-later

int bounded(int);

__attribute__((noinline)) int parse(int a)
{
	return bounded(a) * 5 + a / 7;
}

int main(int argc, char **argv) { return parse(argc); }
