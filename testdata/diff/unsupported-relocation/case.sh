# SPDX-License-Identifier: GPL-2.0-or-later

cflags=(-fno-inline)
variant x86_64/gcc
variant x86_64/gcc-plain
