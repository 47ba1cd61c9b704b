// SPDX-License-Identifier: GPL-2.0-or-later

static unsigned char mode;

__attribute__((noinline)) int parse(int a)
{
	if (a == 5)
		mode = 3;
	if (a == 4)
		mode = 9;
	return a * mode;
}

int main(int argc, char **argv) { return parse(argc); }
