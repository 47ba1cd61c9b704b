# SPDX-License-Identifier: GPL-2.0-or-later

after_link() { $(binutil objcopy) --strip-all image; }
