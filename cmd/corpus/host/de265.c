// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

enum { OK = 0 };

// A parameter set and a slice that are cut short: the decoder has to get over
// them and say that no picture came of it.
static const uint8_t stream[] = {
	0, 0, 0, 1, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90,
	0, 0, 0, 1, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03,
	0, 0, 0, 1, 0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40,
	0, 0, 0, 1, 0x26, 0x01, 0xaf, 0x0a, 0x6f, 0x00,
};

bool work(int thread, const char *argument)
{
	FUNCTION(void *, de265_new_decoder, void);
	FUNCTION(int, de265_start_worker_threads, void *, int);
	FUNCTION(int, de265_push_data, void *, const void *, int, int64_t, void *);
	FUNCTION(int, de265_flush_data, void *);
	FUNCTION(int, de265_decode, void *, int *);
	FUNCTION(void *, de265_get_next_picture, void *);
	FUNCTION(int, de265_free_decoder, void *);

	int more = 1;
	void *decoder = de265_new_decoder();
	bool right = decoder != NULL && de265_start_worker_threads(decoder, 1) == OK &&
		     de265_push_data(decoder, stream, sizeof stream, 0, NULL) == OK && de265_flush_data(decoder) == OK;
	for (int i = 0; right && more && i < 16; i++)
		if (de265_decode(decoder, &more) != OK)
			break;
	right = right && de265_get_next_picture(decoder) == NULL;
	return de265_free_decoder(decoder) == OK && right;
}
