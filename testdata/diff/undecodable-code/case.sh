# SPDX-License-Identifier: GPL-2.0-or-later

# Without section flags code has to be decoded, with them it need not.
cflags=(-fno-inline)
variant x86_64/gcc-nosections -fno-function-sections -fno-data-sections
