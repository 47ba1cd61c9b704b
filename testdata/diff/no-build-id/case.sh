# SPDX-License-Identifier: GPL-2.0-or-later

ldflags=(-Wl,--build-id=none)
