/*
 * With an action, its argument and pg-* options: do it on a real server and print the outcome (for 020_pg.t).
 * Without: unit tests on servers that are not there or say strange things.
 */
#include "pg/connection.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "config/config.h"

static sw_rc
connect_with(int argc, char *const *argv, struct sw_pg **ret_pg, struct sw_error *err)
{
	struct sw_config *config;
	sw_rc rc = sw_config_load(SW_CMD_BACKUP, argc, argv, &config, err);

	if (rc != SW_OK)
		return rc;
	rc = sw_pg_connect(config, ret_pg, err);
	sw_config_free(config);
	return rc;
}

/* --- actions on a real server ------------------------------------------------------ */

static sw_rc
do_facts(struct sw_pg *pg, const char *arg, struct sw_error *err)
{
	struct sw_pg_facts f;
	sw_rc rc = sw_pg_facts(pg, &f, err);

	(void)arg;
	if (rc == SW_OK)
		printf("version=%d\nsystem_identifier=%" PRIu64 "\ndata_directory=%s\nsegment_size=%u\n"
			"block_size=%u\nin_recovery=%d\ntimeline=%u\nchecksums=%d\n", f.version,
			f.system_identifier, f.data_directory, f.segment_size, f.block_size, f.in_recovery,
			f.timeline, f.checksums);
	return rc;
}

static sw_rc
do_setting(struct sw_pg *pg, const char *arg, struct sw_error *err)
{
	SW_AUTO_BUF buf;
	sw_rc rc;

	sw_buf_init(&buf, 10000);
	rc = sw_pg_setting(pg, arg, &buf, err);
	if (rc == SW_OK)
		printf("value=%s\n", (char *)buf.data);
	return rc;
}

static sw_rc
do_lsn(struct sw_pg *pg, const char *arg, struct sw_error *err)
{
	char text[SW_LSN_LEN];
	sw_lsn lsn;
	sw_rc rc = sw_pg_current_lsn(pg, &lsn, err);

	(void)arg;
	if (rc == SW_OK)
		printf("lsn=%s\n", sw_lsn_format(lsn, text));
	return rc;
}

static sw_rc
do_switch(struct sw_pg *pg, const char *arg, struct sw_error *err)
{
	char segment[SW_WAL_NAME_MAX];
	sw_rc rc = sw_pg_switch_wal(pg, segment, err);

	(void)arg;
	if (rc == SW_OK)
		printf("segment=%s\n", segment);
	return rc;
}

static sw_rc
backup(struct sw_pg *pg, const char *label, bool fast, struct sw_error *err)
{
	char text[SW_LSN_LEN];
	SW_AUTO_BUF label_file;
	SW_AUTO_BUF map;
	sw_lsn start, stop;
	sw_rc rc;

	sw_buf_init(&label_file, 10000);
	sw_buf_init(&map, 10000);
	rc = sw_pg_backup_start(pg, label, fast, &start, err);
	if (rc != SW_OK)
		return rc;
	printf("start=%s\n", sw_lsn_format(start, text));
	fflush(stdout);
	if (strcmp(label, "signal") == 0) {
		sw_interrupt_catch();
		raise(SIGTERM);
	}
	rc = sw_pg_backup_stop(pg, &stop, &label_file, &map, err);
	if (rc == SW_OK)
		printf("stop=%s\nmap=%s--\n%s", sw_lsn_format(stop, text), map.len > 0 ? (char *)map.data : "",
			(char *)label_file.data);
	return rc;
}

static sw_rc
do_backup(struct sw_pg *pg, const char *arg, struct sw_error *err)
{
	return backup(pg, arg, true, err);
}

static sw_rc
do_slow_backup(struct sw_pg *pg, const char *arg, struct sw_error *err)
{
	return backup(pg, arg, false, err);
}

static sw_rc
print_value(void *ctx, const char *const *values, struct sw_error *err)
{
	int *left = ctx;

	if ((*left)-- == 0)
		return sw_fail(err, SW_CONFLICT, "enough rows");
	printf("%s\n", values[0] != NULL ? values[0] : "(null)");
	return SW_OK;
}

