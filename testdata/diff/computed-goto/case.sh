# SPDX-License-Identifier: GPL-2.0-or-later

for compiler in gcc clang; do
	for plain in "" -plain; do
		variant $compiler$plain
		variant $compiler$plain-no-pie -fno-pie -- -no-pie
		variant $compiler$plain-shared -fPIC -- -shared
	done
done
