#include "store/xml.h"

#include <expat.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 12
#define NAME_MAX_LEN 64

struct parse {
	XML_Parser parser;
	sw_xml_each each;
	void *ctx;
	struct sw_error *err;
	sw_rc rc;
	unsigned depth;
	char names[DEPTH_MAX + 1][NAME_MAX_LEN]; /* names[0] is "" */
	char text[SW_XML_TEXT_MAX + 1];
	size_t text_len;
};

static void
stop(struct parse *p, sw_rc rc)
{
	p->rc = rc;
	XML_StopParser(p->parser, XML_FALSE);
}

static void XMLCALL
on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *p = ctx;

	(void)attributes;
	if (p->depth == DEPTH_MAX || strlen(name) >= NAME_MAX_LEN) {
		stop(p, sw_fail(p->err, SW_CORRUPT, "XML that is deeper or has longer names than S3's"));
		return;
	}
	snprintf(p->names[++p->depth], NAME_MAX_LEN, "%s", name);
	p->text_len = 0;
}

static void XMLCALL
on_text(void *ctx, const XML_Char *text, int len)
{
	struct parse *p = ctx;

	if ((size_t)len > SW_XML_TEXT_MAX - p->text_len) {
		stop(p, sw_fail(p->err, SW_CORRUPT, "XML with more than %d bytes in one element",
			SW_XML_TEXT_MAX));
		return;
	}
	memcpy(p->text + p->text_len, text, (size_t)len);
	p->text_len += (size_t)len;
}

static void XMLCALL
on_end(void *ctx, const XML_Char *name)
{
	struct parse *p = ctx;
	sw_rc rc;

	(void)name;
	if (p->rc != SW_OK)
		return;
	p->text[p->text_len] = '\0';
	rc = p->each(p->ctx, p->names[p->depth - 1], p->names[p->depth], p->text, p->err);
	p->depth--;
	p->text_len = 0;
	if (rc != SW_OK)
		stop(p, rc);
}

static void XMLCALL
on_doctype(void *ctx, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
	struct parse *p = ctx;

	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	stop(p, sw_fail(p->err, SW_CORRUPT, "XML with a document type"));
}

sw_rc
sw_xml_parse(const void *data, size_t len, sw_xml_each each, void *ctx, struct sw_error *err)
{
	struct parse p = {
		.parser = XML_ParserCreate(NULL),
		.each = each,
		.ctx = ctx,
		.err = err,
	};

	if (p.parser == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	XML_SetUserData(p.parser, &p);
	XML_SetElementHandler(p.parser, on_start, on_end);
	XML_SetCharacterDataHandler(p.parser, on_text);
	XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
	if (len > INT32_MAX)
		p.rc = sw_fail(err, SW_CORRUPT, "XML of %zu bytes", len);
	else if (XML_Parse(p.parser, data != NULL ? data : "", (int)len, XML_TRUE) != XML_STATUS_OK && p.rc == SW_OK)
		p.rc = sw_fail(err, SW_CORRUPT, "not well-formed XML: %s",
			XML_ErrorString(XML_GetErrorCode(p.parser)));
	XML_ParserFree(p.parser);
	return p.rc;
}
