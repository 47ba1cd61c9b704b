// SPDX-License-Identifier: GPL-2.0-or-later

static int state = 2;

__attribute__((noinline)) static int act(int a)
{
	state += a;
	return state * 3;
}

int right(int a) { return act(a) + state; }

int left(int);

int main(int argc, char **argv) { return left(argc) + right(argc); }
