# SPDX-License-Identifier: GPL-2.0-or-later

# Without code of their own, and with code that is not what was linked.
cflags=(-flto -frandom-seed=unit) ldflags=(-flto)
variant gcc
variant gcc-fat -ffat-lto-objects
