# SPDX-License-Identifier: GPL-2.0-or-later

before_link() { # the image comes of an older version
	compile older linked
	linked=linked
}
