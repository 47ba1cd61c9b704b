# SPDX-License-Identifier: GPL-2.0-or-later

# The fixed object is for the other machine.
variant x86_64/gcc
variant aarch64/gcc
after_link() {
	local arch=$([[ $arch == x86_64 ]] && echo aarch64 || echo x86_64)
	compile fixed fixed
}
