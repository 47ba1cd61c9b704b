// SPDX-License-Identifier: GPL-2.0-or-later

package arch

// Data is a row whose place is a little-endian number of size bytes.
func Data(size int, e Expr, c Check) Howto {
	return Howto{Size: size, Expr: e, Check: c, Field: LittleEndian(size, c.signed)}
}

// Needs is the row with a need.
func (h Howto) Needs(n Need) Howto { h.Need = n; return h }

// Marker is a row that writes nothing.
var Marker = Howto{Expr: Calc("none", func(Operands) int64 { return 0 })}

// LittleEndian is the field that fills a place of size bytes.
func LittleEndian(size int, signed bool) Field {
	unused := uint(64 - 8*size)
	return Field{
		Put: func(place []byte, x int64) {
			for i := range size {
				place[i] = byte(x >> (8 * i))
			}
		},
		Get: func(place []byte) int64 {
			var x uint64
			for i := range size {
				x |= uint64(place[i]) << (8 * i)
			}
			if signed {
				return int64(x<<unused) >> unused
			}
			return int64(x)
		},
	}
}

// Table makes a port's Relocs out of its rows, which name names.
func Table[T ~int](rows map[T]Howto, name func(typ uint32) string) map[uint32]Howto {
	table := make(map[uint32]Howto, len(rows))
	for typ, row := range rows {
		row.Name = name(uint32(typ))
		table[uint32(typ)] = row
	}
	return table
}
