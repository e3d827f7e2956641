#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "stream/stage.h"

/* --- buffer ------------------------------------------------------------------ */

static sw_rc
buf_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_buf *s = (struct sw_stage_buf *)stage;

	return sw_buf_append(s->buf, data, len, err);
}

static sw_rc
nothing_to_finish(struct sw_stage *stage, struct sw_error *err)
{
	(void)stage;
	(void)err;
	return SW_OK;
}

void
sw_stage_buf_init(struct sw_stage_buf *s, struct sw_buf *buf)
{
	*s = (struct sw_stage_buf){
		.stage = {.write = buf_write, .finish = nothing_to_finish},
		.buf = buf,
	};
}

/* --- descriptor -------------------------------------------------------------- */

static sw_rc
fd_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_fd *s = (struct sw_stage_fd *)stage;

	return sw_file_write_all(s->fd, data, len, s->path, err);
}

void
sw_stage_fd_init(struct sw_stage_fd *s, int fd, const char *path)
{
	*s = (struct sw_stage_fd){
		.stage = {.write = fd_write, .finish = nothing_to_finish},
		.fd = fd,
		.path = path,
	};
}

/* --- spool ------------------------------------------------------------------- */

static sw_rc
move_to_file(struct sw_stage_spool *s, struct sw_error *err)
{
	sw_rc rc = sw_file_open_unlinked(sw_file_tmp_dir(), &s->fd, err);

	if (rc == SW_OK)
		rc = sw_file_write_all(s->fd, s->buf.data, s->buf.len, "a temporary file", err);
	if (rc == SW_OK)
		sw_buf_release(&s->buf);
	return rc;
}

static sw_rc
spool_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_spool *s = (struct sw_stage_spool *)stage;
	sw_rc rc = SW_OK;

	if (s->fd < 0 && len > s->memory_max - s->buf.len)
		rc = move_to_file(s, err);
	if (rc == SW_OK && s->fd < 0)
		rc = sw_buf_append(&s->buf, data, len, err);
	else if (rc == SW_OK)
		rc = sw_file_write_all(s->fd, data, len, "a temporary file", err);
	if (rc == SW_OK)
		s->len += len;
	return rc;
}

void
sw_stage_spool_init(struct sw_stage_spool *s, size_t memory_max)
{
	*s = (struct sw_stage_spool){
		.stage = {.write = spool_write, .finish = nothing_to_finish},
		.memory_max = memory_max,
		.fd = -1,
	};
	sw_buf_init(&s->buf, memory_max);
}

void
sw_stage_spool_release(struct sw_stage_spool *s)
{
	sw_buf_release(&s->buf);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
