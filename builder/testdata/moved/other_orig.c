// SPDX-License-Identifier: GPL-2.0-or-later
extern int place;
__attribute__((noinline)) int high(int a) { return a - place; }
