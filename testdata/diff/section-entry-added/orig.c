// SPDX-License-Identifier: GPL-2.0-or-later

struct command { const char *name; int (*run)(int); };

static int add(int a) { return a + 1; }

#define COMMAND(f) static const struct command command_##f __attribute__((section("commands"), used)) = { #f, f }
COMMAND(add);

extern const struct command __start_commands[], __stop_commands[];

__attribute__((noinline)) int run(int a)
{
	for (const struct command *c = __start_commands; c != __stop_commands; c++)
		a = c->run(a);
	return a;
}

int main(int argc, char **argv) { return run(argc); }
