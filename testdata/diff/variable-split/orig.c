// SPDX-License-Identifier: GPL-2.0-or-later

struct pair {
	int used, limit;
};
static struct pair state[2] = { { 3, 40 }, { 5, 60 } };

__attribute__((noinline)) int take(int a)
{
	state[a & 1] = state[1];
	return a;
}

__attribute__((noinline)) int parse(int a)
{
	state[0].used += a;
	state[1].used -= a;
	return state[0].used * state[0].limit + state[1].used * state[1].limit;
}

int main(int argc, char **argv) { return parse(argc) + take(argc); }
