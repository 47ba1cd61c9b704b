# SPDX-License-Identifier: GPL-2.0-or-later

cflags=(-fno-inline)
variant x86_64/gcc -Os
variant x86_64/gcc-plain -Os
variant x86_64/clang -Os
variant x86_64/clang-plain -Os
