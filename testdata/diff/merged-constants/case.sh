# SPDX-License-Identifier: GPL-2.0-or-later

for compiler in gcc gcc-plain clang clang-plain; do
	variant $compiler
	variant $compiler-no-pie -fno-pie -- -no-pie
done
