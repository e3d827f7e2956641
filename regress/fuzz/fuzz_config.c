/* Configuration: our own ini file, and postgresql.conf as a restore looks at it. */
#include "config/ini.h"
#include "fuzz.h"
#include "pg/conf.h"

static void
read_ini(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct sw_ini ini = {.rest = text};
	struct sw_error err = SW_ERROR_INIT;
	unsigned line = 0;

	for (;;) {
		struct sw_ini_item item;
		sw_rc rc = sw_ini_next(&ini, &item, &err);

		if (rc != SW_OK) {
			must_be_told(rc, &err);
			MUST(rc == SW_CONFIG);
			break;
		}
		if (item.kind == SW_INI_END)
			break;
		MUST(ini.line > line);
		line = ini.line;
		MUST(strchr(item.name, '\n') == NULL);
		MUST(item.kind != SW_INI_SETTING || (item.name[0] != '\0' && strchr(item.value, '\n') == NULL));
	}
	free(text);
}

/* What is appended is read back as it was given. */
static void
write_setting(const char *value)
{
	struct sw_conf_setting setting = {.name = "name", .value = value};
	char name[SW_CONF_NAME_MAX], read[SW_CONF_VALUE_MAX];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_buf buf;

	sw_buf_init(&buf, 65536);
	if (sw_conf_append(&buf, &setting, &err) == SW_OK) {
		MUST(buf.len > 0 && buf.data[buf.len - 1] == '\n' && memchr(buf.data, '\n', buf.len - 1) == NULL);
		MUST(sw_conf_parse_line((char *)buf.data, buf.len - 1, name, read));
		MUST(strcmp(name, "name") == 0 && (strlen(value) >= SW_CONF_VALUE_MAX || strcmp(read, value) == 0));
	}
	sw_buf_release(&buf);
}

static void
read_conf(const uint8_t *data, size_t size)
{
	static const struct sw_conf_setting settings[] = {{"port", "1"}, {"archive_command", "x"}};
	char name[SW_CONF_NAME_MAX], value[SW_CONF_VALUE_MAX];
	struct sw_error err = SW_ERROR_INIT;
	struct sw_buf buf;

	sw_buf_init(&buf, 1 << 20);
	MUST(sw_conf_append_without(&buf, (const char *)data, size, settings, 2, &err) == SW_OK || err.rc != SW_BUG);
	sw_buf_release(&buf);
	if (memchr(data, '\n', size) == NULL && sw_conf_parse_line((const char *)data, size, name, value)) {
		MUST(strlen(name) > 0 && strlen(name) < sizeof(name) && strlen(value) < sizeof(value));
		sw_conf_points_elsewhere(name, value);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned kind = take_byte(&data, &size) % 3;
	char *text;

	if (kind == 0)
		read_ini(data, size);
	else if (kind == 1 && size > 0)
		read_conf(data, size);
	else {
		text = strndup((const char *)data, size < 30000 ? size : 30000);
		write_setting(text);
		free(text);
	}
	return 0;
}
