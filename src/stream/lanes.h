/*
 * lanes.h - pieces of a stream that several threads work on at once, and that go on in their order.
 *
 * One caller fills pieces; `threads` lanes turn each into other bytes; these are written to the next stage in the order of
 * the pieces, by whichever lane has them, one at a time.
 */
#ifndef SW_STREAM_LANES_H
#define SW_STREAM_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/stage.h"

#define SW_LANES_MAX 4
#define SW_PIECES_MAX (4 * SW_LANES_MAX)

struct sw_piece {
	uint8_t *data; /* room: bytes of it */
	size_t room, len;
	size_t content; /* for `work` to read */
};

struct sw_lanes_params {
	unsigned threads; /* at most SW_LANES_MAX; 0: all is done in the caller's, with one piece */
	unsigned pieces;  /* there at once, at most SW_PIECES_MAX */
	const void *ctx;  /* borrowed, for open */
	/* What a lane needs for itself, made in its thread as soon as that runs; NULL: out of memory. */
	void *(*open)(const void *ctx);
	void (*close)(void *own);
	/* ret_out stays own's, until the next call. */
	sw_rc (*work)(void *own, const struct sw_piece *piece, const uint8_t **ret_out, size_t *ret_len,
		struct sw_error *err);
	struct sw_stage *next; /* borrowed; never finished by lanes */
};

struct sw_lanes;

/* The threads start at once, with signals blocked.  SW_OK, SW_SYSTEM. */
sw_rc sw_lanes_new(const struct sw_lanes_params *params, struct sw_lanes **ret_lanes, struct sw_error *err);

/*
 * An empty piece with at least `room` bytes, which may have to be waited for.  Fill it, set len and content, then give it.
 * Either call, and drain, may give what failed in a lane before.
 */
sw_rc sw_lanes_room(struct sw_lanes *lanes, size_t room, struct sw_piece **ret_piece, struct sw_error *err);
sw_rc sw_lanes_give(struct sw_lanes *lanes, struct sw_error *err);

/* Wait until all that was given has gone on; the threads end.  Only free may follow. */
sw_rc sw_lanes_drain(struct sw_lanes *lanes, struct sw_error *err);

/* Waits for the threads; what they have not begun does not go on.  NULL is fine. */
void sw_lanes_free(struct sw_lanes *lanes);

#endif