/* At most a thousand rows, and the session still works afterwards. */
static sw_rc
do_query(struct sw_pg *pg, const char *arg, struct sw_error *err)
{
	struct sw_error later = SW_ERROR_INIT;
	int left = 1000, one = 1;
	sw_rc rc = sw_pg_query(pg, arg, 1, print_value, &left, err);

	if (sw_pg_query(pg, "SELECT 'still there'", 1, print_value, &one, &later) != SW_OK)
		printf("%s: %s\n", sw_rc_name(later.rc), later.text);
	return rc;
}

static int
run_action(int argc, char **argv)
{
	static const struct {
		const char *name;
		sw_rc (*run)(struct sw_pg *pg, const char *arg, struct sw_error *err);
	} actions[] = {
		{"facts", do_facts},   {"setting", do_setting}, {"lsn", do_lsn},
		{"switch", do_switch}, {"backup", do_backup},   {"slow-backup", do_slow_backup},
		{"query", do_query},
	};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_pg *pg = NULL;
	sw_rc rc;

	sw_interrupt_catch();
	rc = connect_with(argc - 3, argv + 3, &pg, &err);
	for (size_t i = 0; rc == SW_OK && i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(actions[i].name, argv[1]) == 0)
			rc = actions[i].run(pg, argv[2], &err);
	sw_pg_close(pg);
	if (rc != SW_OK)
		printf("failed=%s\nerror=%s\nhint=%s\n", sw_rc_name(rc), err.text, err.hint);
	return rc == SW_OK ? 0 : 1;
}

/* --- servers that say strange things --------------------------------------------------- */

static int listener = -1;
static char port_option[32];

static bool
make_listener(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 5) != 0 ||
		getsockname(listener, (struct sockaddr *)&address, &len) != 0)
		return false;
	snprintf(port_option, sizeof(port_option), "--pg-port=%d", ntohs(address.sin_port));
	return true;
}

static sw_rc
connect_here(struct sw_error *err)
{
	char host[] = "--pg-host=127.0.0.1", user[] = "--pg-user=someone";
	char *argv[] = {host, user, port_option, NULL};
	struct sw_pg *pg = NULL;
	sw_rc rc = connect_with(3, argv, &pg, err);

	sw_pg_close(pg);
	return rc;
}

/* Answer one start-up packet with these bytes, then hang up. */
static pid_t
answer(const void *data, size_t len)
{
	pid_t pid = fork();
	char packet[1024];
	int fd;

	if (pid != 0)
		return pid;
	alarm(20);
	fd = accept(listener, NULL, NULL);
	if (read(fd, packet, sizeof(packet)) > 0 && write(fd, data, len) == (ssize_t)len)
		shutdown(fd, SHUT_WR);
	while (read(fd, packet, sizeof(packet)) > 0)
		;
	_exit(0);
}

/* A message: type, length, then fields that end in NUL. */
static size_t
put_message(uint8_t *p, char type, const void *body, size_t len)
{
	uint32_t total = htonl((uint32_t)len + 4);

	p[0] = (uint8_t)type;
	memcpy(p + 1, &total, 4);
	memcpy(p + 5, body, len);
	return len + 5;
}

static void
test_refusals(void)
{
	static const struct {
		const char *state, *severity;
		sw_rc rc;
	} cases[] = {
		{"28P01", "FATAL", SW_DENIED},       {"28000", "FATAL", SW_DENIED},
		{"42501", "FATAL", SW_DENIED},       {"57P03", "FATAL", SW_TRANSIENT},
		{"57P03", "SCHWERWIEGEND", SW_TRANSIENT}, {"53300", "FATAL", SW_TRANSIENT},
		{"3D000", "FATAL", SW_CONFIG},       {"XX000", "FATAL", SW_SYSTEM},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sw_error err = SW_ERROR_INIT;
		uint8_t message[256], body[200] = {0};
		size_t len;
		pid_t pid;

		len = (size_t)snprintf((char *)body, sizeof(body),
			"S%s%cVFATAL%cC%s%cMno way: really%cFauth.c%cL331%cRauth_failed%c", cases[i].severity, 0,
			0, cases[i].state, 0, 0, 0, 0, 0) + 1;
		pid = answer(message, put_message(message, 'E', body, len));
		tap_is_int(connect_here(&err), cases[i].rc, "refused with %s %s", cases[i].severity,
			cases[i].state);
		tap_ok(strstr(err.text, "no way: really") != NULL && strstr(err.text, cases[i].state) == NULL &&
			strstr(err.text, "LOCATION") == NULL, "in words: %s", err.text);
		waitpid(pid, NULL, 0);
	}
}

