/*
 * xml.h - S3's XML, by elements.
 *
 * Bytes come from a server that is not trusted: depth, names and texts are bounded, a
 * document type (and with it every entity of one's own) is refused.
 */
#ifndef SW_STORE_XML_H
#define SW_STORE_XML_H

#include <stddef.h>

#include "base/error.h"

#define SW_XML_TEXT_MAX 8192

/*
 * Called at the end of each element.  parent: "" for the root.  text: what stands in it outside of
 * its children.
 */
typedef sw_rc (*sw_xml_each)(void *ctx, const char *parent, const char *name, const char *text,
	struct sw_error *err);

/* SW_OK, SW_CORRUPT (not such XML), SW_SYSTEM, else what `each` returned. */
sw_rc sw_xml_parse(const void *data, size_t len, sw_xml_each each, void *ctx, struct sw_error *err);

#endif
