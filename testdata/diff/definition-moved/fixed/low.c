// SPDX-License-Identifier: GPL-2.0-or-later

int shared(int);

int low(int a) { return shared(a) / 3; }
