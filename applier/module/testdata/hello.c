// SPDX-License-Identifier: GPL-2.0-or-later

#include <stdio.h>
#include <unistd.h>

__thread int own = 3;
int main(void) { own++; printf("%p\nend\n", (void *)main); fflush(stdout); for (;;) pause(); }
