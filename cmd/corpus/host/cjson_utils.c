// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

typedef struct cJSON cJSON;

bool work(int thread, const char *argument)
{
	// Those of libcjson, which the library needs and so has brought along.
	FUNCTION(cJSON *, cJSON_Parse, const char *);
	FUNCTION(double, cJSON_GetNumberValue, const cJSON *);
	FUNCTION(void, cJSON_Delete, cJSON *);
	FUNCTION(cJSON *, cJSONUtils_GetPointer, cJSON *, const char *);
	FUNCTION(int, cJSONUtils_ApplyPatches, cJSON *, const cJSON *);

	cJSON *root = cJSON_Parse("{\"a\": [10, 11, 12]}");
	cJSON *patches = cJSON_Parse("[{\"op\": \"replace\", \"path\": \"/a/2\", \"value\": 42}]");
	bool right = cJSONUtils_ApplyPatches(root, patches) == 0 &&
		     cJSON_GetNumberValue(cJSONUtils_GetPointer(root, "/a/1")) == 11 &&
		     cJSON_GetNumberValue(cJSONUtils_GetPointer(root, "/a/2")) == 42 &&
		     cJSONUtils_GetPointer(root, "/a/7") == NULL;
	cJSON_Delete(patches);
	cJSON_Delete(root);
	return right;
}

// CVE-2025-57052: "1A" was taken for the index 1 * 10 + ('A' - '0') = 27.
bool vulnerable(const char *bug, const char *argument)
{
	FUNCTION(cJSON *, cJSON_CreateArray, void);
	FUNCTION(cJSON *, cJSON_CreateNumber, double);
	FUNCTION(int, cJSON_AddItemToArray, cJSON *, cJSON *);
	FUNCTION(void, cJSON_Delete, cJSON *);
	FUNCTION(cJSON *, cJSONUtils_GetPointer, cJSON *, const char *);

	cJSON *array = cJSON_CreateArray();
	for (int i = 0; i < 40; i++)
		cJSON_AddItemToArray(array, cJSON_CreateNumber(i));
	bool found = cJSONUtils_GetPointer(array, "/1A") != NULL;
	cJSON_Delete(array);
	return found;
}
