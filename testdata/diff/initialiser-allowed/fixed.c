// SPDX-License-Identifier: GPL-2.0-or-later

static int level = 5;
static int calls;

__attribute__((noinline)) int parse(int a)
{
	calls++;
	if (a < 0)
		level++;
	return a * level + 1;
}

int main(int argc, char **argv) { return parse(argc) + calls; }
