// SPDX-License-Identifier: GPL-2.0-or-later

int low(int);

int high(int a)
{
	return low(a)
		+ 1;
}

int main(int argc, char **argv) { return high(argc); }
