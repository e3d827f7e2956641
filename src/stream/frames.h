/*
 * frames.h - content as zstd frames of one size (doc/FORMAT.md, "A WAL object"), so that several threads can make and
 * read them, and the bytes do not depend on how many did.
 */
#ifndef SW_STREAM_FRAMES_H
#define SW_STREAM_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/lanes.h"
#include "stream/stage.h"

#define SW_FRAME_MIN (1024 * 1024) /* bytes of content: at levels 1 and 2 */
#define SW_FRAME_MAX (4 * 1024 * 1024) /* above, where shorter frames would cost space */

/* --- make ------------------------------------------------------------------------ */

struct sw_stage_framer {
	struct sw_stage stage;
	int level;
	size_t frame_size;
	bool empty;
	struct sw_lanes *lanes;
	struct sw_piece *piece; /* the frame's content so far; the lanes' */
};
/*
 * threads: that compress, beside the caller's; 0: none.  SW_OK, SW_SYSTEM.
 * Memory: threads + 2 contents, and threads frames; without threads one of each.
 */
sw_rc sw_stage_framer_init(struct sw_stage_framer *s, int level, unsigned threads, struct sw_stage *next,
	struct sw_error *err);
void sw_stage_framer_release(struct sw_stage_framer *s);

/* --- read ------------------------------------------------------------------------ */

struct sw_stage_unframer {
	struct sw_stage stage;
	enum { SW_UNFRAMER_FIRST, SW_UNFRAMER_FRAMES, SW_UNFRAMER_STREAM } state;
	uint64_t content_len, content_at; /* in all; of the frames that are complete */
	size_t frame_size;
	struct sw_lanes *lanes;
	struct sw_piece *piece; /* the frame's bytes so far; the lanes' */
	struct sw_stage_decompress stream; /* content of another form, as it was written before frames */
};
/*
 * threads: that decompress, beside the caller's; the next stage is written to by them, one at a time, and finished by
 * the caller's.  They start at once, so that they are there when the first byte comes.
 *
 * If the first frame says that it has SW_FRAME_MIN … SW_FRAME_MAX bytes, or all, every other must have as many, the last
 * what is left, and none may follow: else SW_CORRUPT.  Any other form is read as one stream (sw_stage_decompress).
 * Memory: for each thread four frames and the content of one; without threads one of each.
 */
sw_rc sw_stage_unframer_init(struct sw_stage_unframer *s, unsigned threads, struct sw_stage *next, struct sw_error *err);
/* How long the content must be; before the first write. */
void sw_stage_unframer_expect(struct sw_stage_unframer *s, uint64_t content_len);
void sw_stage_unframer_release(struct sw_stage_unframer *s); /* waits for the threads */

#endif
