# SPDX-License-Identifier: GPL-2.0-or-later

# Of objects with a section for each function, by lld.
variant clang -- -Wl,--icf=all
variant x86_64/gcc -- -fuse-ld=lld -Wl,--icf=all
