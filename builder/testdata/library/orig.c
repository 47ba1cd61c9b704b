// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
int exported_level = 2;
static int hidden_state;
__attribute__((visibility("hidden"))) int inner_level = 5;
__attribute__((noinline)) int exported_check(int a) { return a > exported_level + inner_level; }
__attribute__((noinline, visibility("hidden"))) int inner_check(int a) { return a < hidden_state++; }
__attribute__((noinline, visibility("protected"))) int guarded_check(int a) { return a == 4; }
int exported_parse(const char *s) { return exported_check((int)strlen(s)) + inner_check(s[0]) + guarded_check(s[1]); }
