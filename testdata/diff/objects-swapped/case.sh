# SPDX-License-Identifier: GPL-2.0-or-later

before_link() { linked=fixed; }
