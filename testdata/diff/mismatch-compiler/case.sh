# SPDX-License-Identifier: GPL-2.0-or-later

before_link() { # the image comes of the other compiler
	local name=$([[ $name == gcc* ]] && echo clang || echo gcc)
	compile orig linked
	linked=linked
}
