// SPDX-License-Identifier: GPL-2.0-or-later
extern int shared_count;
int low(int);
__attribute__((noinline)) int high(int a) { return low(a) + shared_count; }
