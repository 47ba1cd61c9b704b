// SPDX-License-Identifier: GPL-2.0-or-later

package format_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ulpatch/ulpatch/format"
	"github.com/ulpatch/ulpatch/specs/vectors"
)

var mutations = flag.Int("mutations", 4000, "random changes that TestMutations makes")

// TestMutations changes valid bundles at random. None is accepted, except where
// only a signature changed that does not count: one by a key that is not
// trusted, or one more than the policy wants.
func TestMutations(t *testing.T) {
	all, err := vectors.All()
	if err != nil {
		t.Fatal(err)
	}
	valid := slices.DeleteFunc(all, func(v vectors.Vector) bool { return v.Expect != "valid" })
	if len(valid) < 5 {
		t.Fatalf("%d valid vectors", len(valid))
	}
	random := rand.New(rand.NewPCG(1, uint64(*mutations)))
	refused, spare := map[string]int{}, 0
	for range *mutations {
		v := valid[random.IntN(len(valid))]
		other := valid[random.IntN(len(valid))].Data
		bad := mutate(random, bytes.Clone(v.Data), other)
		if bytes.Equal(bad, v.Data) || isValid(valid, v, bad) {
			continue
		}
		changed := v
		changed.Data = bad
		if err := readAll(t, changed); err != nil {
			refused[layerOf(t, err)]++
			continue
		}
		spare++
		if !sameSigned(t, v.Data, bad) || !strangers(t, v) {
			t.Fatalf("%s: accepted as\n%x", v.Name, bad)
		}
	}
	t.Logf("refused %v; a signature that does not count was changed: %d", refused, spare)
	if refused["manifest"]+refused["feature"]+refused["policy"]+refused["decompress"]+refused["body"] > 0 {
		t.Errorf("something was read before its signature: %v", refused)
	}
}

// isValid says that a change made another valid bundle out of v, of the same
// keys: a splice of the two can be the second.
func isValid(valid []vectors.Vector, v vectors.Vector, data []byte) bool {
	return slices.ContainsFunc(valid, func(o vectors.Vector) bool {
		return bytes.Equal(o.Data, data) && o.Keys[0] == v.Keys[0]
	})
}

func layerOf(t *testing.T, err error) string {
	t.Helper()
	for name, sentinel := range layers {
		if sentinel != nil && strings.Contains(err.Error(), sentinel.Error()) {
			return name
		}
	}
	t.Fatalf("%v is of no layer", err)
	return ""
}

// mutate makes one to three changes: of bits, bytes, numbers, or whole ranges,
// also with bytes of another bundle.
func mutate(random *rand.Rand, data, other []byte) []byte {
	for range 1 + random.IntN(3) {
		if len(data) == 0 {
			return data
		}
		at := random.IntN(len(data))
		n := min(1+random.IntN(1<<random.IntN(9)), len(data)-at)
		switch random.IntN(10) {
		case 0, 1, 2:
			data[at] ^= 1 << random.IntN(8)
		case 3:
			data[at] = byte(random.Uint32())
		case 4:
			data[at] += byte(1 - 2*random.IntN(2))
		case 5: // removed
			data = slices.Delete(data, at, at+n)
		case 6: // doubled
			data = slices.Insert(data, at, bytes.Clone(data[at:at+n])...)
		case 7: // moved
			piece := bytes.Clone(data[at : at+n])
			data = slices.Delete(data, at, at+n)
			data = slices.Insert(data, random.IntN(len(data)+1), piece...)
		case 8: // cut short
			data = data[:at]
		case 9: // the same place of another bundle
			if at < len(other) {
				copy(data[at:at+n], other[at:])
			}
		}
	}
	return data
}

func unverified(t *testing.T, data []byte) *format.Unverified {
	t.Helper()
	u, err := format.OpenUnverified(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// sameSigned says that the signed bytes of two bundles are the same.
func sameSigned(t *testing.T, a, b []byte) bool {
	t.Helper()
	return bytes.Equal(a[:unverified(t, a).SignedSize()], b[:unverified(t, b).SignedSize()])
}

// strangers says that a vector has signatures that are not needed.
func strangers(t *testing.T, v vectors.Vector) bool {
	t.Helper()
	return len(unverified(t, v.Data).KeyIDs) > v.Threshold
}
