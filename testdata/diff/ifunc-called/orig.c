// SPDX-License-Identifier: GPL-2.0-or-later

int chosen(int);

__attribute__((noinline)) int parse(int a)
{
	return chosen(a) + 1;
}

int main(int argc, char **argv) { return parse(argc); }
