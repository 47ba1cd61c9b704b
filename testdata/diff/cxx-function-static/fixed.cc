// SPDX-License-Identifier: GPL-2.0-or-later

struct table {
	int entries[4];
	table();
};

table::table() { for (int &e : entries) e = 3; }

[[gnu::noinline]] int look(int a)
{
	static table t;
	static int calls;
	calls++;
	return t.entries[a & 3] + calls;
}

int main(int argc, char **argv) { return look(argc); }
