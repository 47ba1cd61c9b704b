// SPDX-License-Identifier: GPL-2.0-or-later

int open_level = 2;
__attribute__((visibility("hidden"))) int hidden_level = 5;
__attribute__((visibility("protected"))) int protected_level = 7;
static int state;

__attribute__((noinline)) int open_check(int a) { return a > open_level + hidden_level; }
__attribute__((noinline, visibility("hidden"))) int hidden_check(int a) { return a < state++; }
__attribute__((noinline, visibility("protected"))) int protected_check(int a) { return a == protected_level; }

int parse(const char *s)
{
	return open_check(s[0]) + hidden_check(s[1]) + protected_check(s[2]);
}
