# SPDX-License-Identifier: GPL-2.0-or-later

# A static image has no dynamic linker to look the function up.
cflags=(-fno-pie) ldflags=(-nostdlib -static -no-pie)
