// SPDX-License-Identifier: GPL-2.0-or-later

int getpid(void);

static int level = 3;

__attribute__((constructor)) static void start(void) { level = getpid(); }

__attribute__((noinline)) int parse(int a)
{
	level++;
	return a * level;
}

int main(int argc, char **argv) { return parse(argc); }
