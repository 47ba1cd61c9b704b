# SPDX-License-Identifier: GPL-2.0-or-later

before_link() { # the image is another program
	compile program linked
	linked=linked
}
