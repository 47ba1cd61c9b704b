// SPDX-License-Identifier: GPL-2.0-or-later

package builder

import "testing"

// TestIndexFromAnother: the place that an index is added to may be where another
// array begins.
func TestIndexFromAnother(t *testing.T) {
	l := newLab(t, "-O2", "-fPIC", "-fno-function-sections", "-fno-data-sections")
	l.refused(l.twice(`
static unsigned one[8];
#ifdef FIXED
static unsigned new[8];
static __attribute__((noinline)) void put(long i) { new[i & 7] = i; }
#endif
static unsigned two[8];
__attribute__((noinline)) unsigned get(long i, long j)
{
#ifdef FIXED
	const unsigned *p = new - 8; /* where a neighbour begins */
	put(j);
	return p[i] ^ p[j];
#else
	return one[j & 7];
#endif
}
int main(int c, char **v) { one[c & 7] = c; two[c & 7] = c; return get(c + 7, c + 8) + two[c & 3]; }
`, "-pie"), CodeAmbiguous)
}
