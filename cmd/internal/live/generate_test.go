// SPDX-License-Identifier: GPL-2.0-or-later

package live

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
)

// A generated unit compiles in three ways, by MODE: 0 the original, 1 the fix,
// 2 both, of which the variable fixed chooses while it runs. The third one tells
// what a process has to do that begins as the original, is patched, and goes on
// with the state that it has.

// generator writes C whose behaviour is defined: unsigned arithmetic, indexes
// that are masked, no recursion.
type generator struct {
	r         *rand.Rand
	out       strings.Builder
	functions int
	labels    int
	fresh     bool // a statement of the fix alone: it may use what is new
	inserted  bool // the function has got a new static local
}

const (
	scalars, arrays, tables, buffers, pairs = 4, 4, 3, 3, 2
	freshScalars, freshArrays               = 2, 2
)

// generate returns the source of a unit for a seed. It defines
// unsigned entry(unsigned).
func generate(seed uint64) string {
	g := &generator{r: rand.New(rand.NewPCG(seed, 0x756c7061746368))}
	g.out.WriteString("#if MODE == 2\nint fixed;\n#endif\n")
	g.data()
	g.out.WriteString("static unsigned *const marks[4] = { arr0 + 8, arr1 + 4, arr2 + 1, arr3 + 8 };\n")
	g.helpers()
	g.out.WriteString("__attribute__((noinline)) static unsigned mix(const char *s) { unsigned h = 5; while (*s) h = h * 33 + (unsigned char)*s++; return h; }\n")
	n := 5 + g.r.IntN(6)
	must := g.r.IntN(n) // at least one function changes
	for i := range n {
		g.function(i == must)
	}
	g.touch()
	fmt.Fprintf(&g.out, "unsigned entry(unsigned x) { unsigned a = x * 7;\n\tif (x == 0xffffffff) touch(x);\n")
	for i := range n {
		fmt.Fprintf(&g.out, "\ta += f%d(a ^ x);\n", i)
	}
	g.out.WriteString("\treturn a; }\n")
	return g.out.String()
}

// touch writes a function that reads every variable and writes to it, so that no
// compiler takes one for a constant, or leaves out what both versions of the source
// have.
func (g *generator) touch() {
	places := []string{"rec.a", "rec.b", "rec.c", "tls0", "tls1", "grid[x & 3][x & 3]", "bits.p", "bits.q", "bits.r", "tarr[x & 3]", "reals[x & 3]"}
	for i := range scalars {
		places = append(places, fmt.Sprintf("g%d", i), fmt.Sprintf("arr%d[x & 7]", i%arrays))
	}
	for i := range buffers {
		places = append(places, fmt.Sprintf("buf%d[0]", i))
	}
	for i := range pairs {
		places = append(places, fmt.Sprintf("pairs%d[x & 3].a", i), fmt.Sprintf("pairs%d[x & 3].b", i))
	}
	g.out.WriteString("__attribute__((noinline)) static void touch(unsigned x) {\n\tstatic volatile unsigned sink;\n")
	fmt.Fprintf(&g.out, "\tsink = *cursor + !hook + %s;\n", strings.Join(places, " + "))
	for _, p := range places {
		fmt.Fprintf(&g.out, "\t%s = x;\n", p)
	}
	g.out.WriteString("\tcursor = arr0 + (x & 7); hook = x & 1 ? leaf0 : 0;\n}\n")
}

