// SPDX-License-Identifier: GPL-2.0-or-later

static __thread int mine = 3;
__thread int open_one;
__attribute__((visibility("hidden"))) __thread int hidden_one = 5;
extern __thread int elsewhere;

__attribute__((noinline)) int parse(int a)
{
	mine += a;
	open_one -= mine;
	return mine + hidden_one * elsewhere;
}

__attribute__((noinline)) int *where(int a) { return a ? &mine : &open_one; }

int main(int argc, char **argv) { return parse(argc) + *where(argc); }
