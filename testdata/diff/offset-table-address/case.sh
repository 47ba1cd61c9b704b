# SPDX-License-Identifier: GPL-2.0-or-later

# gcc for aarch64 takes the address of its module's table of slots.
variant aarch64/gcc -fpic -- -shared
variant aarch64/gcc-plain -fpic -- -shared
