// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int one(int a) { return a * 37 + 6; }
__attribute__((noinline)) int two(int a) { return a * 37 + 5; }

int main(int argc, char **argv) { return one(argc) + two(argc); }
