// SPDX-License-Identifier: GPL-2.0-or-later

#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// work does one round with the library and says whether the result was right.
// Several threads call it at once; thread numbers them from 0. The argument is
// the host's last one.
bool work(int thread, const char *argument);

// vulnerable looks whether the library has a bug, which it names. Only the hosts
// of libraries that are asked for bugs have it.
bool vulnerable(const char *bug, const char *argument);

// library is the handle of the library that the host has loaded.
extern void *library;

// function returns a function of the library; a missing one ends the host.
void *function(const char *name);

// FUNCTION declares a local pointer to a function of the library.
#define FUNCTION(result, name, ...) result (*name)(__VA_ARGS__) = function(#name)
