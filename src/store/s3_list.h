/*
 * s3_list.h - ListObjectsV2 and ListObjectVersions.
 */
#ifndef SW_STORE_S3_LIST_H
#define SW_STORE_S3_LIST_H

#include "store/s3_request.h"

/* As sw_store_list. */
sw_rc sw_s3_list(struct sw_store *store, const char *prefix, const char *after, sw_store_each each,
	void *ctx, struct sw_error *err);

struct sw_s3_version {
	bool found;
	char id[1025];
	uint64_t size;
	int64_t modified_us;
};

/* The oldest data version of object `name`, delete markers passed over; found is false if there is none. */
sw_rc sw_s3_find_oldest(struct sw_s3 *s3, const char *name, struct sw_s3_version *ret_version,
	struct sw_error *err);

#endif
