// SPDX-License-Identifier: GPL-2.0-or-later

static int plain(int a) { return a * 3; }
static int fast(int a) { return a * 5; }

__attribute__((used)) static int (*resolve(void))(int) { return plain; }
int chosen(int) __attribute__((ifunc("resolve")));
int (*const all[])(int) = { plain, fast };

__attribute__((noinline)) int parse(int a) { return chosen(a) + all[a & 1](a); }

int main(int argc, char **argv) { return parse(argc); }
