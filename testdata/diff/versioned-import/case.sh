# SPDX-License-Identifier: GPL-2.0-or-later

# The C library for aarch64 has one version of it.
for compiler in gcc gcc-plain clang clang-plain; do variant x86_64/$compiler; done
