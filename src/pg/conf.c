#include "pg/conf.h"

#include <string.h>
#include <strings.h>

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		c == '.';
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* As DeescapeQuotedString, but \ooo, which nobody writes, keeps its digits. */
static char
unescape(char c)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at = c == '\0' ? NULL : strchr(from, c);

	return at == NULL ? c : to[at - from];
}

static bool
parse_quoted(const char *p, const char *end, char ret_value[SW_CONF_VALUE_MAX])
{
	char value[SW_CONF_VALUE_MAX];
	size_t len = 0;

	for (; p < end; p++) {
		char c = *p;

		if (c == '\'' && (p + 1 == end || p[1] != '\'')) {
			memcpy(ret_value, value, len);
			ret_value[len] = '\0';
			return true;
		}
		if (c == '\'')
			p++;
		else if (c == '\\' && p + 1 < end)
			c = unescape(*++p);
		if (len < sizeof(value) - 1)
			value[len++] = c;
	}
	return false;
}

bool
sw_conf_parse_line(const char *line, size_t len, char ret_name[SW_CONF_NAME_MAX],
	char ret_value[SW_CONF_VALUE_MAX])
{
	const char *end = line + len, *name = skip_blanks(line, end), *p = name;
	size_t name_len, value_len = 0;

	while (p < end && is_name_char(*p))
		p++;
	name_len = (size_t)(p - name);
	if (name_len == 0 || name_len >= SW_CONF_NAME_MAX || (*name >= '0' && *name <= '9'))
		return false;
	p = skip_blanks(p, end);
	if (p < end && *p == '=')
		p = skip_blanks(p + 1, end);
	if (p < end && *p == '\'') {
		if (!parse_quoted(p + 1, end, ret_value))
			return false;
	} else {
		while (p + value_len < end && !is_blank(p[value_len]) && p[value_len] != '#')
			value_len++;
		if (value_len == 0)
			return false;
		if (value_len >= SW_CONF_VALUE_MAX)
			value_len = SW_CONF_VALUE_MAX - 1;
		memcpy(ret_value, p, value_len);
		ret_value[value_len] = '\0';
	}
	memcpy(ret_name, name, name_len);
	ret_name[name_len] = '\0';
	return true;
}

sw_rc
sw_conf_append(struct sw_buf *buf, const struct sw_conf_setting *setting, struct sw_error *err)
{
	size_t before = buf->len;
	sw_rc rc = SW_OK;

	if (strpbrk(setting->value, "\r\n") != NULL)
		return sw_fail(err, SW_CONFIG, "the value for %s has a line break in it", setting->name);
	rc = sw_buf_printf(buf, err, "%s = '", setting->name);
	for (const char *p = setting->value; rc == SW_OK && *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			rc = sw_buf_append(buf, p, 1, err);
		if (rc == SW_OK)
			rc = sw_buf_append(buf, p, 1, err);
	}
	if (rc == SW_OK)
		rc = sw_buf_append(buf, "'\n", 2, err);
	if (rc != SW_OK)
		buf->len = before;
	return rc;
}

static bool
is_one_of(const char *name, const struct sw_conf_setting *settings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(name, settings[i].name) == 0)
			return true;
	return false;
}

sw_rc
sw_conf_append_without(struct sw_buf *buf, const char *text, size_t len,
	const struct sw_conf_setting *settings, size_t count, struct sw_error *err)
{
	const char *end = text + len;

	for (const char *line = text; line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *line_end = newline == NULL ? end : newline;
		char name[SW_CONF_NAME_MAX], value[SW_CONF_VALUE_MAX];
		sw_rc rc = SW_OK;

		if (!sw_conf_parse_line(line, (size_t)(line_end - line), name, value) ||
			!is_one_of(name, settings, count)) {
			rc = sw_buf_append(buf, line, (size_t)(line_end - line), err);
			if (rc == SW_OK)
				rc = sw_buf_append(buf, "\n", 1, err);
		}
		if (rc != SW_OK)
			return rc;
		line = line_end + 1;
	}
	return SW_OK;
}

bool
sw_conf_points_elsewhere(const char *name, const char *value)
{
	static const struct known {
		const char *name;
		bool always; /* a program, or a list: worth showing whatever it is */
	} known[] = {
		{"data_directory", false}, {"config_file", false}, {"hba_file", false},
		{"ident_file", false}, {"external_pid_file", false}, {"log_directory", false},
		{"stats_temp_directory", false}, {"unix_socket_directories", false},
		{"ssl_cert_file", false}, {"ssl_key_file", false}, {"ssl_ca_file", false},
		{"ssl_crl_file", false}, {"ssl_crl_dir", false}, {"ssl_dh_params_file", false},
		{"krb_server_keyfile", false}, {"include", false}, {"include_if_exists", false},
		{"include_dir", false}, {"archive_command", true}, {"archive_library", true},
		{"archive_cleanup_command", true}, {"recovery_end_command", true},
		{"ssl_passphrase_command", true}, {"shared_preload_libraries", true},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcasecmp(name, known[i].name) == 0)
			return known[i].always ? value[0] != '\0' : strchr(value, '/') == value;
	return false;
}
