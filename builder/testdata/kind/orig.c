// SPDX-License-Identifier: GPL-2.0-or-later
static const int level = 3;
__attribute__((noinline)) const int *pick(void) { return &level; }
int main(int argc, char **argv) { (void)argv; return argc + *pick(); }
