# SPDX-License-Identifier: GPL-2.0-or-later

for compiler in gcc gcc-plain clang clang-plain; do
	variant $compiler -fno-plt
	variant $compiler-shared -fPIC -fno-plt -- -shared
done
