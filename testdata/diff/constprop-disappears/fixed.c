// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) static int scale(int a, int by) { return a * by + (a >> by); }
__attribute__((noinline)) int one(int a) { return scale(a, 3) + 1; }
__attribute__((noinline)) int two(int a) { return scale(a, 4) + 2; }

int main(int argc, char **argv) { return one(argc) + two(argc); }
