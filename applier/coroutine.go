// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/ulpatch/ulpatch/applier/proc"
	"github.com/ulpatch/ulpatch/applier/scan"
	"github.com/ulpatch/ulpatch/arch"
)

// suspended finds frames on stacks that no thread is on: those of coroutines,
// and the stacks that threads have left for one. Nothing tells where they are,
// so memory is searched for return addresses.
//
// Most of that is done while the process runs: survey reads all memory that
// could be a stack and remembers what looks like one. While it is stopped only
// that is read again.
type suspended struct {
	p       *process
	c       *checker
	scanner *scan.Scanner
	zones   []scan.Span // of return addresses into zones
	code    codeMap

	maps     proc.Maps
	looks    []scan.Region // what looked like stacks in the last survey
	chain    *chain
	hits     []hit                // of the last search: what may be frames
	suspects []scan.Region        // those that held return addresses into zones
	before   map[scan.Region]bool // stacks that were suspects, or had hits, before
	own      []scan.Region        // stacks that threads were on, in the last search
	guard    uint64               // the C library's secret, once it is known
	guarded  bool
	seed     maphash.Seed
	unread   bool                          // there is memory in which these were not looked for
	idle     map[scan.Region]*idleStack    // stacks that were looked into for saved stack pointers
	checked  map[scan.Region]*checkedStack // what is known of these in this search

	read uint64 // bytes, in the last survey
	took time.Duration
}

// hit is a word that is a return address into a zone.
type hit struct{ at, word arch.Addr }

// above is where the stack goes on once the word was returned to.
func (h hit) above() arch.Addr { return h.at + 8 }

const (
	largeStack    = 64 << 20 // bytes; a larger mapping is no stack
	smallRegion   = 16 << 20 // bytes; up to here a region is searched as a whole
	redZone       = 16 << 10 // bytes below a running thread's stack pointer that are no frames
	functionAlign = 16
)

func newSuspended(p *process, c *checker) *suspended {
	s := &suspended{p: p, c: c, scanner: scan.Open(p.live, p.mem), seed: maphash.MakeSeed()}
	s.scanner.Ignore = p.signature()
	for ret := range c.returns {
		s.zones = extend(s.zones, ret)
	}
	s.code = readCode(&p.view, p.mem)
	s.chain = newChain(&s.code, p.mem, c.unwinder, func() (proc.Maps, error) { return proc.ReadMaps(p.live) })
	c.chain = s.chain
	return s
}

// extend widens the span that is near, or adds one. There are two or three: the
// program's and those of libraries.
func extend(spans []scan.Span, word arch.Addr) []scan.Span {
	const near = 1 << 30
	for i := range spans {
		sp := &spans[i]
		if word+near >= sp.Lo && word <= sp.Hi+near {
			sp.Lo, sp.Hi = min(sp.Lo, word), max(sp.Hi, word+1)
			return spans
		}
	}
	return append(spans, scan.Span{Lo: word, Hi: word + 1})
}

func (s *suspended) close() { s.scanner.Close() }

// searchable tells whether a mapping could hold a stack.
func searchable(m proc.Mapping) bool {
	size := m.End - m.Start
	return m.Path == "[heap]" || size <= largeStack
}