// data declares variables in an order of chance, the new ones among them.
func (g *generator) data() {
	g.out.WriteString("struct pair { unsigned a, b; };\n")
	var all []string
	add := func(fresh bool, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if fresh {
			text = "#if MODE != 0\n" + text + "\n#endif"
		}
		all = append(all, text)
	}
	linkage := func() string { return []string{"static ", "static ", ""}[g.r.IntN(3)] }
	for i := range scalars {
		add(false, "%sunsigned g%d = %d;", linkage(), i, g.r.IntN(3)*g.r.IntN(100))
	}
	for i := range arrays {
		add(false, "%sunsigned arr%d[8] = { %d, %d, 3 };", linkage(), i, g.r.IntN(9), g.r.IntN(99))
	}
	for i := range tables {
		add(false, "static const unsigned table%d[16] = { %d, 4, %d, 9, 7, 7, 1 };", i, g.r.IntN(99), g.r.IntN(99))
	}
	for i := range buffers {
		add(false, "static unsigned char buf%d[%d];", i, 3+g.r.IntN(40))
	}
	for i := range pairs {
		add(false, "static struct pair pairs%d[4] = { { %d, 2 }, { 3, 4 } };", i, g.r.IntN(99))
	}
	add(false, "static struct { unsigned a; unsigned char b; unsigned long c; } rec = { 5, 6, 7 };")
	add(false, "static __thread unsigned tls0 = 3, tls1;")
	add(false, "static unsigned char grid[4][5] = { { 1, 2 }, { 3 } };")
	add(false, "static struct { unsigned p : 3, q : 13, r : 16; } bits = { 1, 2, 3 };")
	add(false, "static double reals[4] = { 1.5, 2.5 };")
	add(false, "static __thread unsigned tarr[4] = { 1, 2 };")
	for i := range freshScalars {
		add(true, "static unsigned n%d = %d;", i, g.r.IntN(50))
	}
	for i := range freshArrays {
		add(true, "static unsigned narr%d[8] = { %d };", i, g.r.IntN(50))
	}
	g.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	g.out.WriteString(strings.Join(all, "\n") + "\n")
}

func (g *generator) function(must bool) {
	attribute := []string{"", "static ", "__attribute__((noinline)) ", "__attribute__((noinline)) static "}[g.r.IntN(4)]
	fmt.Fprintf(&g.out, "%sunsigned f%d(unsigned x) {\n\tunsigned y = x >> 3;\n", attribute, g.functions)
	g.inserted = false
	n := 3 + g.r.IntN(7)
	changes := map[int]bool{}
	if must || g.r.IntN(4) == 0 {
		changes[g.r.IntN(n)] = true
		changes[g.r.IntN(n)] = true
	}
	for i := range n {
		if !changes[i] {
			g.out.WriteString("\t" + g.statement(true) + "\n")
			continue
		}
		before, after := "", ""
		switch g.r.IntN(3) {
		case 0: // one more
			g.fresh = true
			after = g.statement(!g.inserted)
			g.inserted = g.inserted || strings.Contains(after, "static")
			g.fresh = false
		case 1: // one less
			before = g.statement(false)
		default:
			before = g.statement(false)
			g.fresh = true
			after = g.statement(false)
			g.fresh = false
		}
		fmt.Fprintf(&g.out, "#if MODE == 0\n\t%s\n#elif MODE == 1\n\t%s\n#else\n\tif (fixed) { %s } else { %s }\n#endif\n", before, after, after, before)
	}
	g.out.WriteString("\treturn x + y;\n}\n")
	g.functions++
}

func (g *generator) pick(names ...string) string { return names[g.r.IntN(len(names))] }

func (g *generator) scalar() string {
	if g.fresh && g.r.IntN(3) == 0 {
		return fmt.Sprintf("n%d", g.r.IntN(freshScalars))
	}
	return g.pick(fmt.Sprintf("g%d", g.r.IntN(scalars)), fmt.Sprintf("g%d", g.r.IntN(scalars)), "rec.a", "rec.b", "tls0", "tls1")
}

func (g *generator) array() string {
	if g.fresh && g.r.IntN(3) == 0 {
		return fmt.Sprintf("narr%d", g.r.IntN(freshArrays))
	}
	return fmt.Sprintf("arr%d", g.r.IntN(arrays))
}

func (g *generator) expression() string {
	switch g.r.IntN(7) {
	case 0:
		return fmt.Sprintf("%d", g.r.IntN(1000))
	case 1:
		return "x * " + fmt.Sprint(2+g.r.IntN(9))
	case 2:
		return fmt.Sprintf("(y ^ %s)", g.scalar())
	case 3:
		return fmt.Sprintf("%s[x & 7]", g.array())
	case 4:
		return fmt.Sprintf("table%d[y & 15]", g.r.IntN(tables))
	case 5:
		return fmt.Sprintf("(x >> %d)", 1+g.r.IntN(9))
	}
	return fmt.Sprintf("(unsigned)((double)(x & 1023) * %d.25 + 3.5)", g.r.IntN(9))
}

