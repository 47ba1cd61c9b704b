// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// zboot wraps a kernel as the kernel's build does.
func zboot(t *testing.T, kind string, kernel []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&packed)
	if strings.HasPrefix(kind, "zstd") {
		z, err := zstd.NewWriter(&packed)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := w.Write(kernel); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	payload := binary.LittleEndian.AppendUint32(packed.Bytes(), uint32(len(kernel)))
	const offset = 128
	image := make([]byte, offset)
	copy(image, "MZ\x00\x00zimg")
	binary.LittleEndian.PutUint32(image[8:], offset)
	binary.LittleEndian.PutUint32(image[12:], uint32(len(payload)))
	copy(image[24:], kind)
	return append(append(image, payload...), "signature"...)
}

func TestZboot(t *testing.T) {
	kernel := bytes.Repeat([]byte("a kernel "), 100_000)
	for _, kind := range []string{"gzip", "zstd", "zstd22"} {
		got, err := unwrapZboot(zboot(t, kind, kernel))
		if err != nil || !bytes.Equal(got, kernel) {
			t.Errorf("%s: %d bytes, %v", kind, len(got), err)
		}
	}
	if got, err := unwrapZboot(kernel); err != nil || !bytes.Equal(got, kernel) {
		t.Errorf("a plain one: %v", err)
	}
	if _, err := unwrapZboot(zboot(t, "lzma", kernel)); err == nil {
		t.Error("an unknown compression is taken")
	}
	cut := zboot(t, "gzip", kernel)
	if _, err := unwrapZboot(cut[:200]); err == nil {
		t.Error("half an image is taken")
	}
	damaged := zboot(t, "zstd22", kernel)
	damaged[140] ^= 0xff
	if got, err := unwrapZboot(damaged); err == nil && bytes.Equal(got, kernel) {
		t.Error("damage is not noticed")
	}
}
