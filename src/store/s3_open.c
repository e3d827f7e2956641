#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "store/s3_request.h"

/* The texts of the parameters, to copy and to free. */
static void
param_texts(struct sw_s3_params *p, const char **texts[12])
{
	const char **all[12] = {&p->bucket, &p->prefix, &p->endpoint, &p->region, &p->ca_file, &p->resolve,
		&p->access_key, &p->secret_key, &p->session_token, &p->profile, &p->credentials_file,
		&p->storage_class};

	memcpy(texts, all, sizeof(all));
}

void
sw_s3_free(struct sw_s3 *s3)
{
	const char **texts[12];

	sw_http_free(s3->http);
	sw_credentials_release(&s3->credentials);
	param_texts(&s3->params, texts);
	for (size_t i = 0; i < 12; i++) {
		char *text = (char *)(uintptr_t)*texts[i];

		if (text != NULL)
			OPENSSL_cleanse(text, strlen(text));
		free(text);
	}
	free(s3->origin);
	free(s3->path);
	free(s3->prefix);
	free(s3->store.url);
	free(s3);
}

static bool
is_plain(const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		if ((unsigned char)*text <= 0x20 || (unsigned char)*text >= 0x7f)
			return false;
	return true;
}

static sw_rc
check_params(const struct sw_s3_params *p, struct sw_error *err)
{
	size_t len = strlen(p->bucket);

	if (len == 0 || len > 255 || strspn(p->bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789.-_:") != len)
		return sw_fail(err, SW_CONFIG, "s3://%.100s: \"%.100s\" is no bucket's name", p->bucket, p->bucket);
	if (strlen(p->prefix) + 1 + SW_STORE_NAME_MAX > SW_S3_KEY_MAX)
		return sw_fail(err, SW_CONFIG, "the prefix in repo-url is longer than %d bytes",
			SW_S3_KEY_MAX - SW_STORE_NAME_MAX - 1);
	for (const char *at = p->prefix; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || (*at == '/' && at[1] == '/'))
			return sw_fail(err, SW_CONFIG, "the prefix in repo-url has an empty part or a control character");
	if (!is_plain(p->region) || !is_plain(p->storage_class))
		return sw_fail(err, SW_CONFIG, "s3-region or s3-storage-class has characters that it cannot have");
	return SW_OK;
}

static sw_rc
check_credentials(const struct sw_credentials *c, struct sw_error *err)
{
	if (is_plain(c->access_key) && is_plain(c->secret_key) && is_plain(c->session_token) &&
		is_plain(c->region))
		return SW_OK;
	return sw_fail(err, SW_CONFIG, "the S3 credentials or their region have white space or characters "
		"beyond ASCII in them");
}

static bool
is_host_label(const char *bucket)
{
	size_t len = strlen(bucket);

	return len >= 3 && len <= 63 && strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* Split "https://host:port" into its scheme, with "://", and the rest. */
static sw_rc
split_endpoint(const char *endpoint, size_t *ret_scheme_len, size_t *ret_len, struct sw_error *err)
{
	size_t scheme = 0, len = strlen(endpoint);

	if (strncmp(endpoint, "https://", 8) == 0)
		scheme = 8;
	else if (strncmp(endpoint, "http://", 7) == 0)
		scheme = 7;
	while (len > scheme && endpoint[len - 1] == '/')
		len--;
	if (scheme == 0 || len == scheme || strcspn(endpoint + scheme, "/?#@ \t\r\n") < len - scheme ||
		!is_plain(endpoint)) {
		sw_fail(err, SW_CONFIG, "s3-endpoint is not https://HOST[:PORT]");
		return sw_hint(err, "write the scheme, the host and perhaps a port, and nothing else");
	}
	*ret_scheme_len = scheme;
	*ret_len = len;
	return SW_OK;
}

static sw_rc
set_address(struct sw_s3 *s3, const char *endpoint, struct sw_error *err)
{
	bool amazon = strstr(endpoint, ".amazonaws.com") != NULL, virtual;
	size_t scheme = 0, len = 0;
	sw_rc rc = split_endpoint(endpoint, &scheme, &len, err);

	if (rc != SW_OK)
		return rc;
	virtual = s3->params.addressing == SW_S3_VIRTUAL ||
		(s3->params.addressing == SW_S3_AUTO && amazon && is_host_label(s3->params.bucket));
	if (asprintf(&s3->origin, "%.*s%s%s%.*s", (int)scheme, endpoint, virtual ? s3->params.bucket : "",
		virtual ? "." : "", (int)(len - scheme), endpoint + scheme) < 0)
		s3->origin = NULL;
	if (asprintf(&s3->path, "%s%s", virtual ? "" : "/", virtual ? "" : s3->params.bucket) < 0)
		s3->path = NULL;
	if (s3->origin == NULL || s3->path == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	s3->host = s3->origin + scheme;
	return SW_OK;
}

static sw_rc
copy_params(struct sw_s3 *s3, const struct sw_s3_params *params, struct sw_error *err)
{
	const char **texts[12];
	bool failed = false;

	s3->params = *params;
	if (s3->params.prefix == NULL)
		s3->params.prefix = "";
	param_texts(&s3->params, texts);
	for (size_t i = 0; i < 12; i++) {
		if (*texts[i] == NULL)
			continue;
		*texts[i] = strdup(*texts[i]);
		failed = failed || *texts[i] == NULL;
	}
	if (asprintf(&s3->prefix, "%s%s", s3->params.prefix != NULL ? s3->params.prefix : "",
		s3->params.prefix != NULL && s3->params.prefix[0] != '\0' ? "/" : "") < 0)
		s3->prefix = NULL;
	if (asprintf(&s3->store.url, "s3://%s%s%s", s3->params.bucket, s3->prefix != NULL &&
		s3->prefix[0] != '\0' ? "/" : "", s3->params.prefix) < 0)
		s3->store.url = NULL;
	if (failed || s3->prefix == NULL || s3->store.url == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	return SW_OK;
}

static sw_rc
connect_parts(struct sw_s3 *s3, struct sw_error *err)
{
	const struct sw_s3_params *p = &s3->params;
	struct sw_credentials_params from = {
		.access_key = p->access_key,
		.secret_key = p->secret_key,
		.session_token = p->session_token,
		.profile = p->profile,
		.file = p->credentials_file,
		.region = p->region,
	};
	struct sw_http_params http = {
		.ca_file = p->ca_file,
		.verify_tls = p->verify_tls,
		.resolve = p->resolve,
		.connect_timeout_ms = p->connect_timeout_ms,
		.stall_timeout_ms = p->stall_timeout_ms,
	};
	SW_AUTO_FREE char *standard = NULL;
	sw_rc rc = sw_credentials_load(&from, &s3->credentials, err);

	if (rc == SW_OK)
		rc = check_credentials(&s3->credentials, err);
	if (rc != SW_OK)
		return rc;
	if (asprintf(&standard, "https://s3.%s.amazonaws.com%s", s3->credentials.region,
		strncmp(s3->credentials.region, "cn-", 3) == 0 ? ".cn" : "") < 0)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	rc = set_address(s3, p->endpoint != NULL ? p->endpoint : standard, err);
	return rc == SW_OK ? sw_http_new(&http, &s3->http, err) : rc;
}

sw_rc
sw_s3_new(const struct sw_s3_params *params, struct sw_s3 **ret_s3, struct sw_error *err)
{
	struct sw_s3 *s3 = calloc(1, sizeof(*s3));
	sw_rc rc;

	if (s3 == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	s3->traits = (struct sw_store_traits){.put_if_absent = true};
	rc = copy_params(s3, params, err);
	if (rc == SW_OK)
		rc = check_params(&s3->params, err);
	if (rc == SW_OK)
		rc = connect_parts(s3, err);
	if (rc != SW_OK) {
		sw_s3_free(s3);
		return rc;
	}
	*ret_s3 = s3;
	return SW_OK;
}
