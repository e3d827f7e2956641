#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "config/config.h"
#include "store/posix.h"
#include "store/retry.h"
#include "store/s3.h"
#include "store/store.h"

#define IMPATIENT_RETRIES_MS 1000

static int64_t
at_most(int64_t ms, int64_t limit_ms)
{
	return ms < limit_ms ? ms : limit_ms;
}

static sw_rc
open_s3(const struct sw_config *c, unsigned repo, const char *rest, int64_t patience_ms, struct sw_store **ret_store,
	struct sw_error *err)
{
	SW_AUTO_FREE char *bucket = strdup(rest);
	char *prefix;

	if (bucket == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	prefix = bucket + strcspn(bucket, "/");
	if (*prefix != '\0')
		*prefix++ = '\0';
	for (size_t len = strlen(prefix); len > 0 && prefix[len - 1] == '/'; len--)
		prefix[len - 1] = '\0';
	struct sw_s3_params params = {
		.bucket = bucket,
		.prefix = prefix,
		.endpoint = sw_config_repo_string(c, repo, SW_OPT_S3_ENDPOINT),
		.region = sw_config_repo_string(c, repo, SW_OPT_S3_REGION),
		.addressing = (enum sw_s3_addressing)sw_config_repo_enum(c, repo, SW_OPT_S3_ADDRESSING),
		.ca_file = sw_config_repo_string(c, repo, SW_OPT_S3_CA_FILE),
		.verify_tls = sw_config_repo_bool(c, repo, SW_OPT_S3_VERIFY_TLS),
		.resolve = sw_config_repo_string(c, repo, SW_OPT_S3_RESOLVE),
		.access_key = sw_config_repo_string(c, repo, SW_OPT_S3_ACCESS_KEY),
		.secret_key = sw_config_repo_string(c, repo, SW_OPT_S3_SECRET_KEY),
		.session_token = sw_config_repo_string(c, repo, SW_OPT_S3_SESSION_TOKEN),
		.profile = sw_config_repo_string(c, repo, SW_OPT_S3_PROFILE),
		.credentials_file = sw_config_repo_string(c, repo, SW_OPT_S3_CREDENTIALS_FILE),
		.storage_class = sw_config_repo_string(c, repo, SW_OPT_S3_STORAGE_CLASS),
		.connect_timeout_ms = at_most(sw_config_repo_ms(c, repo, SW_OPT_STORE_CONNECT_TIMEOUT), patience_ms),
		.stall_timeout_ms = at_most(sw_config_repo_ms(c, repo, SW_OPT_STORE_STALL_TIMEOUT), patience_ms),
	};
	return sw_s3_open(&params, ret_store, err);
}

static sw_rc
open_url(const struct sw_config *c, unsigned repo, int64_t patience_ms, struct sw_store **ret_store, struct sw_error *err)
{
	const char *url = sw_config_repo_string(c, repo, SW_OPT_REPO_URL);

	if (url == NULL)
		sw_fail(err, SW_CONFIG, "it has no repo-url");
	else if (strncmp(url, "file://", 7) == 0)
		return sw_posix_open(url + 7, ret_store, err);
	else if (strncmp(url, "s3://", 5) == 0)
		return open_s3(c, repo, url + 5, patience_ms, ret_store, err);
	else
		sw_fail(err, SW_CONFIG, "repo-url \"%s\" is neither file:// nor s3://", url);
	return sw_hint(err, "write repo-url = file:///DIRECTORY or s3://BUCKET[/PREFIX]");
}

static sw_rc
open_retrying(const struct sw_config *config, unsigned repo, int64_t patience_ms, int64_t deadline_ms,
	struct sw_store **ret_store, struct sw_error *err)
{
	struct sw_retry_params params = SW_RETRY_PARAMS(deadline_ms);
	struct sw_store *inner;
	sw_rc rc = open_url(config, repo, patience_ms, &inner, err);

	if (rc != SW_OK)
		return sw_wrap(err, "repository %s", sw_config_repo_name(config, repo));
	return sw_retry_new(inner, &params, ret_store, err);
}

sw_rc
sw_store_open(const struct sw_config *config, unsigned repo, struct sw_store **ret_store,
	struct sw_error *err)
{
	return open_retrying(config, repo, INT64_MAX, sw_config_repo_ms(config, repo, SW_OPT_STORE_DEADLINE), ret_store, err);
}

sw_rc
sw_store_open_impatient(const struct sw_config *config, unsigned repo, int64_t patience_ms, struct sw_store **ret_store,
	struct sw_error *err)
{
	int64_t deadline_ms = at_most(sw_config_repo_ms(config, repo, SW_OPT_STORE_DEADLINE), IMPATIENT_RETRIES_MS);

	return open_retrying(config, repo, patience_ms, deadline_ms, ret_store, err);
}
