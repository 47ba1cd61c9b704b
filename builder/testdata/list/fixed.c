// SPDX-License-Identifier: GPL-2.0-or-later
struct entry { int (*run)(int); };
extern const struct entry __start_commands[], __stop_commands[];
__attribute__((noinline)) static int one(int a) { return a + 1; }
__attribute__((noinline)) static int two(int a) { return a + 2; }
__attribute__((section("commands"), used)) static const struct entry first = { one };
__attribute__((section("commands"), used)) static const struct entry second = { two };
__attribute__((noinline)) int all(int a) { for (const struct entry *e = __start_commands; e < __stop_commands; e++) a = e->run(a) + 1; return a; }
int main(int argc, char **argv) { (void)argv; return all(argc); }
