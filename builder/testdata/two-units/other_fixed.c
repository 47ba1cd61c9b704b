// SPDX-License-Identifier: GPL-2.0-or-later
extern int shared_count, fresh_count;
int low(int);
int fresh(int);
__attribute__((noinline)) int high(int a) { return low(a) + shared_count + fresh(fresh_count); }
