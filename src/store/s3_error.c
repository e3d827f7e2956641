#include "store/s3_error.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/xml.h"

#define RETRY_AFTER_MAX_MS ((int64_t)24 * 3600 * 1000)

/*
 * Codes of docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html that our requests
 * can meet, and a few of other services.  What is not here goes by its HTTP status.
 */
static const struct {
	const char *code;
	sw_rc rc;
	const char *hint; /* "": none, or one made from the refusal */
} codes[] = {
	/* answers */
	{"NoSuchKey", SW_NOT_FOUND, ""},
	{"PreconditionFailed", SW_CONFLICT, ""},
	{"InvalidRange", SW_CORRUPT, ""},
	{"ObjectLockConfigurationNotFoundError", SW_NOT_FOUND, ""},
	{"NoSuchObjectLockConfiguration", SW_NOT_FOUND, ""},
	{"NoSuchVersion", SW_TRANSIENT, ""}, /* it was listed a moment ago */
	/* for a moment */
	{"BadDigest", SW_TRANSIENT, ""},
	{"BandwidthLimitExceeded", SW_TRANSIENT, ""},
	{"Busy", SW_TRANSIENT, ""},
	{"ConditionalRequestConflict", SW_TRANSIENT, ""},
	{"IncompleteBody", SW_TRANSIENT, ""},
	{"InternalError", SW_TRANSIENT, ""},
	{"KMS.ThrottlingException", SW_TRANSIENT, ""},
	{"OperationAborted", SW_TRANSIENT, ""},
	{"RequestLimitExceeded", SW_TRANSIENT, ""},
	{"RequestThrottled", SW_TRANSIENT, ""},
	{"RequestTimeout", SW_TRANSIENT, ""},
	{"ServerBusy", SW_TRANSIENT, ""},
	{"ServiceUnavailable", SW_TRANSIENT, ""},
	{"SlowDown", SW_TRANSIENT, ""},
	{"SlowDownRead", SW_TRANSIENT, ""},
	{"SlowDownWrite", SW_TRANSIENT, ""},
	{"Throttling", SW_TRANSIENT, ""},
	{"ThrottlingException", SW_TRANSIENT, ""},
	{"TooManyRequests", SW_TRANSIENT, ""},
	{"XAmzContentChecksumMismatch", SW_TRANSIENT, ""},
	{"XAmzContentSHA256Mismatch", SW_TRANSIENT, ""},
	/* who we are, and may */
	{"AccessDenied", SW_DENIED,
		"allow this key the action in the bucket's or user's policy; without s3:ListBucket a missing object is reported as this too"},
	{"AccountProblem", SW_DENIED, "ask the service's support about the account"},
	{"AllAccessDisabled", SW_DENIED, "all access to this bucket is turned off by the service"},
	{"ExpiredToken", SW_DENIED, "the temporary credentials have run out: get new ones"},
	{"InvalidAccessKeyId", SW_DENIED,
		"the service does not know the access key: see s3-access-key, AWS_ACCESS_KEY_ID or the profile, and s3-endpoint"},
	{"InvalidPayer", SW_DENIED, "ask the service's support about the account"},
	{"InvalidSecurity", SW_DENIED, "see s3-access-key and s3-secret-key"},
	{"InvalidToken", SW_DENIED, "see s3-session-token: it does not belong to the access key, or is damaged"},
	{"NotSignedUp", SW_DENIED, "the account is not signed up for S3"},
	{"RequestExpired", SW_DENIED, "set this machine's clock"},
	{"SignatureDoesNotMatch", SW_DENIED,
		"the secret key does not belong to the access key: see s3-secret-key, AWS_SECRET_ACCESS_KEY or the profile"},
	{"TokenRefreshRequired", SW_DENIED, "the temporary credentials have run out: get new ones"},
	{"UnauthorizedAccess", SW_DENIED, "the account may not use this region"},
	/* wrong options */
	{"AuthorizationHeaderMalformed", SW_CONFIG, ""},
	{"IllegalLocationConstraintException", SW_CONFIG, ""},
	{"PermanentRedirect", SW_CONFIG, ""},
	{"Redirect", SW_CONFIG, ""},
	{"TemporaryRedirect", SW_CONFIG, ""},
	{"IncorrectEndpoint", SW_CONFIG, ""},
	{"InvalidBucketName", SW_CONFIG, "correct the bucket in repo-url"},
	{"InvalidHostHeader", SW_CONFIG, "see s3-endpoint and s3-addressing"},
	{"InvalidStorageClass", SW_CONFIG, "the service does not know this s3-storage-class"},
	{"InvalidURI", SW_CONFIG, "see the prefix in repo-url"},
	{"KeyTooLongError", SW_CONFIG, "shorten the prefix in repo-url"},
	{"InvalidObjectName", SW_CONFIG, "shorten the prefix in repo-url"},
	{"NoSuchBucket", SW_CONFIG, "create the bucket, or correct repo-url, s3-endpoint or s3-addressing"},
	{"NotImplemented", SW_CONFIG, "the service lacks something that Seawall needs; seawall check tells what"},
	{"RequestTimeTooSkewed", SW_CONFIG, "set this machine's clock, and keep it set (NTP)"},
	/* the service will not */
	{"EntityTooLarge", SW_SYSTEM, "one object may have 5 GiB"},
	{"InvalidArgument", SW_SYSTEM, "see s3-storage-class: the service may not know it"},
	{"InvalidObjectState", SW_SYSTEM,
		"the object is in an archive tier: restore it there first (aws s3api restore-object), then run this again"},
	{"KMS.DisabledException", SW_SYSTEM, "the bucket's KMS key is disabled: enable it"},
	{"KMS.InvalidStateException", SW_SYSTEM, "the bucket's KMS key is not usable: see its state"},
	{"KMS.NotFoundException", SW_SYSTEM, "the bucket's KMS key is gone: correct the bucket's encryption"},
	{"MethodNotAllowed", SW_SYSTEM, "see that s3-endpoint is an S3 service's address"},
	{"QuotaExceeded", SW_SYSTEM, "raise the quota of the bucket or user, or free some space"},
	{"XMinioStorageFull", SW_SYSTEM, "the service has no space left: free some"},
	{"InsufficientStorage", SW_SYSTEM, "the service has no space left: free some"},
};

