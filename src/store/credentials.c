#include "store/credentials.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define FILE_MAX ((size_t)1024 * 1024)

static void
wipe(char *text)
{
	if (text != NULL)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

void
sw_credentials_release(struct sw_credentials *creds)
{
	wipe(creds->access_key);
	wipe(creds->secret_key);
	wipe(creds->session_token);
	free(creds->region);
	*creds = (struct sw_credentials){0};
}

/* Names a value is put under if it is there and there was none before. */
static sw_rc
keep_first(char **value, const char *found, struct sw_error *err)
{
	if (*value != NULL || found == NULL || found[0] == '\0')
		return SW_OK;
	*value = strdup(found);
	return *value != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

static const char *
env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* --- shared files ------------------------------------------------------------------- */

/* The path given, else the variable's, else ~/.aws/<name>. */
static sw_rc
shared_path(const char *given, const char *variable, const char *name, char **ret_path,
	struct sw_error *err)
{
	const char *home = env("HOME");
	struct passwd *pw;

	if (given == NULL)
		given = env(variable);
	if (given == NULL && home == NULL && (pw = getpwuid(geteuid())) != NULL)
		home = pw->pw_dir;
	if (given != NULL)
		*ret_path = strdup(given);
	else if (asprintf(ret_path, "%s/.aws/%s", home != NULL ? home : "", name) < 0)
		*ret_path = NULL;
	return *ret_path != NULL ? SW_OK : sw_fail(err, SW_SYSTEM, "out of memory");
}

static char *
trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* "[name]", or "[profile name]" as the configuration file has it. */
static bool
is_section(char *line, const char *profile)
{
	size_t len = strlen(line);

	if (len < 2 || line[len - 1] != ']')
		return false;
	line[len - 1] = '\0';
	line = trim(line + 1);
	if (strncmp(line, "profile", 7) == 0 && (line[7] == ' ' || line[7] == '\t'))
		line = trim(line + 7);
	return strcmp(line, profile) == 0;
}

static sw_rc
take_setting(char *line, struct sw_credentials *creds, struct sw_error *err)
{
	char *equals = strchr(line, '='), *value;

	if (equals == NULL)
		return SW_OK;
	*equals = '\0';
	line = trim(line);
	value = trim(equals + 1);
	if (strcmp(line, "aws_access_key_id") == 0)
		return keep_first(&creds->access_key, value, err);
	if (strcmp(line, "aws_secret_access_key") == 0)
		return keep_first(&creds->secret_key, value, err);
	if (strcmp(line, "aws_session_token") == 0)
		return keep_first(&creds->session_token, value, err);
	if (strcmp(line, "region") == 0)
		return keep_first(&creds->region, value, err);
	return SW_OK;
}

/*
 * The settings of one profile.  Not read with a library for ini files: those bound
 * their lines, and a session token may have thousands of bytes.
 */
static sw_rc
parse_profile(char *text, const char *profile, struct sw_credentials *creds, bool *ret_found,
	struct sw_error *err)
{
	char *save = NULL;
	bool inside = false;
	sw_rc rc = SW_OK;

	for (char *line = strtok_r(text, "\n", &save); line != NULL && rc == SW_OK;
		 line = strtok_r(NULL, "\n", &save)) {
		bool nested = line[0] == ' ' || line[0] == '\t';

		line = trim(line);
		if (line[0] == '#' || line[0] == ';' || line[0] == '\0')
			continue;
		if (line[0] == '[') {
			inside = is_section(line, profile);
			*ret_found = *ret_found || inside;
		} else if (inside && !nested) {
			rc = take_setting(line, creds, err);
		}
	}
	return rc;
}

static sw_rc
read_profile(const char *path, const char *profile, struct sw_credentials *creds,
	bool *ret_file, bool *ret_profile, struct sw_error *err)
{
	struct sw_buf buf;
	sw_rc rc;

	if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
		return SW_OK;
	rc = sw_file_read(path, FILE_MAX, &buf, err);
	if (rc == SW_CORRUPT)
		return err->rc = SW_CONFIG;
	if (rc == SW_DENIED)
		sw_hint(err, "let the user that runs this read the file, or give s3-credentials-file");
	if (rc != SW_OK)
		return rc;
	*ret_file = true;
	if (buf.data != NULL) {
		rc = parse_profile((char *)buf.data, profile, creds, ret_profile, err);
		OPENSSL_cleanse(buf.data, buf.cap);
	}
	sw_buf_release(&buf);
	return rc;
}

/* --- the places in their order -------------------------------------------------------- */

static sw_rc
need_both(const struct sw_credentials *creds, const char *key, const char *secret, struct sw_error *err)
{
	if ((creds->access_key != NULL) == (creds->secret_key != NULL))
		return SW_OK;
	sw_fail(err, SW_CONFIG, "%s is set, but %s is not", creds->access_key != NULL ? key : secret,
		creds->access_key != NULL ? secret : key);
	return sw_hint(err, "set both, or neither");
}

static sw_rc
from_params(const struct sw_credentials_params *p, struct sw_credentials *creds, struct sw_error *err)
{
	sw_rc rc = keep_first(&creds->access_key, p->access_key, err);

	if (rc == SW_OK)
		rc = keep_first(&creds->secret_key, p->secret_key, err);
	if (rc == SW_OK)
		rc = need_both(creds, "s3-access-key", "s3-secret-key", err);
	if (rc == SW_OK && creds->access_key != NULL)
		rc = keep_first(&creds->session_token, p->session_token, err);
	return rc;
}

static sw_rc
from_environment(struct sw_credentials *creds, struct sw_error *err)
{
	sw_rc rc = keep_first(&creds->access_key, env("AWS_ACCESS_KEY_ID"), err);

	if (rc == SW_OK)
		rc = keep_first(&creds->secret_key, env("AWS_SECRET_ACCESS_KEY"), err);
	if (rc == SW_OK)
		rc = need_both(creds, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", err);
	if (rc == SW_OK && creds->access_key != NULL)
		rc = keep_first(&creds->session_token, env("AWS_SESSION_TOKEN"), err);
	return rc;
}

static sw_rc
fail_missing(const char *path, const char *profile, bool file_there, bool profile_there, bool env_seen,
	struct sw_error *err)
{
	char why[600];

	if (!file_there)
		snprintf(why, sizeof(why), "%.400s does not exist", path);
	else
		snprintf(why, sizeof(why), "%s profile \"%.100s\" in %.400s",
			profile_there ? "no keys in" : "no", profile, path);
	sw_fail(err, SW_CONFIG, "no credentials for S3: s3-access-key is not set, AWS_ACCESS_KEY_ID is %s, %s",
		env_seen ? "not set" : "not asked because a profile is configured", why);
	return sw_hint(err, "set s3-access-key and s3-secret-key in the configuration file, or one of the others");
}

static sw_rc
from_file(const struct sw_credentials_params *p, const char *profile, bool env_seen,
	struct sw_credentials *creds, struct sw_error *err)
{
	SW_AUTO_FREE char *path = NULL;
	bool need = creds->access_key == NULL, file_there = false, profile_there = false;
	struct sw_credentials found = {0};
	sw_rc rc = shared_path(p->file, "AWS_SHARED_CREDENTIALS_FILE", "credentials", &path, err);

	if (rc == SW_OK)
		rc = read_profile(path, profile, &found, &file_there, &profile_there, err);
	if (rc == SW_OK && need)
		rc = need_both(&found, "aws_access_key_id", "aws_secret_access_key", err);
	if (rc != SW_OK && need)
		sw_wrap(err, "profile \"%s\" in %s", profile, path);
	if (rc == SW_OK && need && found.access_key == NULL)
		rc = fail_missing(path, profile, file_there, profile_there, env_seen, err);
	if (rc == SW_OK)
		rc = keep_first(&creds->region, found.region, err);
	if (rc == SW_OK && need) {
		creds->access_key = found.access_key;
		creds->secret_key = found.secret_key;
		creds->session_token = found.session_token;
		found = (struct sw_credentials){.region = found.region};
	}
	sw_credentials_release(&found);
	/* a file that is only asked for the region may be anyhow */
	return need || rc == SW_SYSTEM ? rc : SW_OK;
}

static sw_rc
region_from_config(const char *profile, struct sw_credentials *creds, struct sw_error *err)
{
	SW_AUTO_FREE char *path = NULL;
	bool file_there = false, profile_there = false;
	struct sw_credentials found = {0};
	sw_rc rc = shared_path(NULL, "AWS_CONFIG_FILE", "config", &path, err);

	if (rc == SW_OK && read_profile(path, profile, &found, &file_there, &profile_there, err) == SW_OK)
		rc = keep_first(&creds->region, found.region, err);
	sw_credentials_release(&found);
	return rc;
}

static sw_rc
load(const struct sw_credentials_params *p, struct sw_credentials *creds, struct sw_error *err)
{
	const char *profile = p->profile;
	bool ask_env = p->profile == NULL && p->file == NULL;
	sw_rc rc = from_params(p, creds, err);

	if (profile == NULL)
		profile = env("AWS_PROFILE");
	if (profile == NULL)
		profile = "default";
	if (rc == SW_OK && creds->access_key == NULL && ask_env)
		rc = from_environment(creds, err);
	if (rc == SW_OK)
		rc = keep_first(&creds->region, p->region, err);
	if (rc == SW_OK)
		rc = keep_first(&creds->region, env("AWS_REGION"), err);
	if (rc == SW_OK)
		rc = keep_first(&creds->region, env("AWS_DEFAULT_REGION"), err);
	if (rc == SW_OK && (creds->access_key == NULL || creds->region == NULL))
		rc = from_file(p, profile, ask_env, creds, err);
	if (rc == SW_OK && creds->region == NULL)
		rc = region_from_config(profile, creds, err);
	if (rc == SW_OK)
		rc = keep_first(&creds->region, "us-east-1", err);
	return rc;
}

sw_rc
sw_credentials_load(const struct sw_credentials_params *params, struct sw_credentials *ret_creds,
	struct sw_error *err)
{
	struct sw_credentials creds = {0};
	sw_rc rc = load(params, &creds, err);

	if (rc == SW_OK)
		*ret_creds = creds;
	else
		sw_credentials_release(&creds);
	return rc;
}
