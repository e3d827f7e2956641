/*
 * command.h - every command once: for --help and for the man pages.
 */
#ifndef SW_CONFIG_COMMAND_H
#define SW_CONFIG_COMMAND_H

#include "config/table.h"

struct sw_command_text {
	const char *term; /* an exit status, or what an example is for */
	const char *text; /* an example's may have lines */
};

struct sw_command_row {
	enum sw_command command;
	const char *verb;     /* NULL: the command is a program of its own */
	const char *title;    /* "seawall restore", "seawall-push" */
	const char *page;     /* the man page's name */
	const char *synopsis; /* behind title and options; may be "" */
	const char *also;     /* another synopsis, whole, or NULL */
	const char *purpose;  /* a few words, lower case */
	const char *const *paragraphs;        /* the description, up to NULL */
	const struct sw_command_text *status; /* up to a NULL term */
	const struct sw_command_text *examples;
	const char *see_also; /* names of pages, separated by blanks */
};

#define SW_COMMAND_COUNT 14

/* In the order of the overall help. */
const struct sw_command_row *sw_command_at(size_t i);

const struct sw_command_row *sw_command_row(enum sw_command command);

/* The titles of the commands that take the option, "A, B and C"; cut to len. */
void sw_command_takers(const struct sw_option_row *row, char *buf, size_t len);

#endif
