/*
 * Signatures against what AWS published: the Signature Version 4 test suite (AKIDEXAMPLE)
 * and the examples of the S3 API reference (AKIAIOSFODNN7EXAMPLE).
 */
#include <string.h>

#include "../tap.h"
#include "base/json.h"
#include "store/sign.h"
#include "stream/stage.h"

#define SUITE_US ((int64_t)1440938160 * 1000000) /* 20150830T123600Z */
#define S3_US ((int64_t)1369353600 * 1000000)    /* 20130524T000000Z */
#define TOKEN "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"

struct vector {
	const char *name, *method, *path;
	struct sw_sign_pair query[2], headers[4]; /* beyond host and date */
	const char *payload;
	const char *names, *signature;
};

static const struct vector suite[] = {
	{"get-vanilla", "GET", "/", {{0}}, {{0}}, "", "host;x-amz-date",
		"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-space-unnormalized", "GET", "/example space/", {{0}}, {{0}}, "", "host;x-amz-date",
		"652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
	{"get-utf8", "GET", "/\xe1\x88\xb4", {{0}}, {{0}}, "", "host;x-amz-date",
		"8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
	{"get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
		{{0}}, {{0}}, "", "host;x-amz-date",
		"07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
	{"get-vanilla-empty-query-key", "GET", "/", {{"Param1", "value1"}}, {{0}}, "", "host;x-amz-date",
		"a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
	{"get-vanilla-query-order-key-case", "GET", "/", {{"Param2", "value2"}, {"Param1", "value1"}}, {{0}}, "",
		"host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"get-vanilla-utf8-query", "GET", "/", {{"\xe1\x88\xb4", "bar"}}, {{0}}, "", "host;x-amz-date",
		"2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
	{"get-header-key-duplicate", "GET", "/", {{0}},
		{{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}}, "",
		"host;my-header1;x-amz-date",
		"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
	{"get-header-value-trim", "GET", "/", {{0}},
		{{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}}, "",
		"host;my-header1;my-header2;x-amz-date",
		"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"post-vanilla", "POST", "/", {{0}}, {{0}}, "", "host;x-amz-date",
		"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"post-header-key-sort", "POST", "/", {{0}}, {{"My-Header1", "value1"}}, "",
		"host;my-header1;x-amz-date",
		"c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
	{"get-vanilla-with-session-token", "GET", "/", {{0}}, {{"X-Amz-Security-Token", TOKEN}}, "",
		"host;x-amz-date;x-amz-security-token",
		"07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
};

static const struct vector s3[] = {
	{"GET object", "GET", "/test.txt", {{0}}, {{"Range", "bytes=0-9"}}, "",
		"host;range;x-amz-content-sha256;x-amz-date",
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"PUT object", "PUT", "/test$file.text", {{0}},
		{{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
		"Welcome to Amazon S3.", "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"GET bucket lifecycle", "GET", "/", {{"lifecycle", ""}}, {{0}}, "",
		"host;x-amz-content-sha256;x-amz-date",
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"GET bucket (list objects)", "GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, {{0}}, "",
		"host;x-amz-content-sha256;x-amz-date",
		"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static size_t
count_pairs(const struct sw_sign_pair *pairs, size_t max)
{
	size_t count = 0;

	while (count < max && pairs[count].name != NULL)
		count++;
	return count;
}

static void
check(const struct vector *v, bool is_s3)
{
	struct sw_sign_pair headers[SW_SIGN_HEADERS_MAX];
	char date[SW_SIGN_DATE_LEN], hex[2 * SW_SHA256_LEN + 1];
	uint8_t digest[SW_SHA256_LEN];
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF path;
	SW_AUTO_BUF query;
	SW_AUTO_BUF got;
	SW_AUTO_BUF want;
	size_t count = 0, extra = count_pairs(v->headers, 4);
	struct sw_sign_request req = {
		.method = v->method,
		.headers = headers,
		.payload_sha256 = hex,
		.access_key = is_s3 ? "AKIAIOSFODNN7EXAMPLE" : "AKIDEXAMPLE",
		.secret_key = is_s3 ? "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" :
			"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		.region = "us-east-1",
		.service = is_s3 ? "s3" : "service",
		.time_us = is_s3 ? S3_US : SUITE_US,
	};

	sw_buf_init(&path, 1000);
	sw_buf_init(&query, 1000);
	sw_buf_init(&got, 1000);
	sw_buf_init(&want, 1000);
	sw_sha256(v->payload, strlen(v->payload), digest);
	sw_hex(digest, sizeof(digest), hex);
	sw_sign_date(req.time_us, date);
	headers[count++] = (struct sw_sign_pair){"X-Amz-Date", date};
	headers[count++] = (struct sw_sign_pair){"Host",
		is_s3 ? "examplebucket.s3.amazonaws.com" : "example.amazonaws.com"};
	if (is_s3)
		headers[count++] = (struct sw_sign_pair){"x-amz-content-sha256", hex};
	for (size_t i = 0; i < extra; i++)
		headers[count++] = v->headers[i];
	req.header_count = count;
	sw_sign_encode(v->path, true, &path, &err);
	sw_buf_reserve(&query, 0, &err);
	sw_sign_query(v->query, count_pairs(v->query, 2), &query, &err);
	req.path = (const char *)path.data;
	req.query = (const char *)query.data;
	sw_sign_authorization(&req, &got, &err);
	sw_buf_printf(&want, &err, "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, "
		"SignedHeaders=%s, Signature=%s", req.access_key, date, req.service, v->names, v->signature);
	tap_is((const char *)got.data, (const char *)want.data, "%s", v->name);
}

static void
check_encoding(void)
{
	static const struct {
		const char *text;
		bool keep_slash;
		const char *want;
	} cases[] = {
		{"dir/file", true, "dir/file"}, {"dir/file", false, "dir%2Ffile"}, {"a b+c=d&e", true, "a%20b%2Bc%3Dd%26e"},
		{"100%", true, "100%25"}, {"\xc3\xbc*'()!", true, "%C3%BC%2A%27%28%29%21"}, {"", true, ""},
	};
	struct sw_error err = SW_ERROR_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SW_AUTO_BUF buf;

		sw_buf_init(&buf, 100);
		sw_buf_reserve(&buf, 0, &err);
		sw_sign_encode(cases[i].text, cases[i].keep_slash, &buf, &err);
		tap_is((const char *)buf.data, cases[i].want, "encoding of \"%s\"", cases[i].text);
	}
}

static void
check_query_order(void)
{
	/* '-' sorts before '=', so items must not be sorted with it */
	const struct sw_sign_pair params[] = {{"a-b", "1"}, {"a", "2"}, {"a", "1"}, {"A", "3"}, {"versions", ""}};
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_BUF buf;

	sw_buf_init(&buf, 100);
	sw_sign_query(params, 5, &buf, &err);
	tap_is((const char *)buf.data, "A=3&a=1&a=2&a-b=1&versions=", "parameters are sorted by name, then value");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++)
		check(&suite[i], false);
	for (size_t i = 0; i < sizeof(s3) / sizeof(s3[0]); i++)
		check(&s3[i], true);
	check_encoding();
	check_query_order();
	return tap_done();
}
