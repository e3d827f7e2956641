#include <openssl/evp.h>

#include "stream/stage.h"

static sw_rc
digest_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_digest *s = (struct sw_stage_digest *)stage;

	if (EVP_DigestUpdate(s->ctx, data, len) != 1)
		return sw_fail(err, SW_BUG, "SHA-256 failed");
	s->len += len;
	return stage->next == NULL ? SW_OK : sw_stage_write(stage->next, data, len, err);
}

static sw_rc
digest_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_stage_digest *s = (struct sw_stage_digest *)stage;

	if (EVP_DigestFinal_ex(s->ctx, s->sha256, NULL) != 1)
		return sw_fail(err, SW_BUG, "SHA-256 failed");
	return stage->next == NULL ? SW_OK : sw_stage_finish(stage->next, err);
}

sw_rc
sw_stage_digest_init(struct sw_stage_digest *s, struct sw_stage *next, struct sw_error *err)
{
	*s = (struct sw_stage_digest){
		.stage = {.write = digest_write, .finish = digest_finish, .next = next},
		.ctx = EVP_MD_CTX_new(),
	};
	if (s->ctx == NULL || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1) {
		sw_stage_digest_release(s);
		return sw_fail(err, SW_SYSTEM, "SHA-256 is not available");
	}
	return SW_OK;
}

void
sw_stage_digest_release(struct sw_stage_digest *s)
{
	EVP_MD_CTX_free(s->ctx);
	s->ctx = NULL;
}

void
sw_sha256(const void *data, size_t len, uint8_t ret_sha256[SW_SHA256_LEN])
{
	EVP_Digest(data, len, ret_sha256, NULL, EVP_sha256(), NULL);
}

/* --- XXH3 ---------------------------------------------------------------------- */

static sw_rc
xxh3_write(struct sw_stage *stage, const void *data, size_t len, struct sw_error *err)
{
	struct sw_stage_xxh3 *s = (struct sw_stage_xxh3 *)stage;

	sw_xxh3_update(s->state, data, len);
	s->len += len;
	return stage->next == NULL ? SW_OK : sw_stage_write(stage->next, data, len, err);
}

static sw_rc
xxh3_finish(struct sw_stage *stage, struct sw_error *err)
{
	struct sw_stage_xxh3 *s = (struct sw_stage_xxh3 *)stage;

	sw_xxh3_digest(s->state, s->hash);
	return stage->next == NULL ? SW_OK : sw_stage_finish(stage->next, err);
}

sw_rc
sw_stage_xxh3_init(struct sw_stage_xxh3 *s, struct sw_stage *next, struct sw_error *err)
{
	*s = (struct sw_stage_xxh3){
		.stage = {.write = xxh3_write, .finish = xxh3_finish, .next = next},
		.state = sw_xxh3_new(),
	};
	if (s->state == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	return SW_OK;
}

void
sw_stage_xxh3_release(struct sw_stage_xxh3 *s)
{
	sw_xxh3_free(s->state);
	s->state = NULL;
}
