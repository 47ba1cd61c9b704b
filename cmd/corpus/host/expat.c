// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

static const char document[] =
	"<?xml version='1.0' encoding='UTF-8'?>\n"
	"<!DOCTYPE r [<!ENTITY e 'text &#65; of an entity'><!ATTLIST r a CDATA 'default'>]>\n"
	"<r xmlns:n='urn:n' n:b='1'><n:c>&e;</n:c><![CDATA[raw]]><!-- comment --><c/></r>\n";

static void count(void *elements, const char *name, const char **attributes)
{
	++*(int *)elements;
}

bool work(int thread, const char *argument)
{
	FUNCTION(void *, XML_ParserCreateNS, const char *, char);
	FUNCTION(void, XML_SetUserData, void *, void *);
	FUNCTION(void, XML_SetStartElementHandler, void *, void (*)(void *, const char *, const char **));
	FUNCTION(int, XML_Parse, void *, const char *, int, int);
	FUNCTION(void *, XML_GetBuffer, void *, int);
	FUNCTION(int, XML_ParseBuffer, void *, int, int);
	FUNCTION(void, XML_ParserFree, void *);

	int elements = 0, half = sizeof document / 2, rest = sizeof document - 1 - half;
	void *parser = XML_ParserCreateNS(NULL, '|');
	XML_SetUserData(parser, &elements);
	XML_SetStartElementHandler(parser, count);
	bool parsed = XML_Parse(parser, document, half, 0) == 1;
	void *buffer = XML_GetBuffer(parser, rest);
	memcpy(buffer, document + half, rest);
	parsed = parsed && XML_ParseBuffer(parser, rest, 1) == 1;
	XML_ParserFree(parser);
	return parsed && elements == 3;
}
