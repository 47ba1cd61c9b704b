// SPDX-License-Identifier: GPL-2.0-or-later
//
// A note server. Clients send a line and get a line:
//
//   GET <name> <offset> <length>   part of a note
//   LIST                           the names
//   STAT                           what has been counted, and the pid
//
// All notes lie one after another in one arena, as in a slab allocator. GET in
// orig.c checks where the part begins but not where it ends, so that a client
// can read on into whatever lies behind the note: Heartbleed in miniature.
// fixed.c has that check, and is the same otherwise.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 8, LINE = 256, ARENA = 1024 };

struct note {
	const char *name;
	unsigned offset; // in the arena, bytes
	unsigned size;   // bytes
};

static char arena[ARENA] =
	"hello, world"
	"open from 9 to 5"
	"admin-token=7f3a-DO-NOT-SHOW"; // not a note: nobody may read it

static const struct note notes[] = {
	{"greeting", 0, 12},
	{"hours", 12, 16},
};

static atomic_ulong answered, refused;

struct client {
	int fd;
	unsigned used; // bytes of line
	char line[LINE];
};

enum status { OK, NO_SUCH_NOTE, OUT_OF_RANGE, BAD_REQUEST };

static int answer(char *out, enum status status, const char *text, unsigned length)
{
	atomic_fetch_add(status == OK ? &answered : &refused, 1);
	switch (status) {
	case OK:
		return snprintf(out, LINE, "OK %.*s\n", (int)length, text);
	case NO_SUCH_NOTE:
		return snprintf(out, LINE, "ERR no such note\n");
	case OUT_OF_RANGE:
		return snprintf(out, LINE, "ERR out of range\n");
	case BAD_REQUEST:
		return snprintf(out, LINE, "ERR bad request\n");
	}
	abort();
}

static const struct note *find(const char *name)
{
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
		if (strcmp(notes[i].name, name) == 0)
			return &notes[i];
	return NULL;
}

static int get(const char *arguments, char *out)
{
	char name[32];
	unsigned offset, length;
	if (sscanf(arguments, "%31s %u %u", name, &offset, &length) != 3 || length >= LINE - 8)
		return answer(out, BAD_REQUEST, NULL, 0);

	const struct note *note = find(name);
	if (note == NULL)
		return answer(out, NO_SUCH_NOTE, NULL, 0);
	if (offset > note->size || length > note->size - offset)
		return answer(out, OUT_OF_RANGE, NULL, 0);
	return answer(out, OK, arena + note->offset + offset, length);
}

static int list(const char *arguments, char *out)
{
	char names[LINE - 8] = "";
	unsigned used = 0;
	(void)arguments;
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
		used += snprintf(names + used, sizeof names - used, "%s ", notes[i].name);
	return answer(out, OK, names, used - 1);
}

static int statistics(const char *arguments, char *out)
{
	char text[96];
	(void)arguments;
	int used = snprintf(text, sizeof text, "pid %d answered %lu refused %lu", (int)getpid(),
			    atomic_load(&answered), atomic_load(&refused));
	return answer(out, OK, text, used);
}

static const struct command {
	const char *verb;
	int (*run)(const char *arguments, char *out);
} commands[] = {
	{"GET", get},
	{"LIST", list},
	{"STAT", statistics},
};

static int execute(const char *line, char *out)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		size_t n = strlen(commands[i].verb);
		if (strncmp(line, commands[i].verb, n) == 0 && (line[n] == ' ' || line[n] == '\0'))
			return commands[i].run(line + n, out);
	}
	return answer(out, BAD_REQUEST, NULL, 0);
}

// serve answers all whole lines that the client has sent; false: hang up.
static int serve(struct client *c)
{
	char out[LINE];
	ssize_t got = read(c->fd, c->line + c->used, sizeof c->line - c->used);
	if (got <= 0)
		return 0;
	c->used += got;

	char *end;
	while ((end = memchr(c->line, '\n', c->used)) != NULL) {
		*end = '\0';
		int size = execute(c->line, out);
		if (send(c->fd, out, size, MSG_NOSIGNAL) != size)
			return 0;
		c->used -= end + 1 - c->line;
		memmove(c->line, end + 1, c->used);
	}
	return c->used < sizeof c->line;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void welcome(int epoll, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return; // another worker was first
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	struct client *c = calloc(1, sizeof *c);
	if (c == NULL)
		die("calloc");
	c->fd = fd;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c}))
		die("epoll_ctl");
}

static void *work(void *argument)
{
	int listener = *(int *)argument;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL};
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
		die("epoll");

	int ready;
	while ((ready = epoll_wait(epoll, &event, 1, -1)) >= 0 || errno == EINTR) {
		if (ready != 1)
			continue;
		struct client *c = event.data.ptr;
		if (c == NULL) {
			welcome(epoll, listener);
		} else if (!serve(c)) {
			close(c->fd);
			free(c);
		}
	}
	die("epoll_wait");
}

int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	static int listener;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 128) ||
	    getsockname(listener, (struct sockaddr *)&address, &size))
		die("listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);

	pthread_t worker;
	for (int i = 1; i < WORKERS; i++)
		if ((errno = pthread_create(&worker, NULL, work, &listener)) != 0)
			die("pthread_create");
	work(&listener);
}
