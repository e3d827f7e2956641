#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tap.h"
#include "base/file.h"
#include "store/credentials.h"

static char dir[] = "/tmp/seawall-credentials.XXXXXX";

static const char *const variables[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_REGION", "AWS_DEFAULT_REGION", "HOME"};

static const char credentials_text[] =
	"# comment\r\n"
	"; another\n"
	"aws_access_key_id = outside\n"
	"\n"
	"[default]\n"
	"aws_access_key_id=DEFAULTKEY\n"
	"aws_secret_access_key =  default/secret=with+signs \r\n"
	"unknown = x\n"
	"no equals sign\n"
	"[half]\n"
	"aws_access_key_id = HALFKEY\n"
	"[ spaced ]\n"
	"aws_access_key_id = SPACEDKEY\n"
	"s3 =\n"
	"  aws_secret_access_key = nested\n"
	"aws_secret_access_key = spacedsecret\n"
	"aws_session_token = %s\n"
	"region = eu-credentials-1\n"
	"[empty]\n";

static const char config_text[] =
	"[default]\nregion = eu-default-1\n[profile half]\nregion = eu-half-1\n[profile other]\nregion = x\n";

/* A session token longer than any line that an ini library would take. */
static char token[3001];

struct test {
	const char *name;
	struct sw_credentials_params params;
	const char *env[6]; /* "NAME=value" */
	sw_rc rc;
	const char *access_key, *secret_key, *session_token, *region; /* or: */
	const char *words;                                             /* of the error */
};

static const struct test tests[] = {
	{"parameters come first", {.access_key = "PARAMKEY", .secret_key = "s", .session_token = "t", .region = "r"},
		{"AWS_ACCESS_KEY_ID=E", "AWS_SECRET_ACCESS_KEY=e", "AWS_SESSION_TOKEN=e", "AWS_REGION=e"}, SW_OK,
		"PARAMKEY", "s", "t", "r", NULL},
	{"a token of the environment does not go with a key of the parameters", {.access_key = "PARAMKEY", .secret_key = "s"},
		{"AWS_SESSION_TOKEN=e", "AWS_REGION=e"}, SW_OK, "PARAMKEY", "s", NULL, "e", NULL},
	{"half of the parameters", {.access_key = "PARAMKEY"}, {0}, SW_CONFIG, NULL, NULL, NULL, NULL, "s3-secret-key"},
	{"the other half", {.secret_key = "paramsecret"}, {0}, SW_CONFIG, NULL, NULL, NULL, NULL, "s3-access-key"},
	{"the environment", {0}, {"AWS_ACCESS_KEY_ID=ENVKEY", "AWS_SECRET_ACCESS_KEY=e", "AWS_SESSION_TOKEN=t",
		"AWS_DEFAULT_REGION=d"}, SW_OK, "ENVKEY", "e", "t", "d", NULL},
	{"AWS_REGION before AWS_DEFAULT_REGION", {0}, {"AWS_ACCESS_KEY_ID=ENVKEY", "AWS_SECRET_ACCESS_KEY=e",
		"AWS_DEFAULT_REGION=d", "AWS_REGION=r"}, SW_OK, "ENVKEY", "e", NULL, "r", NULL},
	{"half of the environment", {0}, {"AWS_ACCESS_KEY_ID=ENVKEY"}, SW_CONFIG, NULL, NULL, NULL, NULL,
		"AWS_SECRET_ACCESS_KEY"},
	{"an empty variable is none", {0}, {"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, SW_OK, "DEFAULTKEY",
		"default/secret=with+signs", NULL, "eu-default-1", NULL},
	{"the default profile", {0}, {0}, SW_OK, "DEFAULTKEY", "default/secret=with+signs", NULL, "eu-default-1", NULL},
	{"AWS_PROFILE", {0}, {"AWS_PROFILE=spaced"}, SW_OK, "SPACEDKEY", "spacedsecret", token, "eu-credentials-1", NULL},
	{"a configured profile comes before the environment", {.profile = "spaced"},
		{"AWS_ACCESS_KEY_ID=E", "AWS_SECRET_ACCESS_KEY=e"}, SW_OK, "SPACEDKEY", "spacedsecret", token, "eu-credentials-1",
		NULL},
	{"a configured file too", {.file = "FILE2"}, {"AWS_ACCESS_KEY_ID=E", "AWS_SECRET_ACCESS_KEY=e"}, SW_OK, "KEY2", "s2",
		NULL, "eu-default-1", NULL},
	{"AWS_SHARED_CREDENTIALS_FILE", {0}, {"AWS_SHARED_CREDENTIALS_FILE=FILE2"}, SW_OK, "KEY2", "s2", NULL, "eu-default-1",
		NULL},
	{"half a profile", {.profile = "half"}, {0}, SW_CONFIG, NULL, NULL, NULL, NULL, "aws_secret_access_key"},
	{"a profile without keys", {.profile = "empty"}, {0}, SW_CONFIG, NULL, NULL, NULL, NULL, "no keys in profile \"empty\""},
	{"a profile that is not there", {.profile = "nobody"}, {0}, SW_CONFIG, NULL, NULL, NULL, NULL, "no profile \"nobody\""},
	{"no file", {0}, {"AWS_SHARED_CREDENTIALS_FILE=/nonexistent/c"}, SW_CONFIG, NULL, NULL, NULL, NULL,
		"/nonexistent/c does not exist"},
	{"the region of the shared configuration file", {.access_key = "PARAMKEY", .secret_key = "s", .profile = "half"}, {0}, SW_OK, "PARAMKEY", "s", NULL,
		"eu-half-1", NULL},
	{"us-east-1 else", {.access_key = "PARAMKEY", .secret_key = "s"}, {"HOME=/nonexistent"}, SW_OK, "PARAMKEY", "s", NULL,
		"us-east-1", NULL},
};

static const char *
in_dir(const char *value, char path[256])
{
	if (value == NULL || strcmp(value, "FILE2") != 0)
		return value;
	snprintf(path, 256, "%s/file2", dir);
	return path;
}

static void
set_environment(const struct test *t)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	setenv("HOME", dir, 1);
	for (size_t i = 0; i < 6 && t->env[i] != NULL; i++) {
		char name[64], path[256];
		const char *equals = strchr(t->env[i], '=');

		snprintf(name, sizeof(name), "%.*s", (int)(equals - t->env[i]), t->env[i]);
		setenv(name, in_dir(equals + 1, path), 1);
	}
}

static void
run(const struct test *t)
{
	struct sw_credentials_params params = t->params;
	struct sw_credentials creds = {0};
	struct sw_error err = SW_ERROR_INIT;
	char path[256];
	sw_rc rc;

	set_environment(t);
	params.file = in_dir(params.file, path);
	rc = sw_credentials_load(&params, &creds, &err);
	if (!tap_is_int(rc, t->rc, "%s", t->name))
		tap_note("%s", err.text);
	if (t->rc == SW_OK) {
		tap_is(creds.access_key, t->access_key, "%s: access key", t->name);
		tap_is(creds.secret_key, t->secret_key, "%s: secret key", t->name);
		tap_is(creds.session_token, t->session_token, "%s: session token", t->name);
		tap_is(creds.region, t->region, "%s: region", t->name);
	} else {
		if (!tap_ok(strstr(err.text, t->words) != NULL, "%s: says \"%s\"", t->name, t->words))
			tap_note("%s", err.text);
		tap_ok(strstr(err.text, "HALFKEY") == NULL && strstr(err.text, "PARAMKEY") == NULL &&
			strstr(err.text, "paramsecret") == NULL, "%s: shows no key", t->name);
		tap_ok(err.hint[0] != '\0', "%s: has a hint", t->name);
		tap_ok(creds.access_key == NULL, "%s: gives nothing", t->name);
	}
	sw_credentials_release(&creds);
}

static void
write_file(const char *name, const char *text)
{
	struct sw_error err = SW_ERROR_INIT;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (sw_file_write(path, text, strlen(text), 0600, &err) != SW_OK)
		tap_ok(false, "%s", err.text);
}

static void
remove_file(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	remove(path);
}

int
main(void)
{
	char path[256], *text;

	memset(token, 'T', sizeof(token) - 1);
	if (mkdtemp(dir) == NULL || asprintf(&text, credentials_text, token) < 0)
		return 1;
	snprintf(path, sizeof(path), "%s/.aws", dir);
	mkdir(path, 0700);
	write_file(".aws/credentials", text);
	write_file(".aws/config", config_text);
	write_file("file2", "[default]\naws_access_key_id=KEY2\naws_secret_access_key=s2");
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		run(&tests[i]);
	free(text);
	remove_file(".aws/credentials");
	remove_file(".aws/config");
	remove_file(".aws");
	remove_file("file2");
	remove_file("");
	return tap_done();
}
