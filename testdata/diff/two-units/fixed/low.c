// SPDX-License-Identifier: GPL-2.0-or-later

int level = 3;
int refused;

int bounded(int a)
{
	if (a <= level)
		return a;
	refused++;
	return level;
}

int low(int a) { return a * level; }
