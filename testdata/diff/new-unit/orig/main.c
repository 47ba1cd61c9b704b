// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int parse(int a)
{
	return a * 5 + a / 7;
}

int main(int argc, char **argv) { return parse(argc); }
