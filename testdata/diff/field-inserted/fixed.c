// SPDX-License-Identifier: GPL-2.0-or-later

struct state {
	int calls;
	int limit;
	int level;
	int spare[6];
};
struct state state;

__attribute__((noinline)) int parse(int a) { return a * state.level++; }
__attribute__((noinline)) int count(int a) { return a + state.calls++; }

int main(int argc, char **argv) { return parse(argc) + count(argc); }
