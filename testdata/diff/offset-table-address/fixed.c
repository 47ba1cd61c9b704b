// SPDX-License-Identifier: GPL-2.0-or-later

int level = 3;
int (*chosen)(int);

__attribute__((noinline)) int parse(int a)
{
	return level * chosen(a);
}

__attribute__((noinline)) int stay(int a) { return a % 7 + level; }

int main(int argc, char **argv)
{
	chosen = stay;
	return parse(argc) + stay(argc);
}
