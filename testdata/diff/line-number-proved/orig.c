// SPDX-License-Identifier: GPL-2.0-or-later

void exit(int);

__attribute__((noinline)) void fail(int line) { exit(line); }
#define CHECK(x) do { if (!(x)) fail(__LINE__); } while (0)

__attribute__((noinline)) int above(int a) { return a * 3; }
__attribute__((noinline)) int below(int a) { CHECK(a > 2); return a * 5; }
__attribute__((noinline)) int lower(int a) { return a * 7; }

int main(int argc, char **argv) { return above(argc) + below(argc) + lower(argc); }
