/*
 * make_docs - print a manual page or the sample file; only the build runs it.
 *
 *   make_docs seawall-restore.1 | seawall.conf.5 | seawall.conf.sample
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"

static bool
print_page(const char *name)
{
	enum sw_command command = 0;
	const char *page;
	char file[64];

	for (size_t i = 0; (page = sw_config_page(i, &command)) != NULL; i++) {
		snprintf(file, sizeof(file), "%s.1", page);
		if (strcmp(file, name) != 0)
			continue;
		sw_config_man(command, stdout);
		return true;
	}
	return false;
}

int
main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";

	if (strcmp(name, "seawall.conf.5") == 0)
		sw_config_man_file(stdout);
	else if (strcmp(name, "seawall.conf.sample") == 0)
		sw_config_sample(stdout);
	else if (!print_page(name)) {
		fprintf(stderr, "make_docs: there is no page \"%s\"\n", name);
		return 2;
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("make_docs");
		return 1;
	}
	return 0;
}
