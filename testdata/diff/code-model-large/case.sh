# SPDX-License-Identifier: GPL-2.0-or-later

for compiler in gcc gcc-plain clang clang-plain; do
	variant $compiler-no-pie -fno-pie -mcmodel=large -- -no-pie
	variant x86_64/$compiler-pic -fPIC -mcmodel=large
done
