// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

typedef struct cJSON cJSON;

bool work(int thread, const char *argument)
{
	FUNCTION(cJSON *, cJSON_Parse, const char *);
	FUNCTION(cJSON *, cJSON_GetObjectItem, const cJSON *, const char *);
	FUNCTION(cJSON *, cJSON_CreateNumber, double);
	FUNCTION(int, cJSON_InsertItemInArray, cJSON *, int, cJSON *);
	FUNCTION(char *, cJSON_SetValuestring, cJSON *, const char *);
	FUNCTION(char *, cJSON_PrintUnformatted, const cJSON *);
	FUNCTION(void, cJSON_Delete, cJSON *);

	cJSON *root = cJSON_Parse("{\"a\": [1, 2.5e3, -7], \"s\": \"long \\u00e9 text\", \"n\": null}");
	cJSON_InsertItemInArray(cJSON_GetObjectItem(root, "a"), 0, cJSON_CreateNumber(9));
	cJSON_SetValuestring(cJSON_GetObjectItem(root, "s"), "short");
	char *text = cJSON_PrintUnformatted(root);
	bool right = text != NULL && strcmp(text, "{\"a\":[9,1,2500,-7],\"s\":\"short\",\"n\":null}") == 0;
	free(text);
	cJSON_Delete(root);
	return right;
}

// CVE-2023-26819: a number of more than 63 characters was cut, and its rest not
// understood.
bool vulnerable(const char *bug, const char *argument)
{
	FUNCTION(cJSON *, cJSON_Parse, const char *);
	FUNCTION(void, cJSON_Delete, cJSON *);

	cJSON *root = cJSON_Parse("[0.00000000000000000000000000000000000000000000000000000000000000000001]");
	cJSON_Delete(root);
	return root == NULL;
}
