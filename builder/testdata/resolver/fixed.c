// SPDX-License-Identifier: GPL-2.0-or-later
static int plain(int a) { return a + 1; }
static int fast(int a) { return a + 2; }
int which;
static int (*choose(void))(int) { return which > 1 ? fast : plain; }
int chosen(int) __attribute__((ifunc("choose")));
__attribute__((noinline)) int use(int a) { return chosen(a) + 1; }
int main(int argc, char **argv) { (void)argv; return use(argc); }
