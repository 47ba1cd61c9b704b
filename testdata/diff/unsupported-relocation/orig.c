// SPDX-License-Identifier: GPL-2.0-or-later

int parse(int a)
{
	return a % 37;
}

int main(int argc, char **argv) { return parse(argc); }
