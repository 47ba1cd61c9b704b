// SPDX-License-Identifier: GPL-2.0-or-later
//
// Has a name that looks like /proc's own text, mappings of files with odd names,
// one that is deleted, threads, and a main thread that ends.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *idle(void *arg) { for (;;) pause(); return arg; }

static void map(int fd) { if (ftruncate(fd, 4096) || mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED) exit(1); }

int main(int argc, char **argv)
{
	pthread_t thread;
	if (argc < 2 || chdir(argv[1])) return 1;
	prctl(PR_SET_NAME, "a) R 1 (b\n");
	map(open("with  two spaces", O_CREAT | O_RDWR, 0600));
	map(open("new\nline", O_CREAT | O_RDWR, 0600));
	map(open("gone", O_CREAT | O_RDWR, 0600));
	unlink("gone");
	map(memfd_create("in memory", 0));
	for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, idle, NULL);
	puts("end");
	fflush(stdout);
	getchar();
	pthread_exit(NULL);
}