// survey reads the memory of the running process.
func (s *suspended) survey() error {
	if len(s.zones) == 0 {
		return nil // nothing in a zone calls, so that nothing can return there
	}
	start := time.Now()
	maps, err := proc.ReadMaps(s.p.live)
	if err != nil {
		return err
	}
	s.maps, s.looks, s.suspects, s.read = maps, nil, nil, 0
	for _, r := range scan.Writable(maps, searchable) {
		var pages []scan.Region
		suspect := false
		n, err := s.scanner.Words(r, s.code.spans, func(at, word arch.Addr) bool {
			// A function may follow a call that does not return. Functions are
			// aligned; of the return addresses on a stack few are.
			inside := s.c.returns[word]
			if inside || word%functionAlign != 0 && s.code.isReturn(word) {
				pages = addPage(pages, at)
			}
			suspect = suspect || inside
			return true
		})
		s.read += n
		// What is read while it runs may go at any time. What was found before it
		// went, or could not be read any further, still is looked at.
		if err == nil && len(pages) > 0 && r.Size() <= smallRegion {
			pages = []scan.Region{r}
		}
		s.looks = append(s.looks, pages...)
		if suspect {
			s.suspects = append(s.suspects, pages...)
		}
	}
	s.remember()
	if m := s.p.arch.Mangling; !s.guarded && len(s.hits) > 0 && m != nil && m.Symbol != "" {
		s.guarded = s.guardVariable()
	}
	if s.guarded {
		s.judge()
	}
	s.took = time.Since(start)
	s.await()
	s.chain.forget()
	return nil
}

// remember adds to the suspects the stacks that were suspects before, or had hits,
// and those of the same size: coroutines that serve requests in turn come back to
// where they were, and one is like the other.
func (s *suspended) remember() {
	if s.before == nil {
		s.before = map[scan.Region]bool{}
	}
	note := func(at arch.Addr) {
		if r, ok := s.stackOf(at); ok {
			s.before[r] = true
		}
	}
	among := map[scan.Region]bool{}
	for _, suspect := range s.suspects {
		among[suspect] = true
		note(suspect.Start)
	}
	for _, h := range s.hits {
		note(h.at)
	}
	sizes := map[uint64]bool{}
	for r := range s.before {
		sizes[r.Size()] = true
	}
	for _, r := range s.looks {
		if whole, ok := s.stackOf(r.Start); ok && whole == r && !among[r] && (s.before[r] || sizes[r.Size()]) {
			s.suspects = append(s.suspects, r)
		}
	}
}

// await waits, while the process runs, until no coroutine seems to be in a zone
// any more, where the last search found one, but not for long: it may be wrong. It
// spares the process stops that come to nothing, and catches the moments between
// the requests of a busy server.
func (s *suspended) await() {
	if len(s.hits) == 0 {
		return
	}
	const patience, between = 250 * time.Millisecond, 300 * time.Microsecond
	s.checked = map[scan.Region]*checkedStack{}
	var suspects []scan.Region
	for _, r := range s.suspects {
		suspects = append(suspects, subtract(r, s.own)...)
	}
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(between) {
		hits, err := s.find(suspects)
		if err != nil || !slices.ContainsFunc(hits, func(h hit) bool { return !s.isStale(h) }) {
			return
		}
		clear(s.checked)
	}
}

