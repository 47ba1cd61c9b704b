// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

typedef struct tiff TIFF;

enum { SIDE = 16, STRIP = 8 };

// Tags of the TIFF 6.0 specification.
enum { WIDTH = 256, LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 262, SAMPLES_PER_PIXEL = 277, ROWS_PER_STRIP };
enum { UNCOMPRESSED = 1, LZW = 5, BLACK_IS_ZERO = 1 };

static bool write_image(const char *path, int compression)
{
	FUNCTION(TIFF *, TIFFOpen, const char *, const char *);
	FUNCTION(int, TIFFSetField, TIFF *, uint32_t, ...);
	FUNCTION(int, TIFFWriteScanline, TIFF *, void *, uint32_t, uint16_t);
	FUNCTION(void, TIFFClose, TIFF *);

	TIFF *tiff = TIFFOpen(path, "w");
	if (tiff == NULL)
		return false;
	TIFFSetField(tiff, WIDTH, SIDE);
	TIFFSetField(tiff, LENGTH, SIDE);
	TIFFSetField(tiff, BITS_PER_SAMPLE, 8);
	TIFFSetField(tiff, SAMPLES_PER_PIXEL, 1);
	TIFFSetField(tiff, ROWS_PER_STRIP, STRIP);
	TIFFSetField(tiff, PHOTOMETRIC, BLACK_IS_ZERO);
	TIFFSetField(tiff, COMPRESSION, compression);
	bool written = true;
	for (int y = 0; y < SIDE; y++) {
		uint8_t row[SIDE];
		memset(row, 10 * y, sizeof row);
		written = written && TIFFWriteScanline(tiff, row, y, 0) == 1;
	}
	TIFFClose(tiff);
	return written;
}

static bool read_image(const char *path)
{
	FUNCTION(TIFF *, TIFFOpen, const char *, const char *);
	FUNCTION(int, TIFFReadRGBAImage, TIFF *, uint32_t, uint32_t, uint32_t *, int);
	FUNCTION(int, TIFFReadRGBAStrip, TIFF *, uint32_t, uint32_t *);
	FUNCTION(void, TIFFClose, TIFF *);

	uint32_t whole[SIDE * SIDE], strip[SIDE * STRIP];
	TIFF *tiff = TIFFOpen(path, "r");
	if (tiff == NULL)
		return false;
	// The raster begins at the bottom: its first pixel is in the last row.
	bool right = TIFFReadRGBAImage(tiff, SIDE, SIDE, whole, 0) == 1 && (whole[0] & 255) == 10 * (SIDE - 1) &&
		     TIFFReadRGBAStrip(tiff, STRIP, strip) == 1 && (strip[0] & 255) == 10 * (SIDE - 1);
	TIFFClose(tiff);
	return right;
}

bool work(int thread, const char *dir)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%d.tif", dir, thread);
	return write_image(path, UNCOMPRESSED) && read_image(path) && write_image(path, LZW) && read_image(path);
}

static void say_nothing(const char *module, const char *format, va_list arguments)
{
}

// CVE-2023-52356: a strip that begins below the image was read.
bool vulnerable(const char *bug, const char *dir)
{
	FUNCTION(TIFF *, TIFFOpen, const char *, const char *);
	FUNCTION(int, TIFFReadRGBAStripExt, TIFF *, uint32_t, uint32_t *, int);
	FUNCTION(void *, TIFFSetErrorHandler, void (*)(const char *, const char *, va_list));
	FUNCTION(void, TIFFClose, TIFF *);

	uint32_t strip[SIDE * STRIP];
	char path[4096];
	snprintf(path, sizeof path, "%s/check.tif", dir);
	if (!write_image(path, UNCOMPRESSED))
		return false;
	TIFF *tiff = TIFFOpen(path, "r");
	if (tiff == NULL)
		return false;
	void *handler = TIFFSetErrorHandler(say_nothing);
	bool read = TIFFReadRGBAStripExt(tiff, SIDE, strip, 0) != 0;
	TIFFSetErrorHandler(handler);
	TIFFClose(tiff);
	return read;
}