// statement may declare a static local only where nothing else in the function
// could be taken for it.
func (g *generator) statement(local bool) string {
	switch k := g.r.IntN(32); {
	case k == 0:
		return fmt.Sprintf("%s %s %s;", g.scalar(), g.pick("+=", "^=", "-="), g.expression())
	case k == 1:
		return fmt.Sprintf("%s[%s & 7] += %s;", g.array(), g.pick("x", "y"), g.expression())
	case k == 2:
		a := g.array()
		return fmt.Sprintf("for (unsigned *p = %s; p != %s + 8; p++) x += *p;", a, a)
	case k == 3:
		return fmt.Sprintf("for (unsigned i = 1 + (x & 1); i < 8; i++) y += %s[i - 1] * i;", g.array())
	case k == 4:
		var b strings.Builder
		fmt.Fprintf(&b, "switch (x %% %d) {", 6+g.r.IntN(4))
		for c := range 6 {
			fmt.Fprintf(&b, " case %d: y += %s; break;", c, g.expression())
		}
		return b.String() + " default: x ^= 3; }"
	case k == 5 && g.functions > 0:
		return fmt.Sprintf("x += f%d(%s);", g.r.IntN(g.functions), g.expression())
	case k == 6 && g.functions > 1:
		return fmt.Sprintf("{ unsigned (*volatile call)(unsigned) = x & 1 ? f%d : f%d; y += call(x); }", g.r.IntN(g.functions), g.r.IntN(g.functions))
	case k == 7:
		return fmt.Sprintf("x += mix(%q);", fmt.Sprintf("text %d", g.r.IntN(6)))
	case k == 8 && local:
		return "{ static unsigned count; count += x; y ^= count; }"
	case k == 9 && local:
		return fmt.Sprintf("{ static _Bool once; if (!once) { once = 1; x += %d; } }", g.r.IntN(99))
	case k == 10:
		b := g.r.IntN(buffers)
		return fmt.Sprintf("{ unsigned char *p = buf%d + sizeof buf%d; while (p != buf%d) { *--p += 3; y += *p; } }", b, b, b)
	case k == 11:
		g.labels++
		l := g.labels
		return fmt.Sprintf("{ static const void *const go[] = { &&a%d, &&b%d }; goto *go[x & 1]; a%d: y += 3; b%d: x ^= y; }", l, l, l, l)
	case k == 12:
		a := g.array()
		return fmt.Sprintf("{ unsigned *p = %s + 8; do x += *--p; while (p != %s && *p < %d); }", a, a, 1+g.r.IntN(50))
	}
	var text string
	if g.r.IntN(2) == 0 {
		text = g.apart(local)
	} else {
		text = g.usual(local)
	}
	if text != "" {
		return text
	}
	return fmt.Sprintf("x = x * 31 + %s;", g.expression())
}

// suffixes are strings that a linker may make one of.
var suffixes = []string{"what is left of it", "left of it", "of it", "it", ""}

