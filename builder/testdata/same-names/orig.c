// SPDX-License-Identifier: GPL-2.0-or-later
static int state = 4;
__attribute__((noinline)) static int act(int a) { state += a; return state; }
int left(int a) { return act(a) + 1; }
int right(int);
int main(int argc, char **argv) { (void)argv; return left(argc) + right(argc); }
