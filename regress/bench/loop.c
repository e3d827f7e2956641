/*
 * loop - PostgreSQL's archiver, or its startup process, without PostgreSQL: one command after another.
 *
 *   loop [-p MS] -o FILE archive DIRECTORY COMMAND
 *   loop [-p MS] -o FILE recover DIRECTORY COMMAND ORIGINALS SEGMENT...
 *   loop -o FILE repeat DIRECTORY COMMAND COUNT
 *
 * archive runs COMMAND for each file that pg_wal/archive_status of the data directory has as .ready, in order, and makes
 * the .ready a .done (pgarch.c).  recover runs it for each SEGMENT, with pg_wal/RECOVERYXLOG as %p, and has the file durably
 * take its name (KeepFileRestoredFromArchive in xlogarchive.c); its replay is to read it once and to see by a hash that it is
 * what ORIGINALS has, and the file goes then.  It stands as the postmaster in postmaster.pid, and removes that at the end.
 * Like PostgreSQL both use sh -c and %p, %f.  -p: a pause behind each command.
 *
 * FILE gets one line: microseconds from the first command's start to the last one's end (without pauses), user
 * and system microseconds of all commands and what they left behind, which is waited for, peak resident KiB of the largest of
 * these processes; then one line for each command: its microseconds.
 * A command that fails ends it with status 1.
 */
#include <err.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define CALLS_MAX 4096
#define NAME_SIZE 64
#define TARGET "pg_wal/RECOVERYXLOG"

extern char **environ;

static const char *command;
static unsigned pause_ms;
static int64_t calls[CALLS_MAX], paused_us;
static XXH64_hash_t hashes[CALLS_MAX]; /* of what is to be restored */
static unsigned call_count;

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
build_command(char *out, size_t size, const char *file, const char *path)
{
	size_t used = 0;

	for (const char *p = command; *p != '\0' && used + 1 < size; p++) {
		const char *word = p[0] != '%' ? NULL : p[1] == 'f' ? file : p[1] == 'p' ? path : NULL;

		if (word == NULL) {
			out[used++] = *p;
			continue;
		}
		used += (size_t)snprintf(out + used, size - used, "%s", word);
		p++;
	}
	if (used + 1 >= size)
		errx(2, "the command is too long");
	out[used] = '\0';
}

static void
run_command(const char *file, const char *path)
{
	char text[4096];
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, text, NULL};
	int64_t start;
	int status;
	pid_t pid, ended;

	build_command(text, sizeof(text), file, path);
	if (call_count == CALLS_MAX)
		errx(2, "too many commands");
	start = now_us();
	errno = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
	if (errno != 0)
		err(2, "running sh");
	/* what earlier commands left behind ends here, too */
	while ((ended = wait(&status)) != pid)
		if (ended < 0 && errno != EINTR)
			err(2, "waiting");
	calls[call_count++] = now_us() - start;
	if (status != 0)
		errx(1, "status %d: %s", status, text);
}

static void
take_pause(void)
{
	int64_t start = now_us();

	if (pause_ms > 0)
		usleep(pause_ms * 1000);
	paused_us += now_us() - start;
}

/* --- the archiver ------------------------------------------------------------------------ */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static size_t
list_ready(char (*names)[NAME_SIZE])
{
	DIR *dir = opendir("pg_wal/archive_status");
	const struct dirent *entry;
	size_t count = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (len <= 6 || len - 6 >= NAME_SIZE || count == CALLS_MAX || strcmp(entry->d_name + len - 6, ".ready") != 0)
			continue;
		memcpy(names[count], entry->d_name, len - 6);
		names[count++][len - 6] = '\0';
	}
	if (dir == NULL)
		err(2, "pg_wal/archive_status");
	closedir(dir);
	qsort(names, count, NAME_SIZE, compare_names);
	return count;
}

static void
archive(void)
{
	static char names[CALLS_MAX][NAME_SIZE];
	size_t count = list_ready(names);

	for (size_t i = 0; i < count; i++) {
		char path[128], ready[128], done[128];

		snprintf(path, sizeof(path), "pg_wal/%s", names[i]);
		snprintf(ready, sizeof(ready), "pg_wal/archive_status/%s.ready", names[i]);
		snprintf(done, sizeof(done), "pg_wal/archive_status/%s.done", names[i]);
		run_command(names[i], path);
		if (rename(ready, done) != 0)
			err(2, "%s", ready);
		take_pause();
	}
}

