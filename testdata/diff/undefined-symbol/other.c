// SPDX-License-Identifier: GPL-2.0-or-later

int puts(const char *s) { return s[0]; }
