// SPDX-License-Identifier: GPL-2.0-or-later

static int plain(int a) { return a * 3; }
static int fast(int a) { return a * 5; }

static int (*resolve(void))(int) { return sizeof(long) > 4 ? fast : plain; }
int chosen(int) __attribute__((ifunc("resolve")));
