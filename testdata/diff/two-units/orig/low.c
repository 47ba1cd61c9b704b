// SPDX-License-Identifier: GPL-2.0-or-later

int level = 3;

int low(int a) { return a * level; }
