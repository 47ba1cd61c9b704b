# SPDX-License-Identifier: GPL-2.0-or-later

cflags=(-g)
after_link() {
	$(binutil objcopy) --only-keep-debug image image.debug
	$(binutil objcopy) --strip-all --add-gnu-debuglink=image.debug image
}