static sw_rc
rc_of_status(long status)
{
	switch (status) {
	case 401:
	case 403:
		return SW_DENIED;
	case 404: /* bare: nobody said that the key is absent */
	case 501:
		return SW_CONFIG;
	case 408:
	case 409:
	case 425:
	case 429:
		return SW_TRANSIENT;
	case 412:
		return SW_CONFLICT;
	case 416:
		return SW_CORRUPT;
	case 507:
		return SW_SYSTEM;
	default:
		if (status >= 300 && status <= 399)
			return SW_CONFIG;
		return status >= 500 ? SW_TRANSIENT : SW_SYSTEM;
	}
}

static sw_rc
look_up(const struct sw_s3_refusal *r, const char **ret_hint)
{
	*ret_hint = "";
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(codes[i].code, r->code) != 0)
			continue;
		*ret_hint = codes[i].hint;
		/* what proves absence must not come with another status */
		if (codes[i].rc == SW_NOT_FOUND && r->status != 404)
			break;
		return codes[i].rc;
	}
	/* who cannot be understood is asked again */
	return r->damaged && r->status != 412 ? SW_TRANSIENT : rc_of_status(r->status);
}

/* --- reading a refusal ----------------------------------------------------------------- */

static sw_rc
take_element(void *ctx, const char *parent, const char *name, const char *text, struct sw_error *err)
{
	struct sw_s3_refusal *r = ctx;

	(void)err;
	if (strcmp(parent, "Error") != 0)
		return SW_OK;
	if (strcmp(name, "Code") == 0)
		snprintf(r->code, sizeof(r->code), "%s", text);
	else if (strcmp(name, "Message") == 0)
		snprintf(r->message, sizeof(r->message), "%s", text);
	else if (strcmp(name, "Region") == 0 && r->region[0] == '\0')
		snprintf(r->region, sizeof(r->region), "%s", text);
	else if (strcmp(name, "Endpoint") == 0)
		snprintf(r->endpoint, sizeof(r->endpoint), "%s", text);
	else if (strcmp(name, "ServerTime") == 0)
		snprintf(r->server_time, sizeof(r->server_time), "%s", text);
	else if (strcmp(name, "RequestId") == 0 && r->request_id[0] == '\0')
		snprintf(r->request_id, sizeof(r->request_id), "%s", text);
	return SW_OK;
}

