// SPDX-License-Identifier: GPL-2.0-or-later

void exit(int);

__attribute__((cold, noinline)) void report(int a) { exit(a); }

__attribute__((noinline)) int work(int a)
{
	return a * 3 + (a >> 5);
}

int main(int argc, char **argv) { return work(argc); }
