// SPDX-License-Identifier: GPL-2.0-or-later

extern int level;
int low(int);
int bounded(int);

int high(int a)
{
	return low(bounded(a)) + level;
}

int main(int argc, char **argv) { return high(argc); }
