// SPDX-License-Identifier: GPL-2.0-or-later

int puts(const char *);

static int state;

__attribute__((noinline)) int step(int a)
{
	switch (a) {
	case 0: puts("zero"); return state++;
	case 1: puts("one"); break;
	case 2: puts("two"); return 6;
	case 3: state = 9; break;
	case 4: return state * 7;
	case 5: puts("five"); return 1;
	case 6: puts("six"); return 8;
	}
	return a + state;
}

__attribute__((noinline)) int stay(int a)
{
	switch (a) {
	case 0: puts("nought"); return state--;
	case 1: state = 4; break;
	case 2: return puts("both");
	case 3: return state * 3;
	case 4: puts("four"); return 2;
	case 5: puts("last"); return 11;
	}
	return a - state;
}

__attribute__((noinline)) int values(int a)
{
	switch (a) { /* a table of values, not of jumps */
	case 0: return 31;
	case 1: return 7;
	case 2: return 103;
	case 3: return 59;
	case 4: return 77;
	case 5: return 12;
	}
	return 0;
}

int main(int argc, char **argv) { return step(argc) + stay(argc) + values(argc); }
