// SPDX-License-Identifier: GPL-2.0-or-later

package applier

import (
	"encoding/binary"
	"fmt"
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

	maps    proc.Maps
	looks   []scan.Region // what looked like stacks in the last survey
	guard   uint64        // the C library's secret, once it is known
	guarded bool
	hits    []hit // of the last search
	stale   map[hit]stackContexts

	read uint64 // bytes, in the last survey
	took time.Duration
}

// hit is a word that is a return address into a zone.
type hit struct{ at, word arch.Addr }

// stackContexts are the words that might be saved stack pointers into one stack.
type stackContexts []arch.Addr

const (
	largeStack    = 64 << 20 // bytes; a larger mapping is no stack
	smallRegion   = 16 << 20 // bytes; up to here a region is searched as a whole
	redZone       = 16 << 10 // bytes below a running thread's stack pointer that are no frames
	functionAlign = 16
	savedArea     = 128 // bytes above a saved stack pointer in which a return address is expected
)

func newSuspended(p *process, c *checker) *suspended {
	s := &suspended{p: p, c: c, scanner: scan.Open(p.live, p.mem), stale: map[hit]stackContexts{}}
	s.scanner.Ignore = p.signature()
	for ret := range c.returns {
		s.zones = extend(s.zones, ret)
	}
	s.code = readCode(&p.view, p.mem)
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
	s.maps, s.looks, s.read = maps, nil, 0
	for _, r := range scan.Writable(maps, searchable) {
		var pages []scan.Region
		n, err := s.scanner.Words(r, s.code.spans, func(at, word arch.Addr) bool {
			// A function may follow a call that does not return. Functions are
			// aligned; of the return addresses on a stack few are.
			if word%functionAlign != 0 && s.code.isReturn(word) {
				pages = addPage(pages, at)
			}
			return true
		})
		s.read += n
		// What is read while it runs may go at any time. What was found before it
		// went, or could not be read any further, still is looked at.
		if err == nil && len(pages) > 0 && r.Size() <= smallRegion {
			pages = []scan.Region{r}
		}
		s.looks = append(s.looks, pages...)
	}
	if m := s.p.arch.Mangling; !s.guarded && len(s.hits) > 0 && m != nil && m.Symbol != "" {
		s.guarded = s.guardVariable()
	}
	if s.guarded {
		s.judge()
	}
	s.took = time.Since(start)
	return nil
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
	s.hits = nil
	own := s.ownStacks(threads)
	for _, r := range s.looks {
		for _, part := range subtract(r, own) {
			_, err := s.scanner.Words(part, s.zones, func(at, word arch.Addr) bool {
				if s.c.returns[word] {
					s.hits = append(s.hits, hit{at, word})
				}
				return true
			})
			if err != nil {
				return fmt.Errorf("%w: %w", errChanged, err)
			}
		}
	}
	s.learnGuard(threads)
	for _, h := range s.hits {
		if s.isStale(h) || !s.isFrame(h) {
			continue
		}
		m, _ := s.maps.Find(h.at)
		return &occupied{zone: s.c.zone(h.word-1, false), stack: []string{fmt.Sprintf(
			"return address %#x at %#x, on a stack that no thread is on (%#x-%#x %s)",
			uint64(h.word), uint64(h.at), uint64(m.Start), uint64(m.End), m.Path)}}
	}
	return nil
}

// isFrame tells whether a hit could be a frame: whether the frame itself would
// return to code. Words that were copied to other memory with the rest of an old
// stack do not lie as a frame's would.
func (s *suspended) isFrame(h hit) bool {
	const word = 8
	caller, ok := s.c.unwinder.Caller(h.word, h.at+word)
	return !ok || caller == 0 || s.code.contains(caller)
}

