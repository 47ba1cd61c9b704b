# SPDX-License-Identifier: GPL-2.0-or-later

cflags=(-fPIC) ldflags=(-shared "-Wl,--version-script=$case/versions")
