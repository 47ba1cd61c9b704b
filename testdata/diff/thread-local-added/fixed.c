// SPDX-License-Identifier: GPL-2.0-or-later

static __thread int mine = 3;
static __thread int yours = 4;

__attribute__((noinline)) int parse(int a)
{
	mine += a;
	yours += mine;
	return mine + yours;
}

int main(int argc, char **argv) { return parse(argc); }
