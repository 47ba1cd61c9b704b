// SPDX-License-Identifier: GPL-2.0-or-later
//
// Prints what its own dynamic linker makes of names, one "what value" a line.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int f(void);
int shared_name(void);
static __thread long local_tls = 3;

static int show(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	if (info->dlpi_phnum) printf("module %lx %s\n", (unsigned long)info->dlpi_addr, info->dlpi_name);
	return 0;
}

int main(int argc, char **argv)
{
	local_tls++;
	printf("called %d %d\n", f(), shared_name());
	printf("f %p\n", dlsym(RTLD_DEFAULT, "f"));
	printf("f@V1 %p\n", dlvsym(RTLD_DEFAULT, "f", "V1"));
	printf("f@V2 %p\n", dlvsym(RTLD_DEFAULT, "f", "V2"));
	printf("shared_name %p\n", dlsym(RTLD_DEFAULT, "shared_name"));
	printf("data_symbol %p\n", dlsym(RTLD_DEFAULT, "data_symbol"));
	printf("malloc %p\n", dlsym(RTLD_DEFAULT, "malloc"));
	printf("printf %p\n", dlsym(RTLD_DEFAULT, "printf"));
	printf("stdout %p\n", dlsym(RTLD_DEFAULT, "stdout"));
	printf("environ %p\n", dlsym(RTLD_DEFAULT, "environ"));
	printf("qsort %p\n", dlsym(RTLD_DEFAULT, "qsort"));
	printf("none %p\n", dlsym(RTLD_DEFAULT, "none"));
	if (argc > 1) { // a library that is private, one that is loaded twice more
		void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		if (!plugin) { puts(dlerror()); return 1; }
		printf("plugin %p\n", dlsym(plugin, "plugin"));
	}
	if (argc > 2)
		for (int i = 0; i < 2; i++) {
			void *copy = dlmopen(LM_ID_NEWLM, argv[2], RTLD_NOW);
			if (!copy) { puts(dlerror()); return 1; }
			printf("copy%d %p\n", i, dlsym(copy, "shared_name"));
			printf("malloc%d %p\n", i, dlsym(copy, "malloc"));
		}
	int fd = open("/proc/self/exe", O_RDONLY);
	void *p = mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("data %p\n", p);
	dl_iterate_phdr(show, NULL);
	puts("end");
	fflush(stdout);
	for (;;) pause();
}
