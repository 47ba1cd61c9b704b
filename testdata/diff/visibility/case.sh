# SPDX-License-Identifier: GPL-2.0-or-later

cflags=(-fPIC) ldflags=(-shared)
for compiler in gcc clang; do
	for plain in "" -plain; do
		variant $compiler$plain
		variant $compiler$plain-bsymbolic -- -Wl,-Bsymbolic
	done
done
