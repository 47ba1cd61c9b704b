// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int shared(int a) { return a * 7; }

int low(int a) { return shared(a) / 3; }
