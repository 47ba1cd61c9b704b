// SPDX-License-Identifier: GPL-2.0-or-later
static int state = 6;
__attribute__((noinline)) static int act(int a) { state -= a; return state; }
int right(int a) { return act(a) + 2; }
