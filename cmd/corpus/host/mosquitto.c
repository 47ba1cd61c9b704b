// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

#include <stdatomic.h>

struct message {
	int id;
	char *topic;
	void *payload;
	int size, qos;
	bool retain;
};

enum { SUCCESS = 0, QOS = 1 };

static void received(void *mosquitto, void *arrived, const struct message *message)
{
	if (message->size == 5 && memcmp(message->payload, "hello", 5) == 0)
		*(bool *)arrived = true;
}

static void once(void)
{
	static atomic_flag done = ATOMIC_FLAG_INIT;
	static atomic_bool ready;
	FUNCTION(int, mosquitto_lib_init, void);
	if (!atomic_flag_test_and_set(&done)) {
		mosquitto_lib_init();
		ready = true;
	}
	while (!ready)
		;
}

// work connects to the broker at HOST:PORT, subscribes, publishes and waits for
// its own message.
bool work(int thread, const char *address)
{
	FUNCTION(void *, mosquitto_new, const char *, bool, void *);
	FUNCTION(void, mosquitto_message_callback_set, void *, void (*)(void *, void *, const struct message *));
	FUNCTION(int, mosquitto_connect, void *, const char *, int, int);
	FUNCTION(int, mosquitto_subscribe, void *, int *, const char *, int);
	FUNCTION(int, mosquitto_publish, void *, int *, const char *, int, const void *, int, bool);
	FUNCTION(int, mosquitto_loop, void *, int, int);
	FUNCTION(int, mosquitto_disconnect, void *);
	FUNCTION(void, mosquitto_destroy, void *);

	char topic[16];
	bool arrived = false;
	once();
	snprintf(topic, sizeof topic, "t/%d", thread);
	void *client = mosquitto_new(NULL, true, &arrived);
	mosquitto_message_callback_set(client, received);
	bool right = mosquitto_connect(client, "127.0.0.1", atoi(strrchr(address, ':') + 1), 60) == SUCCESS &&
		     mosquitto_subscribe(client, NULL, topic, QOS) == SUCCESS &&
		     mosquitto_publish(client, NULL, topic, 5, "hello", QOS, false) == SUCCESS;
	for (int i = 0; right && !arrived && i < 500; i++)
		right = mosquitto_loop(client, 10, 1) == SUCCESS;
	mosquitto_disconnect(client);
	mosquitto_destroy(client);
	return right && arrived;
}
