/* What an S3 service says: bounded, and its words fit a line. */
#include "fuzz.h"
#include "store/s3_error.h"
#include "store/xml.h"

static sw_rc
each(void *ctx, const char *parent, const char *name, const char *text, struct sw_error *err)
{
	unsigned *left = ctx;

	MUST(strlen(parent) < 64 && strlen(name) > 0 && strlen(name) < 64 && strlen(text) <= SW_XML_TEXT_MAX);
	return --*left == 0 ? sw_fail(err, SW_CONFLICT, "enough") : SW_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long statuses[] = {301, 400, 403, 404, 409, 412, 416, 429, 500, 503};
	unsigned first = take_byte(&data, &size), left = first + 1;
	struct sw_s3_refusal refusal = {.status = statuses[first % (sizeof(statuses) / sizeof(statuses[0]))]};
	struct sw_error err = SW_ERROR_INIT;
	sw_rc rc = sw_xml_parse(data, size, each, &left, &err);

	if (rc != SW_OK)
		must_be_told(rc, &err);
	MUST((rc == SW_CONFLICT) == (left == 0));
	sw_s3_error_parse(data, size, &refusal);
	rc = sw_s3_error_fail(&refusal, "GET s3://bucket/key", "bucket", "us-east-1", &err);
	must_be_told(rc, &err);
	return 0;
}