void
sw_s3_error_parse(const void *body, size_t len, struct sw_s3_refusal *refusal)
{
	struct sw_error ignored = SW_ERROR_INIT;
	size_t part = len < 160 ? len : 160;

	if (len == 0)
		return;
	if (sw_xml_parse(body, len, take_element, refusal, &ignored) != SW_OK) {
		refusal->code[0] = '\0';
		refusal->damaged = memmem(body, part, "<Error>", 7) != NULL && memmem(body, part, "<!", 2) == NULL;
	}
	if (refusal->code[0] == '\0')
		snprintf(refusal->message, sizeof(refusal->message), "%.*s", (int)part, (const char *)body);
}

/* --- words -------------------------------------------------------------------------------- */

static int64_t
retry_after_ms(const struct sw_s3_refusal *r)
{
	int64_t now_s = sw_clock_now_us() / 1000000;
	char *end;
	long long s = strtoll(r->retry_after, &end, 10);

	if (r->retry_after[0] == '\0')
		return 0;
	if (end == r->retry_after || *end != '\0') {
		time_t at = curl_getdate(r->retry_after, NULL);
		time_t server = curl_getdate(r->server_time, NULL);

		if (at < 0)
			return 0;
		s = at - (server >= 0 ? (int64_t)server : now_s);
	}
	if (s < 0)
		return 0;
	return s > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS : s * 1000;
}

/* What is empty is left out, with what stands around it. */
static void
append(char *text, size_t size, const char *before, const char *words, const char *behind)
{
	size_t len = strlen(text);

	if (words[0] != '\0')
		snprintf(text + len, size - len, "%s%s%s", before, words, behind);
}

static bool
is_code(const struct sw_s3_refusal *r, const char *code)
{
	return strcmp(r->code, code) == 0;
}

static bool
is_wrong_region(const struct sw_s3_refusal *r)
{
	return (r->status >= 300 && r->status <= 399) || is_code(r, "AuthorizationHeaderMalformed") ||
		is_code(r, "IllegalLocationConstraintException") || is_code(r, "IncorrectEndpoint");
}

static void
hint_region(const struct sw_s3_refusal *r, const char *bucket, const char *region, struct sw_error *err)
{
	if (r->region[0] != '\0' && strcmp(r->region, region) != 0)
		sw_hint(err, "wrong region: bucket %s is in %.64s, not in %s; set s3-region = %.64s", bucket, r->region, region,
			r->region);
	else if (r->endpoint[0] != '\0')
		sw_hint(err, "wrong region or endpoint: the service wants bucket %s to be asked for at %.200s; see s3-region (now %s)", bucket,
			r->endpoint, region);
	else
		sw_hint(err, "wrong region: %s is not where bucket %s is; set s3-region and s3-endpoint", region, bucket);
}

static void
add_hint(const struct sw_s3_refusal *r, const char *hint, const char *bucket, const char *region,
	struct sw_error *err)
{
	if (hint[0] != '\0')
		sw_hint(err, "%s", hint);
	else if (is_wrong_region(r))
		hint_region(r, bucket, region, err);
	else if (r->delete_marker)
		sw_hint(err, "remove the delete marker to get the object back (aws s3api delete-object --version-id)");
	else if (err->rc == SW_CONFIG)
		sw_hint(err, "see that s3-endpoint is an S3 service's address and that bucket %s is there", bucket);
	else if (err->rc == SW_DENIED)
		sw_hint(err, "see the credentials and what the policies allow them");
}

sw_rc
sw_s3_error_fail(const struct sw_s3_refusal *r, const char *request, const char *bucket,
	const char *region, struct sw_error *err)
{
	bool hidden = r->delete_marker && r->status == 404;
	char text[sizeof(err->text)], iso[SW_CLOCK_ISO_LEN];
	const char *hint;
	sw_rc rc = look_up(r, &hint);

	snprintf(text, sizeof(text), "%s: HTTP %ld", request, r->status);
	append(text, sizeof(text), " ", r->code, "");
	append(text, sizeof(text), ": ", r->message, "");
	if (hidden)
		append(text, sizeof(text), "; ", "it is hidden by a delete marker, an older version is there", "");
	if (is_code(r, "RequestTimeTooSkewed")) {
		append(text, sizeof(text), "; this machine's clock says ",
			sw_clock_iso(sw_clock_now_us(), iso), "");
		append(text, sizeof(text), ", the server's ", r->server_time, "");
	}
	append(text, sizeof(text), " (request ", r->request_id, ")");
	sw_fail(err, hidden ? SW_CORRUPT : rc, "%s", text);
	err->retry_after_ms = err->rc == SW_TRANSIENT ? retry_after_ms(r) : 0;
	add_hint(r, hidden ? "" : hint, bucket, region, err);
	return err->rc;
}
