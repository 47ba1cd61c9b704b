// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

// The simplified API of png.h.
struct image {
	void *opaque;
	uint32_t version, width, height, format, flags, colormap_entries, warning_or_error;
	char message[64];
};

enum { VERSION = 1, GRAY = 0, RGBA = 3, COLOUR = 2, LINEAR_RGBA = 7, MAPPED = 8 | COLOUR, SIDE = 32 };

bool work(int thread, const char *argument)
{
	FUNCTION(int, png_image_write_to_memory, struct image *, void *, size_t *, int, const void *, int32_t, const void *);
	FUNCTION(int, png_image_begin_read_from_memory, struct image *, const void *, size_t);
	FUNCTION(int, png_image_finish_read, struct image *, const void *, void *, int32_t, void *);

	uint8_t pixels[SIDE][SIDE][4], again[SIDE][SIDE][4], gray[SIDE][SIDE], colours[256][3];
	uint16_t deep[SIDE][SIDE][4];
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			memcpy(pixels[y][x], (uint8_t[]){x, y, x ^ y, 255 - 4 * x}, 4);
			memcpy(deep[y][x], (uint16_t[]){8 * x, 8 * y, 256, 65535 - x}, 8);
		}

	uint8_t file[16384];
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

	const uint8_t background[3] = {255, 255, 255};
	struct image on_white = {.version = VERSION};
	if (!png_image_begin_read_from_memory(&on_white, file, size))
		return false;
	on_white.format = COLOUR;
	if (!png_image_finish_read(&on_white, background, again, 0, NULL))
		return false;

	struct image mapped = {.version = VERSION};
	if (!png_image_begin_read_from_memory(&mapped, file, size))
		return false;
	mapped.format = MAPPED;
	if (!png_image_finish_read(&mapped, background, gray, 0, colours))
		return false;

	struct image linear = {.version = VERSION, .width = SIDE, .height = SIDE, .format = LINEAR_RGBA};
	size = sizeof file;
	if (!png_image_write_to_memory(&linear, file, &size, 0, deep, 0, NULL) ||
	    !png_image_write_to_memory(&linear, file, &size, 1, deep, 0, NULL))
		return false;

	struct image in_gray = {.version = VERSION};
	if (!png_image_begin_read_from_memory(&in_gray, file, size))
		return false;
	in_gray.format = GRAY;
	return png_image_finish_read(&in_gray, NULL, gray, 0, NULL) && gray[0][0] < 16;
}
