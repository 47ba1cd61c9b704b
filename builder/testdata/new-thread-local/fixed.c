// SPDX-License-Identifier: GPL-2.0-or-later
__thread int mine = 4;
static __thread int yours;
__attribute__((noinline)) int pick(int a) { mine += a; yours ^= a; return mine + yours; }
int main(int argc, char **argv) { (void)argv; return pick(argc); }
