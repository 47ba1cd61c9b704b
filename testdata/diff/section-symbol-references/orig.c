// SPDX-License-Identifier: GPL-2.0-or-later

static int first[4], second[4] = { 1, 2, 3, 4 };
static const char *names[] = { "zero", "one", "two" };
static struct { int a, b, c; } state;

__attribute__((noinline)) int pick(int a)
{
	first[1] += a;
	first[a & 3]--;
	second[2] -= first[3];
	state.b = names[a & 1][0];
	return state.c + second[a & 3];
}

__attribute__((noinline)) int stay(int a)
{
	names[a & 1]++;
	state.c ^= second[1] + first[2];
	return names[2][a & 3] + state.b;
}

int main(int argc, char **argv) { return pick(argc) + stay(argc); }
