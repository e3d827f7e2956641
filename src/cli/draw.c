#include "cli/draw.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define WIDTH_MIN 40
#define WIDTH_MAX 400
#define LABEL_WIDTH 14 /* "timeline 1234 " */

enum cell { NOTHING, WAL, WINDOW, POINT, BACKUP, FORK, CHILD, GAP, CELLS };

static const struct {
	const char *utf8, *ascii, *what;
} cells[CELLS] = {
	[NOTHING] = {" ", " ", NULL},
	[WAL] = {"┄", ".", "WAL that no backup reaches"},
	[WINDOW] = {"━", "=", "can be recovered"},
	[POINT] = {"◆", "*", "restore point"},
	[BACKUP] = {"■", "B", "backup"},
	[FORK] = {"┳", "+", "fork"},
	[CHILD] = {"┗", "`", NULL},
	[GAP] = {"╳", "X", "gap"},
};

struct picture {
	const struct sw_draw *draw;
	bool by_time;
	double from, to;
	size_t columns;
	uint8_t *row;
	bool used[CELLS];
};

unsigned
sw_draw_width(void)
{
	const char *text = getenv("COLUMNS");
	struct winsize size;
	long width = text != NULL ? strtol(text, NULL, 10) : 0;

	if (width <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	if (width <= 0)
		width = 80;
	return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : (unsigned)width;
}

bool
sw_draw_utf8(void)
{
	/* without setlocale, which would change what libraries say */
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool utf8;

	if (locale == (locale_t)0)
		return false;
	utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
	freelocale(locale);
	return utf8;
}

/* --- the scale --------------------------------------------------------------------- */

static void
widen(struct picture *p, int64_t time_us, sw_lsn lsn)
{
	double value = p->by_time ? (double)time_us : (double)lsn;

	if (p->by_time && time_us == 0)
		return;
	if (p->to < p->from)
		p->from = p->to = value;
	p->from = value < p->from ? value : p->from;
	p->to = value > p->to ? value : p->to;
}

static void
find_scale(struct picture *p, bool by_time)
{
	const struct sw_windows *w = p->draw->windows;
	const struct sw_inventory *inventory = p->draw->inventory;

	p->by_time = by_time;
	p->from = 1;
	p->to = 0;
	for (size_t i = 0; i < w->wal_count; i++) {
		widen(p, w->wal[i].begin_us, w->wal[i].first * p->draw->segment_size);
		widen(p, w->wal[i].end_us, w->wal[i].end);
	}
	for (size_t i = 0; i < w->window_count; i++) {
		widen(p, w->windows[i].begin_us, w->windows[i].begin);
		widen(p, w->windows[i].end_us, w->windows[i].end);
	}
	for (size_t i = 0; i < inventory->backup_count; i++)
		if (inventory->backups[i].reason == NULL)
			widen(p, inventory->backups[i].header.finished_us, inventory->backups[i].header.stop);
}

static void
clip_scale(struct picture *p)
{
	if (p->by_time && p->from < (double)p->draw->since_us)
		p->from = (double)p->draw->since_us;
	if (p->by_time && p->to > (double)p->draw->until_us)
		p->to = (double)p->draw->until_us;
}

/* False: it lies outside. */
static bool
column(const struct picture *p, int64_t time_us, sw_lsn lsn, size_t *ret_column)
{
	double value = p->by_time ? (double)time_us : (double)lsn;

	if ((p->by_time && time_us == 0) || value < p->from || value > p->to)
		return false;
	*ret_column = p->to > p->from ? (size_t)((value - p->from) / (p->to - p->from) * (double)(p->columns - 1)) : 0;
	return true;
}

/* --- one row ----------------------------------------------------------------------- */

static void
mark(struct picture *p, int64_t time_us, sw_lsn lsn, enum cell cell)
{
	size_t at;

	if (column(p, time_us, lsn, &at))
		p->row[at] = (uint8_t)cell;
}

static void
fill(struct picture *p, int64_t begin_us, int64_t end_us, sw_lsn begin, sw_lsn end, enum cell cell)
{
	double first = p->by_time ? (double)begin_us : (double)begin, last = p->by_time ? (double)end_us : (double)end;
	double scale = p->to > p->from ? (double)(p->columns - 1) / (p->to - p->from) : 0;

	if (p->by_time && (begin_us == 0 || end_us == 0))
		return;
	first = first < p->from ? p->from : first;
	last = last > p->to ? p->to : last;
	if (last < first)
		return;
	for (size_t at = (size_t)((first - p->from) * scale); at <= (size_t)((last - p->from) * scale); at++)
		p->row[at] = (uint8_t)cell;
}

/* Between its neighbours; where they touch, on one of them that is nothing else, if it can be. */
static void
fill_gap(struct picture *p, const struct sw_window_gap *gap)
{
	int64_t begin_us = gap->begin_us != 0 ? gap->begin_us : gap->end_us, end_us = gap->end_us != 0 ? gap->end_us : begin_us;
	size_t first, last;

	if (!column(p, begin_us, gap->first * p->draw->segment_size, &first) ||
		!column(p, end_us, (gap->last + 1) * p->draw->segment_size, &last))
		return;
	if (last <= first + 1)
		p->row[p->row[last] <= WINDOW || p->row[first] > WINDOW ? last : first] = GAP;
	for (size_t at = first + 1; at < last; at++)
		p->row[at] = GAP;
}

/* A window from fork to fork, where nothing was committed just before. */
static void
fill_window(struct picture *p, const struct sw_window *window)
{
	const struct sw_windows *w = p->draw->windows;
	int64_t begin_us = window->begin_us, end_us = window->end_us;
	sw_lsn end = window->end;

	for (size_t i = 0; i < w->fork_count; i++) {
		const struct sw_window_fork *fork = &w->forks[i];

		if (fork->child == window->timeline && fork->lsn == window->begin && fork->time_us > begin_us)
			begin_us = fork->time_us;
		if (fork->parent != window->timeline || fork->time_us <= end_us || fork->lsn < window->end || !window->open ||
			sw_windows_at(w, fork->child, fork->lsn) == NULL)
			continue;
		end_us = fork->time_us;
		end = fork->lsn;
	}
	fill(p, begin_us, end_us > begin_us ? end_us : begin_us, window->begin, end, WINDOW);
}

static void
fill_row(struct picture *p, uint32_t timeline)
{
	const struct sw_windows *w = p->draw->windows;
	const struct sw_inventory *inventory = p->draw->inventory;
	size_t at;

	memset(p->row, NOTHING, p->columns);
	for (size_t i = 0; i < w->wal_count; i++)
		if (w->wal[i].timeline == timeline)
			fill(p, w->wal[i].begin_us, w->wal[i].end_us, w->wal[i].first * p->draw->segment_size, w->wal[i].end,
				WAL);
	/* a child's first segment tells its parent's times too */
	for (size_t i = 0; i < w->fork_count; i++)
		if (w->forks[i].child == timeline && column(p, w->forks[i].time_us, w->forks[i].lsn, &at))
			memset(p->row, NOTHING, at);
	for (size_t i = 0; i < w->window_count; i++)
		if (w->windows[i].timeline == timeline)
			fill_window(p, &w->windows[i]);
	for (size_t i = 0; i < w->point_count; i++)
		if (w->points[i].timeline == timeline)
			mark(p, w->points[i].point.time_us, w->points[i].point.lsn, POINT);
	for (size_t i = 0; i < inventory->backup_count; i++)
		if (inventory->backups[i].reason == NULL && inventory->backups[i].header.timeline == timeline)
			mark(p, inventory->backups[i].header.finished_us, inventory->backups[i].header.stop, BACKUP);
	for (size_t i = 0; i < w->fork_count; i++)
		if (w->forks[i].parent == timeline)
			mark(p, w->forks[i].time_us, w->forks[i].lsn, FORK);
	for (size_t i = 0; i < w->fork_count; i++)
		if (w->forks[i].child == timeline)
			mark(p, w->forks[i].time_us, w->forks[i].lsn, CHILD);
	for (size_t i = 0; i < w->gap_count; i++)
		if (w->gaps[i].timeline == timeline)
			fill_gap(p, &w->gaps[i]);
}

static void
print_row(struct picture *p, uint32_t timeline, FILE *out)
{
	char label[32];
	size_t end = p->columns;

	fill_row(p, timeline);
	while (end > 0 && p->row[end - 1] == NOTHING)
		end--;
	snprintf(label, sizeof(label), "timeline %u", timeline);
	fprintf(out, "%-*s", LABEL_WIDTH, label);
	for (size_t i = 0; i < end; i++) {
		fputs(p->draw->utf8 ? cells[p->row[i]].utf8 : cells[p->row[i]].ascii, out);
		p->used[p->row[i]] = true;
	}
	fputc('\n', out);
}

/* --- the whole --------------------------------------------------------------------- */

static const char *
scale_text(const struct picture *p, double value, char buf[SW_CLOCK_ISO_LEN])
{
	if (!p->by_time)
		return sw_lsn_format((sw_lsn)value, buf);
	sw_clock_iso((int64_t)value, buf);
	buf[10] = ' ';
	strcpy(buf + 19, "Z");
	return buf;
}

static void
print_scale(const struct picture *p, FILE *out)
{
	char from[SW_CLOCK_ISO_LEN], to[SW_CLOCK_ISO_LEN];

	scale_text(p, p->from, from);
	scale_text(p, p->to, to);
	if (p->columns >= strlen(from) + strlen(to) + 2)
		fprintf(out, "%*s%s%*s\n", LABEL_WIDTH, "", from, (int)(p->columns - strlen(from)), to);
	else
		fprintf(out, "%*s%s\n", LABEL_WIDTH, "", from);
}

static void
print_legend(const struct picture *p, FILE *out)
{
	size_t column = 0;

	for (size_t i = 0; i < CELLS; i++) {
		size_t len = cells[i].what == NULL ? 0 : strlen(cells[i].what) + 4;

		if (!p->used[i] || len == 0)
			continue;
		if (column > 0 && column + len > p->draw->width) {
			fputc('\n', out);
			column = 0;
		}
		fprintf(out, "%*s%s %s", column > 0 ? 2 : LABEL_WIDTH, "", p->draw->utf8 ? cells[i].utf8 : cells[i].ascii,
			cells[i].what);
		column = (column > 0 ? column : LABEL_WIDTH) + len;
	}
	fputc('\n', out);
}

static int
compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Timelines that have something to draw, each once; ret_timelines: room for all. */
static size_t
list_timelines(const struct sw_draw *draw, uint32_t *ret_timelines)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < draw->windows->wal_count; i++)
		ret_timelines[count++] = draw->windows->wal[i].timeline;
	for (size_t i = 0; i < draw->windows->window_count; i++)
		ret_timelines[count++] = draw->windows->windows[i].timeline;
	for (size_t i = 0; i < draw->inventory->backup_count; i++)
		if (draw->inventory->backups[i].reason == NULL)
			ret_timelines[count++] = draw->inventory->backups[i].header.timeline;
	if (count == 0)
		return 0;
	qsort(ret_timelines, count, sizeof(*ret_timelines), compare_u32);
	for (size_t i = 1; i < count; i++)
		if (ret_timelines[i] != ret_timelines[kept])
			ret_timelines[++kept] = ret_timelines[i];
	return kept + 1;
}

