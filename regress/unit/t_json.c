#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "base/json.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEAD "{\"seawall\":\"x\",\"version\":1"

static bool
one_line(const struct sw_error *err)
{
	return err->text[0] != '\0' && strpbrk(err->text, "\n\r\t\x1b") == NULL &&
		strpbrk(err->hint, "\n\r\t\x1b") == NULL;
}

/* --- whole documents ------------------------------------------------------------- */

static void
test_parse(void)
{
	static const struct {
		const char *text, *what;
		sw_rc want;
	} cases[] = {
		{HEAD "}", "kind and version alone", SW_OK},
		{HEAD ",\"later\":{\"a\":[null]}}", "keys not known yet", SW_OK},
		{" \n" HEAD "}\n", "blanks around", SW_OK},
		{"", "nothing", SW_CORRUPT},
		{"{", "a brace", SW_CORRUPT},
		{HEAD, "a cut document", SW_CORRUPT},
		{HEAD "}{}", "two documents", SW_CORRUPT},
		{HEAD "}x", "garbage behind", SW_CORRUPT},
		{"[1]", "an array", SW_CORRUPT},
		{"\"x\"", "a string", SW_CORRUPT},
		{"\xef\xbb\xbf" HEAD "}", "a byte-order mark", SW_CORRUPT},
		{"{\"version\":1}", "no kind", SW_CORRUPT},
		{"{\"seawall\":1,\"version\":1}", "a number as kind", SW_CORRUPT},
		{"{\"seawall\":\"y\",\"version\":1}", "another kind", SW_CORRUPT},
		{"{\"seawall\":\"y\\n\\u001b[31m\",\"version\":1}", "another kind with control characters", SW_CORRUPT},
		{"{\"seawall\":\"x\"}", "no version", SW_CORRUPT},
		{"{\"seawall\":\"x\",\"version\":\"1\"}", "a text as version", SW_CORRUPT},
		{"{\"seawall\":\"x\",\"version\":1.0}", "a fraction as version", SW_CORRUPT},
		{"{\"seawall\":\"x\",\"version\":0}", "version 0", SW_CORRUPT},
		{"{\"seawall\":\"x\",\"version\":-1}", "version -1", SW_CORRUPT},
		{"{\"seawall\":\"x\",\"version\":2}", "a newer version", SW_CONFIG},
		{"{\"seawall\":\"x\",\"version\":999999}", "a much newer version", SW_CONFIG},
		{"{\"seawall\":\"x\",\"version\":9223372036854775808}", "a version beyond 64 bits", SW_CORRUPT},
		{HEAD ",\"version\":1}", "a key twice", SW_CORRUPT},
		{HEAD ",\"a\":\"\\u0000\"}", "a NUL in a text", SW_CORRUPT},
		{HEAD ",\"a\":\"\xff\"}", "a text that is not UTF-8", SW_CORRUPT},
		{HEAD ",\"a\":\"\\ud800\"}", "half a surrogate pair", SW_CORRUPT},
		{HEAD ",\"a\":\"\n\"}", "a raw newline in a text", SW_CORRUPT},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_JSON *object = NULL;
		sw_rc rc = sw_json_parse(cases[i].text, strlen(cases[i].text), "x", 1, &object, &err);

		tap_is(sw_rc_name(rc), sw_rc_name(cases[i].want), "%s", cases[i].what);
		tap_ok((rc == SW_OK) == (object != NULL) && (rc == SW_OK || one_line(&err)),
			"%s: an object, or one line of words", cases[i].what);
		tap_ok((rc == SW_CONFIG) == (err.hint[0] != '\0'), "%s: what to do is said for newer versions",
			cases[i].what);
	}
}

static void
test_hostile_lengths(void)
{
	enum { DEEP = 100000 };
	struct sw_error err = SW_ERROR_INIT;
	SW_AUTO_JSON *object = NULL;
	char *deep = malloc(DEEP);

	tap_is(sw_rc_name(sw_json_parse(HEAD "}\0", sizeof(HEAD "}\0") - 1, "x", 1, &object, &err)), "corrupt",
		"a NUL behind the document is garbage");
	tap_is(sw_rc_name(sw_json_parse(NULL, 0, "x", 1, &object, &err)), "corrupt", "no bytes at all");
	memset(deep, '[', DEEP);
	tap_is(sw_rc_name(sw_json_parse(deep, DEEP, "x", 1, &object, &err)), "corrupt",
		"%d brackets end without taking the stack", DEEP);
	free(deep);
}

