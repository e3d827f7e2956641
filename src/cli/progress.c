#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LINE_INTERVAL_MS 500
#define LOG_INTERVAL_MS 10000
#define SAMPLE_MS 1000
#define SMOOTHING 0.15

char *
sw_progress_size(uint64_t bytes, char buf[SW_PROGRESS_SIZE_LEN])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 999.5; unit++)
		value /= 1024;
	snprintf(buf, SW_PROGRESS_SIZE_LEN, unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value,
		units[unit]);
	return buf;
}

char *
sw_progress_time(int64_t seconds, char buf[SW_PROGRESS_TIME_LEN])
{
	long long s = seconds < 0 ? 0 : seconds;

	if (s < 60)
		snprintf(buf, SW_PROGRESS_TIME_LEN, "%llds", s);
	else if (s < 3600)
		snprintf(buf, SW_PROGRESS_TIME_LEN, "%lldmin %llds", s / 60, s % 60);
	else
		snprintf(buf, SW_PROGRESS_TIME_LEN, "%lldh %lldmin", s / 3600, s / 60 % 60);
	return buf;
}

void
sw_progress_init(struct sw_progress *p, const struct sw_config *config, const char *what)
{
	static const int modes[] = {SW_PROGRESS_LOG, SW_PROGRESS_LINE, SW_PROGRESS_OFF};
	unsigned when = sw_config_enum(config, SW_OPT_PROGRESS);
	int64_t now = sw_clock_monotonic_ms();

	*p = (struct sw_progress){.what = what, .started_ms = now, .shown_ms = now, .sample_ms = now};
	p->mode = modes[when];
	if (when == 0 && isatty(STDERR_FILENO))
		p->mode = SW_PROGRESS_LINE;
}

static void
measure(struct sw_progress *p, uint64_t done, int64_t now)
{
	double rate;

	if (now - p->sample_ms < SAMPLE_MS && p->rate > 0)
		return;
	if (now == p->sample_ms)
		return;
	rate = done < p->sample_done ? 0 :
		(double)(done - p->sample_done) * 1000 / (double)(now - p->sample_ms);
	p->rate = p->rate > 0 ? p->rate + SMOOTHING * (rate - p->rate) : rate;
	p->sample_ms = now;
	p->sample_done = done;
}

void
sw_progress_show(struct sw_progress *p, uint64_t done, uint64_t total)
{
	int64_t now = sw_clock_monotonic_ms();
	char text[160], a[SW_PROGRESS_SIZE_LEN], b[SW_PROGRESS_SIZE_LEN], c[SW_PROGRESS_SIZE_LEN];
	char left[SW_PROGRESS_TIME_LEN] = "?";

	if (p->mode == SW_PROGRESS_OFF)
		return;
	measure(p, done, now);
	if (now - p->shown_ms < (p->mode == SW_PROGRESS_LINE ? LINE_INTERVAL_MS : LOG_INTERVAL_MS))
		return;
	p->shown_ms = now;
	if (total < done)
		total = done;
	if (p->rate >= 1)
		sw_progress_time((int64_t)((double)(total - done) / p->rate), left);
	snprintf(text, sizeof(text), "%s: %s of %s (%.0f%%), %s/s, %s left", p->what,
		sw_progress_size(done, a), sw_progress_size(total, b),
		total == 0 ? 100.0 : 100.0 * (double)done / (double)total,
		sw_progress_size((uint64_t)p->rate, c), left);
	if (p->mode == SW_PROGRESS_LOG) {
		sw_log(SW_LOG_INFO, "%s", text);
		return;
	}
	fprintf(stderr, "\r%s\033[K", text);
	fflush(stderr);
	p->line_open = true;
}

void
sw_progress_end(struct sw_progress *p)
{
	if (p->line_open)
		fputs("\r\033[K", stderr);
	p->line_open = false;
}
