# SPDX-License-Identifier: GPL-2.0-or-later

before_link() { # the image comes of another level of optimisation
	compile orig linked -O1
	linked=linked
}
