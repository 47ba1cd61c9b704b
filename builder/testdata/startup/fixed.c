// SPDX-License-Identifier: GPL-2.0-or-later
int ready;
__attribute__((constructor)) static void prepare(void) { ready = 1; }
__attribute__((noinline)) int pick(int a) { return a + 2 * ready; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
