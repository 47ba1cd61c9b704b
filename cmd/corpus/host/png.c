// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

// The simplified API of png.h.
struct image {
	void *opaque;
	uint32_t version, width, height, format, flags, colormap_entries, warning_or_error;
	char message[64];
};

enum { VERSION = 1, RGBA = 3, GRAY = 0, SIDE = 32 };

bool work(int thread, const char *argument)
{
	FUNCTION(int, png_image_write_to_memory, struct image *, void *, size_t *, int, const void *, int32_t, const void *);
	FUNCTION(int, png_image_begin_read_from_memory, struct image *, const void *, size_t);
	FUNCTION(int, png_image_finish_read, struct image *, const void *, void *, int32_t, void *);

	uint8_t pixels[SIDE][SIDE][4], again[SIDE][SIDE][4], gray[SIDE][SIDE];
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++)
			memcpy(pixels[y][x], (uint8_t[]){x, y, x ^ y, 255}, 4);

	uint8_t file[8192];
	size_t size = sizeof file;
	struct image out = {.version = VERSION, .width = SIDE, .height = SIDE, .format = RGBA};
	if (!png_image_write_to_memory(&out, file, &size, 0, pixels, 0, NULL))
		return false;

	struct image in = {.version = VERSION};
	if (!png_image_begin_read_from_memory(&in, file, size))
		return false;
	in.format = RGBA;
	if (!png_image_finish_read(&in, NULL, again, 0, NULL) || memcmp(pixels, again, sizeof pixels) != 0)
		return false;

	struct image in_gray = {.version = VERSION};
	if (!png_image_begin_read_from_memory(&in_gray, file, size))
		return false;
	in_gray.format = GRAY;
	return png_image_finish_read(&in_gray, NULL, gray, 0, NULL) && gray[0][0] < 16;
}