static void
test_strangers(void)
{
	static const char http[] = "HTTP/1.0 400 Bad Request\r\n\r\n";
	static const char auth_ok[4] = {0}, version[] = "server_version\00013.9", idle[] = "I";
	struct sw_error err = SW_ERROR_INIT;
	uint8_t message[256];
	size_t len = 0;
	pid_t pid = answer(http, sizeof(http) - 1);

	tap_is_int(connect_here(&err), SW_TRANSIENT, "no PostgreSQL: %s", err.text);
	waitpid(pid, NULL, 0);
	pid = answer("", 0);
	tap_is_int(connect_here(&err), SW_TRANSIENT, "one that hangs up: %s", err.text);
	waitpid(pid, NULL, 0);

	len += put_message(message + len, 'R', auth_ok, sizeof(auth_ok));
	len += put_message(message + len, 'S', version, sizeof(version));
	len += put_message(message + len, 'Z', idle, 1);
	pid = answer(message, len);
	tap_is_int(connect_here(&err), SW_CONFIG, "PostgreSQL 13");
	tap_is(err.text, "the server is PostgreSQL 13; Seawall needs 14 or later", "is too old");
	waitpid(pid, NULL, 0);
}

static void
test_nobody(void)
{
	char host[] = "--pg-host=/nonexistent", port[] = "--pg-port=1";
	char *argv[] = {host, port, NULL};
	struct sw_error err = SW_ERROR_INIT;
	struct sw_pg *pg = NULL;

	tap_is_int(connect_with(2, argv, &pg, &err), SW_TRANSIENT, "no server at all");
	tap_ok(strstr(err.text, "/nonexistent") != NULL && strchr(err.text, '\n') == NULL, "one line that says where: %s",
		err.text);
	tap_ok(strstr(err.hint, "pg-host") != NULL, "and a hint: %s", err.hint);
	tap_ok(pg == NULL, "and no connection");
	setenv("PGSSLMODE", "nonsense", 1);
	tap_is_int(connect_with(2, argv, &pg, &err), SW_CONFIG, "nonsense in libpq's environment: %s", err.text);
	setenv("PGSSLMODE", "disable", 1);
}

static void
test_silence(void)
{
	struct sw_error err = SW_ERROR_INIT;
	int64_t start = sw_clock_monotonic_ms();
	pid_t pid;

	setenv("PGCONNECT_TIMEOUT", "2", 1);
	tap_is_int(connect_here(&err), SW_TRANSIENT, "a server that never answers: %s", err.text);
	tap_ok(sw_clock_monotonic_ms() - start < 10000, "is given up after connect_timeout");

	unsetenv("PGCONNECT_TIMEOUT");
	sw_interrupt_catch();
	pid = fork();
	if (pid == 0) {
		usleep(300000);
		kill(getppid(), SIGTERM);
		_exit(0);
	}
	start = sw_clock_monotonic_ms();
	tap_is_int(connect_here(&err), SW_SYSTEM, "a signal ends the wait");
	tap_is(err.text, "stopped by SIGTERM", "and is named");
	tap_ok(sw_clock_monotonic_ms() - start < 5000, "at once");
	waitpid(pid, NULL, 0);
}

int
main(int argc, char **argv)
{
	unsetenv("SEAWALL_CONFIG");
	if (argc >= 3)
		return run_action(argc, argv);
	setenv("PGSSLMODE", "disable", 1);
	setenv("PGGSSENCMODE", "disable", 1);
	if (!tap_ok(make_listener(), "a listener"))
		return tap_done();
	test_nobody();
	test_refusals();
	test_strangers();
	test_silence();
	return tap_done();
}
