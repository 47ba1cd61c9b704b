# SPDX-License-Identifier: GPL-2.0-or-later

cflags=(-I "$root/../../builder/include")