// apart returns a statement, or none, that refers to a variable by a place that may
// be in another one: its end, its middle, or before it.
func (g *generator) apart(local bool) string {
	a, b := g.array(), g.array()
	switch g.r.IntN(12) {
	case 0:
		n := 1 + g.r.IntN(9)
		return fmt.Sprintf("for (unsigned i = 0; i < %d; i++) { if (i >= %d) x += %s[i - %d]; else y = y * 5 + i; }", 8+n, n, a, n)
	case 1:
		return fmt.Sprintf("for (unsigned i = %d; i > 0; i--) { y = y * 3 + i; if (i <= 8) %s[i - 1] += y; }", 8+g.r.IntN(9), a)
	case 2:
		return fmt.Sprintf("{ unsigned *p = %s + %d; y += p[(int)(x & 3) - 4]; }", a, 4+g.r.IntN(5))
	case 3:
		return fmt.Sprintf("{ unsigned *p = x & 1 ? %s : %s + 8; y += p[(int)(y & 7) - (x & 1 ? 0 : 8)]; }", a, b)
	case 4:
		from := g.r.IntN(200)
		return fmt.Sprintf("{ unsigned char c = x; if (c >= %d && c < %d) y += %s[c - %d]; }", from, from+8, a, from)
	case 5:
		return fmt.Sprintf("pairs%d[x & 3] = pairs%d[y & 3];", g.r.IntN(pairs), g.r.IntN(pairs))
	case 6:
		p := g.r.IntN(pairs)
		return fmt.Sprintf("{ struct pair *p = pairs%d + 4; while (p != pairs%d) { p--; y += p->b ^ p->a++; } }", p, p)
	case 7:
		return "y += marks[x & 3][-1];"
	case 8:
		return fmt.Sprintf("x += mix(%q) ^ mix(%q);", suffixes[g.r.IntN(len(suffixes))], suffixes[g.r.IntN(len(suffixes))])
	case 9:
		if local {
			return "{ static unsigned last[4]; last[x & 3] += y; y ^= last[y & 3]; }"
		}
	case 10:
		return fmt.Sprintf("for (unsigned i = 0; i < 8; i++) %s[7 - i] ^= %s[i] + x;", a, b)
	case 11:
		return fmt.Sprintf("{ unsigned *p = %s, *q = %s + 8; while (p != %s + 8) y += *p++ * *--q; }", a, b, a)
	}
	return ""
}

// helpers are what usual statements use: functions that call nothing, of which the
// fix changes some, and tables of them and of strings.
func (g *generator) helpers() {
	for i := range leaves {
		fmt.Fprintf(&g.out, "%sunsigned leaf%d(unsigned x) { ", g.pick("static ", "", "__attribute__((noinline)) static "), i)
		before := fmt.Sprintf("x = x * %d + %s;", 3+g.r.IntN(9), g.expression())
		if after := fmt.Sprintf("x = x * %d + %s;", 3+g.r.IntN(9), g.expression()); g.r.IntN(4) == 0 {
			fmt.Fprintf(&g.out, "unsigned y = x >> 2;\n#if MODE == 0\n\t%s\n#elif MODE == 1\n\t%s\n#else\n\tif (fixed) { %s } else { %s }\n#endif\n\t", before, after, after, before)
		} else {
			fmt.Fprintf(&g.out, "unsigned y = x >> 2; %s ", before)
		}
		g.out.WriteString("return x ^ y; }\n")
	}
	g.out.WriteString(`static struct pair swap(struct pair p) { struct pair q = { p.b + 1, p.a }; return q; }
static unsigned sum(unsigned n, ...) { __builtin_va_list l; __builtin_va_start(l, n); unsigned s = 0; while (n--) s = s * 3 + __builtin_va_arg(l, unsigned); __builtin_va_end(l); return s; }
static unsigned (*const ops[4])(unsigned) = { leaf0, leaf1, leaf2, leaf1 };
static const char *const names[4] = { "text 1", "of it", "alpha", "text 2" };
static const struct { const char *name; unsigned (*op)(unsigned); } list[3] = { { "it", leaf2 }, { "beta", leaf0 }, { "text 3", leaf1 } };
static unsigned (*hook)(unsigned);
static unsigned *cursor = arr1 + 2;
#if MODE != 0
static const char *const fresh[3] = { "new", "text 4", "what is left of it" };
#endif
`)
}

const leaves = 3

