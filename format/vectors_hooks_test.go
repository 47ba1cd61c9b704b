// SPDX-License-Identifier: GPL-2.0-or-later

package format_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/format/payload"
)

// hookedFile is the payload that vectors about hooks have: one function, a hook
// before the patch is applied and one after it was reverted.
func hookedFile() *payload.File {
	f := file(build1)
	f.Sections = append(f.Sections, payload.Section{
		Name: ".bss", Type: elf.SHT_NOBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Align: 4, Size: 2*format.HookProgressSize + 4,
	})
	progress := func(name string, at uint64) payload.Symbol {
		return payload.Symbol{Name: name, Section: 1, Value: at, Size: format.HookProgressSize, Type: elf.STT_OBJECT, Bind: elf.STB_LOCAL}
	}
	call := func(name string) payload.Symbol {
		return payload.Symbol{Name: name, Section: 0, Value: 5, Size: 1, Type: elf.STT_FUNC, Bind: elf.STB_LOCAL}
	}
	f.Symbols = append([]payload.Symbol{
		call("call.a"), call("call.b"), call("call.c"), progress("done.a", 0), progress("done.b", format.HookProgressSize),
	}, f.Symbols...)
	f.Sections[0].Relocs[0].Symbol += 5
	f.Table.Hooks = []format.Hook{
		{Stage: format.PreApply, Name: "a", Symbol: "call.a", Progress: "done.a"},
		{Stage: format.PostRevert, Name: "b", Symbol: "call.b", Progress: "done.b"},
	}
	return f
}

// hooks has bundles with hooks, and one fault each in them.
func (m *maker) hooks() {
	good := m.payload(hookedFile())
	hooked := func(man format.Manifest, data []byte) []byte {
		man.Payloads = []format.PayloadInfo{{Image: file(build1).Table.Image}}
		unsigned, err := format.Encode(man, [][]byte{data})
		m.must(err)
		return m.sign(unsigned, m.key)
	}
	critical := head()
	critical.Critical = []string{format.FeatureHooks}
	m.add("valid-hooks", "valid", "a payload with hooks, and a manifest that says so", hooked(critical, good))
	m.add("valid-hooks-none", "valid", "a manifest that says hooks, and a payload that has none", hooked(critical, m.payload(file(build1))))
	m.add("body-hooks-not-critical", "body", "a payload with hooks, and a manifest that does not say so", hooked(head(), good))
	unproved := head()
	unproved.Critical = []string{format.FeatureUnproved}
	m.add("valid-unproved", "valid", "a manifest that says that the image is not proved", hooked(unproved, m.payload(file(build1))))
	table := func(old, new string) []byte {
		if len(old) != len(new) || bytes.Count(good, []byte(old)) != 1 {
			m.t.Fatalf("%q is not in the table once, or %q is of another length", old, new)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	// Section headers: 1 .text.f, 2 .bss, 3 .rela.text.f, 4 table, 5 .symtab.
	headers := int(binary.LittleEndian.Uint64(good[40:]))
	symtab := int(binary.LittleEndian.Uint64(good[headers+64*5+24:]))
	symbol := func(n, field int, value byte) []byte {
		data := bytes.Clone(good)
		data[symtab+24*n+field] = value
		return data
	}
	for _, v := range []struct {
		name, comment string
		data          []byte
	}{
		{"body-hook-stage", "a stage that there is not", table(`"pre-apply"`, `"pre-patch"`)},
		{"body-hook-order", "post-revert before pre-apply", table(
			`{"stage":"pre-apply","name":"a","symbol":"call.a","progress":"done.a"},{"stage":"post-revert"`,
			`{"stage":"post-revert","name":"a","symbol":"call.a","progress":"done.a"},{"stage":"pre-apply"`)},
		{"body-hook-symbol-missing", "a symbol that is not defined", table(`"symbol":"call.a"`, `"symbol":"call.d"`)},
		{"body-hook-symbol-data", "a variable for a function", table(`"symbol":"call.a","progress":"done.a"`, `"symbol":"done.a","progress":"call.a"`)},
		{"body-hook-symbol-twice", "two hooks with one function", table(`"symbol":"call.b"`, `"symbol":"call.a"`)},
		{"body-hook-progress-code", "a function for a variable", table(`"progress":"done.b"`, `"progress":"call.c"`)},
		{"body-hook-progress-twice", "two hooks with one variable", table(`"progress":"done.b"`, `"progress":"done.a"`)},
		{"body-hook-progress-size", "a variable of 11 bytes", symbol(4, 16, format.HookProgressSize-1)},
		{"body-hook-progress-alignment", "a variable that is not aligned", symbol(5, 8, format.HookProgressSize+1)},
	} {
		m.add(v.name, "body", v.comment, hooked(critical, v.data))
	}
}
