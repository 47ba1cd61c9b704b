// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline, aligned(1))) int tiny(int a) { return a; }
__attribute__((noinline, aligned(1))) int neighbour(int a) { return a * 3; }

int main(int argc, char **argv) { return tiny(argc) + neighbour(argc); }
