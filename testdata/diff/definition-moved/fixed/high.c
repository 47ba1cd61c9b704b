// SPDX-License-Identifier: GPL-2.0-or-later

int low(int);

int shared(int a) { return a * 7 + 1; }

int high(int a)
{
	return low(a)
		+ shared(a);
}

int main(int argc, char **argv) { return high(argc); }
