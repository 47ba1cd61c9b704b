// SPDX-License-Identifier: GPL-2.0-or-later

package vm

import "testing"

func TestMirror(t *testing.T) {
	const uris = `'http://one.example/debian-security/dists/bookworm-security/InRelease' one.example_debian-security_dists_bookworm-security_InRelease 0
'http://two.example/debian/dists/bookworm-updates/InRelease' two.example_debian_dists_bookworm-updates_InRelease 0
'http://two.example/debian/dists/bookworm/InRelease' two.example_debian_dists_bookworm_InRelease 0
`
	if got, ok := mirrorOf(uris); !ok || got != "http://two.example/debian" {
		t.Errorf("%q, %v", got, ok)
	}
	if got, ok := mirrorOf(uris[:200]); ok {
		t.Errorf("%q of security updates alone", got)
	}
}