// ownStacks is the memory of the stacks that threads are on, which have been
// walked. A stack that shares its mapping with other things counts as far as
// frames were found.
func (s *suspended) ownStacks(threads []*thread) []scan.Region {
	var own []scan.Region
	for _, t := range threads {
		if t.gone {
			continue
		}
		sp := arch.Addr(binary.LittleEndian.Uint64(t.regs[s.p.arch.Regs.SP:]))
		m, ok := s.maps.Find(sp)
		switch {
		case !ok:
		case m.Path == "[heap]" || m.End-m.Start > smallRegion:
			own = append(own, scan.Region{Start: sp - redZone, End: max(t.top, sp)})
		default:
			own = append(own, scan.Region{Start: m.Start, End: m.End})
		}
	}
	slices.SortFunc(own, func(a, b scan.Region) int { return int(int64(a.Start - b.Start)) })
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

// judge finds out, while the process runs, which of the last search's hits are
// left over from calls that have returned. A stack is gone on with from a stack
// pointer that was saved somewhere: plainly, beside a program counter or above
// saved registers, or hidden in a jmp_buf. Where all that lead into the hit's
// stack lead above the hit, nothing will ever return through it.
func (s *suspended) judge() {
	clear(s.stale)
	contexts := map[scan.Region]stackContexts{}
	for _, h := range s.hits {
		m, ok := s.maps.Find(h.at)
		if !ok || m.End-m.Start > smallRegion || m.Path == "[heap]" {
			continue // no stack of its own, so that nothing can be told
		}
		r := scan.Region{Start: m.Start, End: m.End}
		if _, ok := contexts[r]; !ok {
			contexts[r] = s.contextsOf(r)
		}
		if found := contexts[r]; len(found) > 0 {
			s.stale[h] = found
		}
	}
	for h := range s.stale {
		if !s.isStale(h) {
			delete(s.stale, h)
		}
	}
}

// contextsOf finds the words that may be saved stack pointers into a stack.
func (s *suspended) contextsOf(stack scan.Region) stackContexts {
	var found stackContexts
	for _, r := range scan.Writable(s.maps, searchable) {
		_, _ = s.scanner.Each(r, func(at arch.Addr, run []byte) bool {
			for off := 0; off+8 <= len(run); off += 8 {
				word := binary.LittleEndian.Uint64(run[off:])
				if _, ok := s.savedSP(word, stack); ok {
					found = append(found, at+arch.Addr(off))
				}
			}
			return true
		})
	}
	return found
}

// savedSP reads a word as a stack pointer into a stack.
func (s *suspended) savedSP(word uint64, stack scan.Region) (sp arch.Addr, ok bool) {
	inside := func(a arch.Addr) bool { return stack.Start <= a && a < stack.End }
	if a := arch.Addr(word); inside(a) {
		return a, true
	}
	if m := s.p.arch.Mangling; m != nil && s.guard != 0 {
		if a := arch.Addr(m.Reveal(word, s.guard)); inside(a) {
			return a, true
		}
	}
	return 0, false
}

// isStale tells whether a hit was judged to be left over, and what that was
// judged by still holds.
func (s *suspended) isStale(h hit) bool {
	contexts, ok := s.stale[h]
	if !ok {
		return false
	}
	m, ok := s.maps.Find(h.at)
	if !ok {
		return false
	}
	stack := scan.Region{Start: m.Start, End: m.End}
	for _, at := range contexts {
		var buf [8]byte
		if s.p.mem.Read(at, buf[:]) != nil {
			continue
		}
		sp, ok := s.savedSP(binary.LittleEndian.Uint64(buf[:]), stack)
		if !ok || sp > h.at {
			continue
		}
		if stack.Start <= at && at < h.at {
			continue // what lies below the hit on the same stack is as old as it is
		}
		if s.leadsToCode(at, sp) {
			return false
		}
	}
	return true
}

// leadsToCode tells whether a saved stack pointer has a program counter beside
// it, or a return address among the saved registers that it points to.
func (s *suspended) leadsToCode(at, sp arch.Addr) bool {
	m := s.p.arch.Mangling
	places := []int{8} // of a ucontext_t
	if m != nil && m.PC != 8 {
		places = append(places, m.PC)
	}
	for _, place := range places {
		var beside [8]byte
		if s.p.mem.Read(at+arch.Addr(place), beside[:]) != nil {
			continue
		}
		word := binary.LittleEndian.Uint64(beside[:])
		if s.code.contains(s.p.strip(arch.Addr(word))) {
			return true
		}
		if m != nil && s.guard != 0 && s.code.contains(s.p.strip(arch.Addr(m.Reveal(word, s.guard)))) {
			return true
		}
	}
	saved := make([]byte, savedArea)
	if s.p.mem.Read(sp, saved) != nil {
		return true // it cannot be told
	}
	for off := 0; off+8 <= len(saved); off += 8 {
		if s.code.isReturn(s.p.strip(arch.Addr(binary.LittleEndian.Uint64(saved[off:])))) {
			return true
		}
	}
	return false
}
