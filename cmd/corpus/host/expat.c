// SPDX-License-Identifier: GPL-2.0-or-later

#include "host.h"

static const char document[] =
	"<?xml version='1.0' encoding='UTF-8'?>\n"
	"<!DOCTYPE r [<!ENTITY e 'text &#65; of an entity'><!ENTITY x SYSTEM 'x'><!ATTLIST r a CDATA 'default'>]>\n"
	"<r xmlns:n='urn:n' n:b='1'><n:c>&e;</n:c>&x;<![CDATA[raw]]><!-- comment --><c/></r>\n";

static void count(void *elements, const char *name, const char **attributes)
{
	++*(int *)elements;
}

// external parses what the document refers to as x: one more element.
static int external(void *parser, const char *context, const char *base, const char *system_id, const char *public_id)
{
	FUNCTION(void *, XML_ExternalEntityParserCreate, void *, const char *, const char *);
	FUNCTION(int, XML_Parse, void *, const char *, int, int);
	FUNCTION(void, XML_ParserFree, void *);

	void *inner = XML_ExternalEntityParserCreate(parser, context, NULL);
	int parsed = XML_Parse(inner, "<x>&e;</x>", 10, 1);
	XML_ParserFree(inner);
	return parsed;
}

// refused is what becomes of a document with an error: its number and column.
static bool refused(void)
{
	FUNCTION(void *, XML_ParserCreate, const char *);
	FUNCTION(int, XML_Parse, void *, const char *, int, int);
	FUNCTION(int, XML_GetErrorCode, void *);
	FUNCTION(unsigned long, XML_GetCurrentColumnNumber, void *);
	FUNCTION(const char *, XML_ErrorString, int);
	FUNCTION(void, XML_ParserFree, void *);

	void *parser = XML_ParserCreate("UTF-8");
	bool right = XML_Parse(parser, "<a></b>", 7, 1) == 0 && XML_GetCurrentColumnNumber(parser) == 5 &&
		     strcmp(XML_ErrorString(XML_GetErrorCode(parser)), "mismatched tag") == 0;
	XML_ParserFree(parser);
	return right;
}

bool work(int thread, const char *argument)
{
	FUNCTION(void *, XML_ParserCreateNS, const char *, char);
	FUNCTION(void, XML_SetUserData, void *, void *);
	FUNCTION(void, XML_SetStartElementHandler, void *, void (*)(void *, const char *, const char **));
	FUNCTION(void, XML_SetExternalEntityRefHandler, void *, int (*)(void *, const char *, const char *, const char *, const char *));
	FUNCTION(int, XML_Parse, void *, const char *, int, int);
	FUNCTION(void *, XML_GetBuffer, void *, int);
	FUNCTION(int, XML_ParseBuffer, void *, int, int);
	FUNCTION(void, XML_ParserFree, void *);

	int elements = 0, half = sizeof document / 2, rest = sizeof document - 1 - half;
	void *parser = XML_ParserCreateNS(NULL, '|');
	XML_SetUserData(parser, &elements);
	XML_SetStartElementHandler(parser, count);
	XML_SetExternalEntityRefHandler(parser, external);
	bool parsed = XML_Parse(parser, document, half, 0) == 1;
	void *buffer = XML_GetBuffer(parser, rest);
	memcpy(buffer, document + half, rest);
	parsed = parsed && XML_ParseBuffer(parser, rest, 1) == 1;
	XML_ParserFree(parser);
	return parsed && elements == 4 && refused();
}
