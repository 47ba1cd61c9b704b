// SPDX-License-Identifier: GPL-2.0-or-later
int place = 3;
__attribute__((noinline)) int high(int a) { return a - 3 * place; }