// find looks for what may be frames in zones.
func (s *suspended) find(regions []scan.Region) (hits []hit, err error) {
	for _, r := range regions {
		_, err := s.scanner.Words(r, s.zones, func(at, word arch.Addr) bool {
			if h := (hit{at, word}); s.c.returns[word] && s.chain.possible(word, h.above()) {
				hits = append(hits, h)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return hits, nil
}

const surveyPage = 16 << 10 // bytes

func addPage(pages []scan.Region, at arch.Addr) []scan.Region {
	start := at &^ (surveyPage - 1)
	if n := len(pages); n > 0 && pages[n-1].End >= start {
		pages[n-1].End = start + surveyPage
		return pages
	}
	return append(pages, scan.Region{Start: start, End: start + surveyPage})
}

// search looks for frames in zones, all threads of the process being stopped.
func (s *suspended) search(threads []*thread) error {
	s.checked = map[scan.Region]*checkedStack{}
	s.own = s.ownStacks(threads)
	var parts []scan.Region
	for _, r := range s.looks {
		parts = append(parts, subtract(r, s.own)...)
	}
	var err error
	if s.hits, err = s.find(parts); err != nil {
		return fmt.Errorf("%w: %w", errChanged, err)
	}
	s.learnGuard(threads)
	for _, h := range s.hits {
		if s.isStale(h) {
			continue
		}
		m, _ := s.maps.Find(h.at)
		return &occupied{zone: s.c.zone(h.word-1, false), stack: []string{fmt.Sprintf(
			"return address %#x at %#x, on a stack that no thread is on (%#x-%#x %s)",
			uint64(h.word), uint64(h.at), uint64(m.Start), uint64(m.End), m.Path)}}
	}
	return nil
}

// ownStacks is the memory of the stacks that threads are on, which have been
// walked. A thread that is on the stack that it was started with has all of its
// mapping; on another one, of which the mapping may hold more, only what is between
// its stack pointer and the outermost frame that was found.
func (s *suspended) ownStacks(threads []*thread) []scan.Region {
	var own []scan.Region
	stackPointer := func(t *thread) arch.Addr {
		return arch.Addr(binary.LittleEndian.Uint64(t.regs[s.p.arch.Regs.SP:]))
	}
	onStack := map[arch.Addr]int{} // threads, by the start of the mapping
	for _, t := range threads {
		if m, ok := s.maps.Find(stackPointer(t)); ok && !t.gone {
			onStack[m.Start]++
		}
	}
	for _, t := range threads {
		if t.gone {
			continue
		}
		sp := stackPointer(t)
		m, ok := s.maps.Find(sp)
		if !ok {
			continue
		}
		tp, known := t.pointer(s.p.arch)
		alone := onStack[m.Start] == 1 && m.Path != "[heap]" && m.End-m.Start <= smallRegion
		if alone && (m.Path == "[stack]" || known && m.Contains(tp)) {
			own = append(own, scan.Region{Start: m.Start, End: m.End})
		} else {
			own = append(own, scan.Region{Start: sp - redZone, End: max(t.top, sp)})
		}
	}
	slices.SortFunc(own, func(a, b scan.Region) int { return cmp.Compare(a.Start, b.Start) })
	return own
}

// subtract cuts sorted regions out of one.
func subtract(r scan.Region, cuts []scan.Region) []scan.Region {
	var parts []scan.Region
	for _, cut := range cuts {
		if cut.End <= r.Start || cut.Start >= r.End {
			continue
		}
		if cut.Start > r.Start {
			parts = append(parts, scan.Region{Start: r.Start, End: cut.Start &^ 7})
		}
		r.Start = max(r.Start, (cut.End+7)&^7)
		if r.Start >= r.End {
			return parts
		}
	}
	return append(parts, r)
}

// learnGuard reads the secret by which glibc hides stack pointers in jmp_bufs.
func (s *suspended) learnGuard(threads []*thread) {
	m := s.p.arch.Mangling
	if s.guarded || len(s.hits) == 0 || m != nil && m.Symbol != "" {
		return
	}
	s.guarded = true
	for _, t := range threads {
		if t.gone || m == nil {
			continue
		}
		var buf [8]byte
		if tp, ok := t.pointer(s.p.arch); ok && s.p.mem.Read(tp+arch.Addr(m.Guard), buf[:]) == nil {
			s.guard = binary.LittleEndian.Uint64(buf[:])
			return
		}
	}
}

// guardVariable reads the secret from the dynamic linker's variable. Without it
// nothing can be told of stacks, unless the C library is musl, which hides nothing.
func (s *suspended) guardVariable() bool {
	plain := false
	for _, m := range s.p.modules {
		name := m.Name()
		plain = plain || name == "libc.so" || strings.HasPrefix(name, "ld-musl-")
		sym, ok, err := m.Lookup(s.p.arch.Mangling.Symbol, "")
		var buf [8]byte
		if err == nil && ok && s.p.mem.Read(sym.Addr(), buf[:]) == nil {
			s.guard = binary.LittleEndian.Uint64(buf[:])
			return true
		}
	}
	return plain
}
