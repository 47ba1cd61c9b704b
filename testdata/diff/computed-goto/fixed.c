// SPDX-License-Identifier: GPL-2.0-or-later

__attribute__((noinline)) int run(const unsigned char *p)
{
	static const void *const labels[] = { &&stop, &&add, &&twice };
	int n = 0;
	goto *labels[*p++ % 3];
add:
	n += 1;
	goto *labels[*p++ % 3];
twice:
	n *= 2;
	goto *labels[*p++ % 3];
stop:
	return n ^ 1;
}

__attribute__((noinline)) int stay(const unsigned char *p)
{
	static const void *const labels[] = { &&stop, &&less };
	int n = 9;
	goto *labels[*p++ & 1];
less:
	n -= 3;
	goto *labels[*p++ & 1];
stop:
	return n;
}

int main(int argc, char **argv) { return run((unsigned char *)argv[0]) + stay((unsigned char *)argv[0]); }
