// SPDX-License-Identifier: GPL-2.0-or-later

/* A program that has given up the right to anything but what it does: argument
 * kill or errno, a seccomp filter; mdwe, memory that can never become executable
 * where the kernel knows of that, and a filter of the same meaning (systemd's
 * MemoryDenyWriteExecute=) everywhere. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef FIXED
enum { VERSION = 2 };
#else
enum { VERSION = 1 };
#endif

static long errors;

static __attribute__((noinline)) int work(int x)
{
	volatile int v = VERSION;
	if (x != 5)
		errors++;
	return v;
}

static void *thread(void *arg)
{
	for (;;) {
		work(5);
		usleep(1000);
	}
	return arg;
}

#define ALLOW(name) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int allow_only(unsigned otherwise)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(read), ALLOW(write), ALLOW(exit_group), ALLOW(clock_nanosleep), ALLOW(rt_sigreturn),
		ALLOW(restart_syscall), ALLOW(futex),
		BPF_STMT(BPF_RET | BPF_K, otherwise),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

static int deny_write_execute(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_WRITE | PROT_EXEC, 5, 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_EXEC),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_EXEC, 1, 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pkey_mprotect, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	enum { SET_MDWE = 65, REFUSE_EXEC_GAIN = 1 };
	prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0); /* since Linux 6.3 */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

int main(int argc, char **argv)
{
	char line[64];
	pthread_t t;
	pthread_create(&t, NULL, thread, NULL);
	pthread_create(&t, NULL, thread, NULL);
	usleep(10000);
	setvbuf(stdout, NULL, _IOLBF, 1024);
	printf("%s", "");
	fflush(stdout);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	static char in[4096], out[4096];
	setvbuf(stdin, in, _IOFBF, sizeof in);
	setvbuf(stdout, out, _IOFBF, sizeof out);
	int r = -1;
	if (argc > 1 && !strcmp(argv[1], "kill"))
		r = allow_only(SECCOMP_RET_KILL_PROCESS);
	else if (argc > 1 && !strcmp(argv[1], "errno"))
		r = allow_only(SECCOMP_RET_ERRNO | ENOSYS);
	else if (argc > 1 && !strcmp(argv[1], "mdwe"))
		r = deny_write_execute();
	printf(r == 0 ? "ready\n" : "no filter\n");
	fflush(stdout);
	for (;;) {
		/* read(2), for stdio asks fstat(2) about its file */
		ssize_t n = read(0, line, sizeof line - 1);
		if (n <= 0)
			return 1;
		line[n] = 0;
		if (!strcmp(line, "status\n"))
			printf("version=%d errors=%ld\n", work(5), errors);
		else
			break;
		fflush(stdout);
	}
	printf("errors=%ld\n", errors);
	fflush(stdout);
	_exit(errors != 0);
}