// usual returns a statement, or none, as programs have them: what is kept in a
// process are pointers to functions and into variables, strings, tables.
func (g *generator) usual(local bool) string {
	a, b := g.array(), g.array()
	leaf := func() string { return fmt.Sprintf("leaf%d", g.r.IntN(leaves)) }
	switch g.r.IntN(18) {
	case 0:
		return fmt.Sprintf("if (x & 1) hook = %s; else if (hook) y += hook(x) + (hook == %s);", leaf(), leaf())
	case 1:
		return "y += ops[x & 3](y);"
	case 2:
		if g.fresh {
			return "y += mix(fresh[x % 3]);"
		}
		return "y += mix(names[x & 3]);"
	case 3:
		return fmt.Sprintf("{ *cursor += x; y ^= *cursor; if (y & 4) cursor = %s + (x & 7); }", a)
	case 4:
		p := g.r.IntN(pairs)
		return fmt.Sprintf("{ struct pair p = swap(pairs%d[x & 3]); y += p.a * p.b; pairs%d[y & 3] = swap(p); }", p, p)
	case 5:
		return fmt.Sprintf("__builtin_memmove(%s, %s, %d);", a, b, 4*(1+g.r.IntN(8)))
	case 6:
		return "grid[x & 3][1 + (y & 3)] += x; y += grid[y & 3][0];"
	case 7:
		return fmt.Sprintf("bits.%s += x; y ^= bits.%s;", g.pick("p", "q", "r"), g.pick("p", "q", "r"))
	case 8:
		return fmt.Sprintf("y += sum(3, x, %s, %s);", g.scalar(), g.expression())
	case 9:
		if local {
			return "{ static unsigned here; static unsigned *to = &here; *to += x; y ^= here; }"
		}
	case 10:
		return "x += mix(__func__);"
	case 11:
		return "reals[x & 3] = reals[y & 3] * 0.5 + 1.25; y += (unsigned)(reals[x & 3] * 8);"
	case 12:
		return fmt.Sprintf("{ unsigned v[6] = { 1, %d, 3, x, 9, 5 }; v[x & 3] += y; y += v[y %% 6]; }", g.r.IntN(99))
	case 13:
		var t strings.Builder
		for c := range 8 {
			fmt.Fprintf(&t, " case %d: k = %d; break;", c, g.r.IntN(5000))
		}
		return "{ unsigned k = 3; switch (x % 11) {" + t.String() + " } y ^= k; }"
	case 14:
		return "for (unsigned i = 0; i < 3; i++) y += mix(list[i].name) ^ list[i].op(x);"
	case 15:
		return "tarr[x & 3] += y; x ^= tarr[y & 3];"
	case 16:
		return fmt.Sprintf("__builtin_memset(%s + (x & 3), y & 255, 8);", a)
	case 17:
		return fmt.Sprintf("{ unsigned char *p = (unsigned char *)&%s[x & 7]; p[y & 3] ^= x; y += *p; }", a)
	}
	return ""
}

// plainVariable says whether objects are compiled without a section for each
// function and variable, 1 or 0; where it is not set, odd seeds are.
const plainVariable = "ULPATCH_ORACLE_PLAIN"

// howToCompile chooses compiler and flags for a seed.
func howToCompile(seed uint64, guarded []string) (cc string, cflags, ldflags []string) {
	r := rand.New(rand.NewPCG(seed, 7))
	cc = []string{"gcc", "gcc", "clang"}[r.IntN(3)]
	cflags = []string{[]string{"-O0", "-O1", "-O2", "-O2", "-O3", "-Os"}[r.IntN(6)], "-g0", "-w"}
	switch r.IntN(3) {
	case 0:
		cflags, ldflags = append(cflags, "-fPIE"), []string{"-pie"}
	case 1:
		cflags, ldflags = append(cflags, "-fPIC"), []string{"-pie"}
	default:
		cflags, ldflags = append(cflags, "-fno-pie"), []string{"-no-pie"}
	}
	sections := seed%2 == 0
	if plain := os.Getenv(plainVariable); plain != "" {
		sections = plain == "0"
	}
	if sections {
		cflags = append(cflags, "-ffunction-sections", "-fdata-sections")
	}
	if r.IntN(4) == 0 {
		cflags = append(cflags, guarded...)
	}
	if cc == "gcc" && r.IntN(3) == 0 {
		cflags = append(cflags, "-fno-toplevel-reorder")
	}
	return cc, slices.Clip(cflags), ldflags
}
