/*
 * index_object.h - the bytes of an index object: doc/FORMAT.md, "The index".
 */
#ifndef SW_ARCHIVE_INDEX_OBJECT_H
#define SW_ARCHIVE_INDEX_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/repository.h"
#include "archive/stretch.h"
#include "base/buf.h"
#include "base/error.h"

#define SW_INDEX_OBJECT_MAX (64u << 20) /* stored bytes */
#define SW_INDEX_HEAD_MAX (1u << 20)    /* bytes of the first line */
#define SW_INDEX_LINES_MAX (24u << 20)  /* bytes of all others */

/* "<prefix>index/00000001/<group, ten hexadecimal digits>.zst".  Returns buf. */
char *sw_index_object_name(const struct sw_repository *repo, uint32_t timeline, uint64_t group,
	char buf[SW_STORE_NAME_MAX]);

/* The other way, from what stands behind the last slash.  False: it is none. */
bool sw_index_object_parse_name(const char *object, uint64_t *ret_group);

/*
 * group: the stretch of a whole group, in which every segment was read.  buf: initialised, gets the object.
 * SW_OK; SW_CORRUPT: more than fits; SW_SYSTEM.
 */
sw_rc sw_index_object_encode(const struct sw_repository *repo, uint32_t timeline, const struct sw_stretch *group,
	struct sw_buf *buf, struct sw_error *err);

/* Which index object is expected. */
struct sw_index_object_place {
	const struct sw_repository *repo;
	uint32_t timeline;
	uint64_t group;
};

/*
 * The group in one item, from the object's first bytes; *ret_brief false: they do not have it (cut, or nothing brief can be said),
 * and ret_stretch is empty.
 * SW_OK; SW_CORRUPT: damaged, or of another place; SW_CONFIG: a newer format; SW_SYSTEM.
 */
sw_rc sw_index_object_brief(const struct sw_index_object_place *place, const void *data, size_t len,
	bool *ret_brief, struct sw_stretch *ret_stretch, struct sw_error *err);

/*
 * Segments first … last of the group, which are in it; edges that lie within the group are not known.
 * An item without a digest and without a problem stands for a segment that must be read itself.
 */
sw_rc sw_index_object_full(const struct sw_index_object_place *place, const void *data, size_t len,
	uint64_t first, uint64_t last, struct sw_stretch *ret_stretch, struct sw_error *err);

#endif
