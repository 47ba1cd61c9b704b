// SPDX-License-Identifier: GPL-2.0-or-later

static int last = 3;
static int calls;

__attribute__((noinline)) void note(int a)
{
	calls++;
	last = a;
}

__attribute__((noinline)) int parse(int a)
{
	return a * calls;
}

int main(int argc, char **argv)
{
	note(argc);
	return parse(argc);
}