/* Damage beside a secret must not print it. */
static void
test_words_keep_secrets(void)
{
	static const char *const texts[] = {
		HEAD ",\"page_hash_secret\" \"5ec2e7\"}",
		HEAD ",\"page_hash_secret\":\"5ec2e7\" \"5ec2e7\"}",
		HEAD ",\"page_hash_secret\":5ec2e7}",
		HEAD ",\"page_hash_secret\":x5ec2e7}",
		HEAD ",\"page_hash_secret\":\"5ec2e7",
		HEAD ",\"page_hash_secret\":\"5ec2e7\\q\"}",
		HEAD ",\"5ec2e7\":1,\"5ec2e7\":1}",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct sw_error err = SW_ERROR_INIT;
		SW_AUTO_JSON *object = NULL;

		tap_is(sw_rc_name(sw_json_parse(texts[i], strlen(texts[i]), "x", 1, &object, &err)), "corrupt",
			"damage %zu beside a secret is seen", i);
		if (!tap_ok(strstr(err.text, "5ec2e7") == NULL, "and its words do not quote it"))
			tap_note("%s", err.text);
	}
}

/* --- fields ------------------------------------------------------------------------- */

#define U64_MAX_SIGNED "9223372036854775807"

static void
test_numbers(void)
{
	static const struct {
		const char *value;
		uint64_t max;
		bool ok;
		uint64_t want;
	} cases[] = {
		{"0", 0, true, 0},
		{"1", 0, false, 0},
		{"255", 255, true, 255},
		{"256", 255, false, 0},
		{"-1", UINT64_MAX, false, 0},
		{U64_MAX_SIGNED, INT64_MAX, true, INT64_MAX},
		{U64_MAX_SIGNED, INT64_MAX - 1, false, 0},
		{"1.0", 10, false, 0},
		{"1e0", 10, false, 0},
		{"\"1\"", 10, false, 0},
		{"true", 10, false, 0},
		{"null", 10, false, 0},
		{"[1]", 10, false, 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		char text[64];
		SW_AUTO_JSON *o = NULL;
		uint64_t value = 77;
		sw_rc rc;

		snprintf(text, sizeof(text), "{\"k\":%s}", cases[i].value);
		o = json_loads(text, 0, NULL);
		rc = sw_json_u64(o, "k", cases[i].max, &value, &err);
		tap_is(sw_rc_name(rc), cases[i].ok ? "ok" : "corrupt", "number %s, at most %llu", cases[i].value,
			(unsigned long long)cases[i].max);
		tap_ok(value == (cases[i].ok ? cases[i].want : 77), "its value, or nothing");
		tap_ok(cases[i].ok || (strstr(err.text, "\"k\"") != NULL && one_line(&err)), "the key is named");
	}
}

static void
test_numbers_as_text(void)
{
	static const struct {
		const char *value;
		bool ok;
		uint64_t want;
	} cases[] = {
		{"\"0\"", true, 0},
		{"\"7710216540988632115\"", true, UINT64_C(7710216540988632115)},
		{"\"18446744073709551615\"", true, UINT64_MAX},
		{"\"18446744073709551616\"", false, 0},
		{"\"99999999999999999999999999\"", false, 0},
		{"\"\"", false, 0},
		{"\"-1\"", false, 0},
		{"\"+1\"", false, 0},
		{"\" 1\"", false, 0},
		{"\"1 \"", false, 0},
		{"\"0x1\"", false, 0},
		{"\"1e3\"", false, 0},
		{"1", false, 0},
		{"null", false, 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sw_error err = SW_ERROR_INIT;
		char text[64];
		SW_AUTO_JSON *o = NULL;
		uint64_t value = 77;
		sw_rc rc;

		snprintf(text, sizeof(text), "{\"k\":%s}", cases[i].value);
		o = json_loads(text, 0, NULL);
		rc = sw_json_u64_text(o, "k", &value, &err);
		tap_is(sw_rc_name(rc), cases[i].ok ? "ok" : "corrupt", "64-bit number as text: %s", cases[i].value);
		tap_ok(value == (cases[i].ok ? cases[i].want : 77), "its value, or nothing");
	}
}

static void
test_other_fields(void)
{
	SW_AUTO_JSON *o = json_loads("{\"s\":\"t\",\"e\":\"\",\"n\":1,\"z\":null,\"y\":true,\"f\":false,"
		"\"h\":\"00ff0a\",\"H\":\"00FF0A\",\"g\":\"00ff0g\",\"l\":\"00ff0a0\"}", 0, NULL);
	static const char *const no_text[] = {"n", "z", "y", "missing"}, *const no_bool[] = {"s", "n", "z", "missing"},
		*const no_hex[] = {"H", "g", "l", "e", "n", "missing"};
	struct sw_error err = SW_ERROR_INIT;
	uint8_t bytes[3] = {1, 2, 3};
	const char *text = NULL;
	char hex[7];
	bool yes = false;

	tap_ok(sw_json_string(o, "s", &text, &err) == SW_OK && strcmp(text, "t") == 0, "a text");
	tap_ok(sw_json_string(o, "e", &text, &err) == SW_OK && *text == '\0', "an empty text");
	for (size_t i = 0; i < COUNT(no_text); i++)
		tap_ok(sw_json_string(o, no_text[i], &text, &err) == SW_CORRUPT && *text == '\0' && one_line(&err),
			"\"%s\" is no text", no_text[i]);
	tap_ok(sw_json_bool(o, "y", &yes, &err) == SW_OK && yes, "true");
	tap_ok(sw_json_bool(o, "f", &yes, &err) == SW_OK && !yes, "false");
	for (size_t i = 0; i < COUNT(no_bool); i++)
		tap_ok(sw_json_bool(o, no_bool[i], &yes, &err) == SW_CORRUPT && !yes, "\"%s\" is neither", no_bool[i]);
	for (size_t i = 0; i < COUNT(no_hex); i++)
		tap_ok(sw_json_hex(o, no_hex[i], bytes, 3, &err) == SW_CORRUPT && bytes[0] == 1 && bytes[2] == 3,
			"\"%s\" is not three bytes in hexadecimal", no_hex[i]);
	tap_ok(sw_json_hex(o, "h", bytes, 3, &err) == SW_OK && memcmp(bytes, "\x00\xff\x0a", 3) == 0, "bytes");
	tap_is(sw_hex(bytes, 3, hex), "00ff0a", "and written as they were");
	tap_ok(sw_json_string(NULL, "s", &text, &err) == SW_CORRUPT, "a missing object has no fields");
}

/* --- UTF-8 --------------------------------------------------------------------------- */

static void
test_utf8(void)
{
	static const struct {
		const char *text, *told;
	} cases[] = {
		{"", ""},
		{"plain", "plain"},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98"},
		{"M\xfcller", "M?ller"},
		{"cut \xe2\x82", "cut ??"},
		{"\xc0\x80", "\?\?"},
		{"\xed\xa0\x80", "\?\?\?"},
		{"\xf4\x90\x80\x80", "\?\?\?\?"},
	};
	size_t differ = 0;

	for (size_t i = 0; i < COUNT(cases); i++) {
		SW_AUTO_JSON *string = sw_json_text(cases[i].text);

		tap_is(json_string_value(string), cases[i].told, "text %zu as it is told", i);
		tap_ok(sw_json_text_ok(cases[i].text) == (strcmp(cases[i].text, cases[i].told) == 0),
			"and it is known for what it is");
	}
	/* the library must take whatever is called fit, or a manifest fails at its end */
	for (uint32_t i = 1; i < 1u << 24; i += i < 1u << 16 ? 1 : 251) {
		char text[5] = {(char)(i & 0xff), (char)(i >> 8 & 0xff), (char)(i >> 16 & 0xff), (char)(0x80 | i % 64), 0};
		SW_AUTO_JSON *string = json_string(text);

		differ += sw_json_text_ok(text) != (string != NULL);
	}
	tap_is_int((long long)differ, 0, "and the library agrees about all others");
}

int
main(void)
{
	test_parse();
	test_hostile_lengths();
	test_words_keep_secrets();
	test_numbers();
	test_numbers_as_text();
	test_other_fields();
	test_utf8();
	return tap_done();
}
