// SPDX-License-Identifier: GPL-2.0-or-later
//
// Runs a program and prints what it is told of it.

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	(void)argc;
	setbuf(stdout, NULL);
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(argv[1], argv + 1);
		return 127;
	}
	printf("child %d\n", child);
	for (int status;;) {
		if (waitpid(child, &status, WUNTRACED | WCONTINUED) != child) break;
		if (WIFSTOPPED(status)) puts("stopped");
		else if (WIFCONTINUED(status)) puts("continued");
		else if (WIFSIGNALED(status)) puts("killed");
		else printf("%x\n", status);
	}
	puts("end");
	for (;;) pause();
}
