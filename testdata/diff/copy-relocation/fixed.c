// SPDX-License-Identifier: GPL-2.0-or-later

extern int opterr;
extern char **environ;

__attribute__((noinline)) int parse(int a)
{
	opterr += a;
	return environ[0] ? environ[0][a] : 0;
}

int main(int argc, char **argv) { return parse(argc) + opterr; }
