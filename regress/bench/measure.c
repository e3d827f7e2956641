/*
 * measure - run one command and write down what it cost.
 *
 *   measure [-C DIR] -o FILE -- PROGRAM [ARGUMENT...]
 *
 * FILE gets one line: wall-clock microseconds, user and system CPU microseconds of the command and
 * of everything it started, peak resident KiB of the largest of those processes, exit status.
 * Wall-clock time ends with the command itself; descendants that outlive it are waited for
 * afterwards, so that their CPU time counts.
 * The exit status is 0 if the command ran, whatever its own, and 2 if it did not.
 */
#include <err.h>
#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t
now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t
time_us(struct timeval time)
{
	return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static void
run(char **argv, FILE *out)
{
	pid_t pid;
	int status, ignored;
	struct rusage usage;
	int64_t start = now_us();
	int rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (rc != 0) {
		errno = rc;
		err(2, "running %s", argv[0]);
	}
	pid_t ended;
	while ((ended = wait(&status)) != pid)
		if (ended < 0 && errno != EINTR)
			err(2, "waiting for %s", argv[0]);
	int64_t wall = now_us() - start;
	while (wait(&ignored) > 0 || errno == EINTR)
		;
	getrusage(RUSAGE_CHILDREN, &usage);
	fprintf(out, "%jd %jd %jd %ld %d\n", (intmax_t)wall, (intmax_t)time_us(usage.ru_utime),
		(intmax_t)time_us(usage.ru_stime), usage.ru_maxrss,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int
main(int argc, char **argv)
{
	const char *directory = NULL, *file = NULL;
	int option;
	while ((option = getopt(argc, argv, "+C:o:")) != -1) {
		switch (option) {
		case 'C': directory = optarg; break;
		case 'o': file = optarg; break;
		default: return 2;
		}
	}
	if (optind == argc || file == NULL)
		errx(2, "usage: measure [-C DIR] -o FILE -- PROGRAM [ARGUMENT...]");
	FILE *out = fopen(file, "we");
	if (out == NULL)
		err(2, "%s", file);
	if (directory != NULL && chdir(directory) != 0)
		err(2, "%s", directory);
	/* A helper that the command leaves behind becomes our child instead of init's. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		err(2, "prctl");
	run(argv + optind, out);
	if (fclose(out) != 0)
		err(2, "%s", file);
	return 0;
}