/* --- the startup process ------------------------------------------------------------------- */

static void
sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0 || close(fd) != 0)
		err(2, "fsync of %s", path);
}

static XXH64_hash_t
hash_of(const char *path)
{
	static char buf[1 << 18];
	XXH3_state_t state;
	ssize_t len;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	XXH3_INITSTATE(&state);
	XXH3_64bits_reset(&state);
	while (fd >= 0 && (len = read(fd, buf, sizeof(buf))) > 0)
		XXH3_64bits_update(&state, buf, (size_t)len);
	if (fd < 0 || len < 0)
		err(2, "reading %s", path);
	close(fd);
	return XXH3_64bits_digest(&state);
}

/* What the segments are, before the clock starts. */
static void
prepare_recovery(const char *originals, char **segments)
{
	FILE *pid = fopen("postmaster.pid", "we");
	char path[4096];

	if (pid == NULL || fprintf(pid, "%d\n", (int)getpid()) < 0 || fclose(pid) != 0)
		err(2, "postmaster.pid");
	for (unsigned i = 0; segments[i] != NULL; i++) {
		if (i == CALLS_MAX)
			errx(2, "too many segments");
		snprintf(path, sizeof(path), "%s/%s", originals, segments[i]);
		hashes[i] = hash_of(path);
	}
}

static void
recover(char **segments)
{
	for (unsigned i = 0; segments[i] != NULL; i++) {
		char path[128];

		snprintf(path, sizeof(path), "pg_wal/%s", segments[i]);
		run_command(segments[i], TARGET);
		sync_path(TARGET);
		if (rename(TARGET, path) != 0)
			err(2, "%s", path);
		sync_path(path);
		sync_path("pg_wal");
		if (hash_of(path) != hashes[i])
			errx(2, "%s was not restored as it was", segments[i]);
		if (unlink(path) != 0)
			err(2, "%s", path);
		take_pause();
	}
}

/* --- the figures ------------------------------------------------------------------------------ */

static int64_t
time_us(struct timeval time)
{
	return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static void
write_figures(const char *file, int64_t wall_us)
{
	FILE *out = fopen(file, "we");
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	if (out == NULL)
		err(2, "%s", file);
	fprintf(out, "%jd %jd %jd %ld\n", (intmax_t)wall_us, (intmax_t)time_us(usage.ru_utime),
		(intmax_t)time_us(usage.ru_stime), usage.ru_maxrss);
	for (unsigned i = 0; i < call_count; i++)
		fprintf(out, "%jd\n", (intmax_t)calls[i]);
	if (fclose(out) != 0)
		err(2, "%s", file);
}

static int64_t
run(char **argv)
{
	bool recovery = strcmp(argv[0], "recover") == 0 && argv[3] != NULL;
	int64_t start;

	if (recovery)
		prepare_recovery(argv[3], argv + 4);
	start = now_us();
	if (recovery)
		recover(argv + 4);
	else if (strcmp(argv[0], "archive") == 0)
		archive();
	else if (strcmp(argv[0], "repeat") == 0 && argv[3] != NULL)
		for (int i = atoi(argv[3]); i > 0; i--)
			run_command("", "");
	else
		errx(2, "archive, recover or repeat");
	return now_us() - start - paused_us;
}

int
main(int argc, char **argv)
{
	const char *file = NULL;
	int64_t wall_us;
	int option;

	while ((option = getopt(argc, argv, "+o:p:")) != -1) {
		switch (option) {
		case 'o': file = optarg; break;
		case 'p': pause_ms = (unsigned)atoi(optarg); break;
		default: return 2;
		}
	}
	if (argc - optind < 3 || file == NULL)
		errx(2, "usage: loop [-p MS] -o FILE archive|recover|repeat DIRECTORY COMMAND [...]");
	if (chdir(argv[optind + 1]) != 0)
		err(2, "%s", argv[optind + 1]);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		err(2, "prctl");
	command = argv[optind + 2];
	wall_us = run(argv + optind);
	unlink("postmaster.pid");
	while (wait(NULL) > 0 || errno == EINTR)
		;
	write_figures(file, wall_us);
	return 0;
}
