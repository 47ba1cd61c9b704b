// SPDX-License-Identifier: GPL-2.0-or-later

extern int level;
int low(int);

int high(int a)
{
	return low(a) + level;
}

int main(int argc, char **argv) { return high(argc); }
