// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"archive/tar"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// archive writes a .tar.zst of empty entries.
func archive(t *testing.T, path string, headers ...tar.Header) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	compressor, err := zstd.NewWriter(file)
	if err != nil {
		t.Fatal(err)
	}
	writer := tar.NewWriter(compressor)
	for _, header := range headers {
		header.Mode = 0o755
		if err := writer.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
	}
	for _, closer := range []interface{ Close() error }{writer, compressor, file} {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindCasesInArchives(t *testing.T) {
	corpus, scratch := t.TempDir(), t.TempDir()
	archive(t, filepath.Join(corpus, "web.tar.zst"),
		tar.Header{Typeflag: tar.TypeReg, Name: "web/CVE-2/orig/a.o"},
		tar.Header{Typeflag: tar.TypeReg, Name: "web/CVE-2/target/webd"},
		tar.Header{Typeflag: tar.TypeDir, Name: "web/CVE-1/orig/"},
		tar.Header{Typeflag: tar.TypeLink, Name: "web/CVE-1/target/webd", Linkname: "web/CVE-2/target/webd"})
	archive(t, filepath.Join(corpus, "web-plain.tar.zst"),
		tar.Header{Typeflag: tar.TypeReg, Name: "plain/web/CVE-2/orig/a.o"})
	archive(t, filepath.Join(corpus, "db.tar.zst"),
		tar.Header{Typeflag: tar.TypeReg, Name: "db/CVE-3/orig/a.o"})

	pairs, err := openCorpus(corpus, scratch, "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flavour, only string
		want          []string
	}{
		{"all", "", []string{"plain/web/CVE-2", "web/CVE-1", "web/CVE-2"}},
		{sections, "web", []string{"web/CVE-1", "web/CVE-2"}},
		{plain, "web/CVE-2", []string{"plain/web/CVE-2"}},
	} {
		cases, err := findCases(pairs, test.flavour, test.only)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range cases {
			got = append(got, c.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s %q: got %v, want %v", test.flavour, test.only, got, test.want)
		}
	}
	if _, err := findCases(pairs, "all", "db"); err == nil {
		t.Error("a package that is not there gives no error")
	}
	cases, _ := findCases(pairs, sections, "web/CVE-1")
	if image, ok := cases[0].image("webd"); !ok || !filepath.IsAbs(image) {
		t.Errorf("image of a hard link: %q, %v", image, ok)
	}
}

func TestUnpackStaysInside(t *testing.T) {
	for name, header := range map[string]tar.Header{
		"file": {Typeflag: tar.TypeReg, Name: "../out"},
		"link": {Typeflag: tar.TypeLink, Name: "in", Linkname: "../../out"},
		"node": {Typeflag: tar.TypeFifo, Name: "in"},
	} {
		path := filepath.Join(t.TempDir(), "bad.tar.zst")
		archive(t, path, header)
		if err := unpack(path, t.TempDir()); err == nil {
			t.Errorf("%s: unpacked", name)
		}
	}
}
