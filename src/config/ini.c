#include "config/ini.h"

#include <string.h>

#define BLANKS " \t\r"

static char *
trim(char *text)
{
	size_t len;

	text += strspn(text, BLANKS);
	len = strlen(text);
	while (len > 0 && strchr(BLANKS, text[len - 1]) != NULL)
		text[--len] = '\0';
	return text;
}

static sw_rc
read_section(char *line, struct sw_ini_item *ret_item, struct sw_error *err)
{
	size_t len = strlen(line);

	if (line[len - 1] != ']')
		return sw_fail(err, SW_CONFIG, "a section's line must end with ]");
	line[len - 1] = '\0';
	*ret_item = (struct sw_ini_item){.kind = SW_INI_SECTION, .name = trim(line + 1)};
	return SW_OK;
}

static sw_rc
read_setting(char *line, struct sw_ini_item *ret_item, struct sw_error *err)
{
	char *equals = strchr(line, '=');
	char *name;

	if (equals != NULL)
		*equals = '\0';
	name = trim(line);
	if (equals == NULL || *name == '\0' || strpbrk(name, BLANKS "[]") != NULL) {
		sw_fail(err, SW_CONFIG, "this line is neither [section] nor name = value");
		return sw_hint(err, "a comment begins with #, and a value stays on its line");
	}
	*ret_item = (struct sw_ini_item){.kind = SW_INI_SETTING, .name = name, .value = trim(equals + 1)};
	return SW_OK;
}

sw_rc
sw_ini_next(struct sw_ini *ini, struct sw_ini_item *ret_item, struct sw_error *err)
{
	while (ini->rest != NULL) {
		char *line = trim(strsep(&ini->rest, "\n"));

		ini->line++;
		if (*line == '\0' || *line == '#' || *line == ';')
			continue;
		return *line == '[' ? read_section(line, ret_item, err) : read_setting(line, ret_item, err);
	}
	*ret_item = (struct sw_ini_item){.kind = SW_INI_END};
	return SW_OK;
}
