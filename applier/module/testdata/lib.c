// SPDX-License-Identifier: GPL-2.0-or-later
//
// A library with two versions of a function (lib.map), a thread-local variable,
// and a function that others define too.

__asm__(".symver old_f, f@V1");
__asm__(".symver new_f, f@@V2");

int old_f(void) { return 1; }
int new_f(void) { return 2; }
int shared_name(void) { return LIB; }
int data_symbol = 5;
static __thread int own_tls = 7;
__thread int exported_tls = 8;
int *tls_address(void) { exported_tls++; return &own_tls; }
