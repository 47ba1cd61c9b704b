# SPDX-License-Identifier: GPL-2.0-or-later

for compiler in gcc gcc-plain clang clang-plain; do
	for level in O0 O1 O2 O3 Os; do variant $compiler-$level -$level; done
	variant $compiler-no-pie -fno-pie -- -no-pie
	variant $compiler-pic -fPIC
	variant $compiler-shared -fPIC -- -shared
	variant x86_64/$compiler-cet -fcf-protection=full
	variant aarch64/$compiler-bti -mbranch-protection=standard
done
