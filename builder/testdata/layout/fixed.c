// SPDX-License-Identifier: GPL-2.0-or-later
struct state { long first; char fresh, flag; long second; } state;
__attribute__((noinline)) int set(int a) { state.first = a; state.fresh = 1; return a; }
__attribute__((noinline)) int get(int a) { return state.flag + a; }
int main(int argc, char **argv) { (void)argv; return set(argc) + get(argc); }
