// SPDX-License-Identifier: GPL-2.0-or-later

static int state = 1;

__attribute__((noinline)) static int act(int a)
{
	state += a;
	if (state > 50)
		state = 0;
	return state * 3;
}

int left(int a) { return act(a) + state; }