sw_rc
sw_draw(const struct sw_draw *draw, FILE *out, struct sw_error *err)
{
	size_t most = draw->windows->wal_count + draw->windows->window_count + draw->inventory->backup_count, count, first;
	SW_AUTO_FREE uint32_t *timelines = calloc(most + 1, sizeof(*timelines));
	SW_AUTO_FREE uint8_t *row = calloc(1, WIDTH_MAX);
	struct picture p = {.draw = draw, .columns = draw->width - LABEL_WIDTH - 1, .row = row};

	if (timelines == NULL || row == NULL)
		return sw_fail(err, SW_SYSTEM, "out of memory");
	count = list_timelines(draw, timelines);
	find_scale(&p, true);
	if (p.to <= p.from)
		find_scale(&p, false);
	clip_scale(&p);
	if (count == 0 || p.to < p.from)
		return SW_OK;
	first = draw->rows_max != 0 && count > draw->rows_max ? count - draw->rows_max : 0;
	fputc('\n', out);
	if (first > 0)
		fprintf(out, "%zu older timeline%s not drawn\n", first, first == 1 ? " is" : "s are");
	for (size_t i = first; i < count; i++)
		print_row(&p, timelines[i], out);
	print_scale(&p, out);
	print_legend(&p, out);
	return SW_OK;
}
