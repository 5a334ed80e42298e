/* SPDX-License-Identifier: MIT
 *
 * The overview: title, meters, alarm, and the findings as a table. Knows: what the first glance
 * must answer. Does not know: where a row comes from.
 */
#include "view.h"

#include <string.h>

/* "mptop " and the gap before mpd's state. */
#define TITLE_CELLS 8
#define ENDPOINT_CELLS_MIN 10

#define ROW(pointer) ((const struct finding *)(pointer))

static void add_engines(const struct model *model, struct text *text)
{
	if (model->sleeps_uring && model->sleeps_futex)
		text_add(text, "uring+futex");
	else if (model->sleeps_uring || model->sleeps_futex)
		text_add(text, model->sleeps_uring ? "uring" : "futex");
	else
		text_add(text, "-");
}

static void add_mpd(const struct model *model, struct text *text)
{
	const struct mp_endpoint_info *info = &model->info;

	if (info->is_mpd_alive) {
		text_add(text, "mpd %s (%s) up ", info->mpd_version, info->mpd_engine);
		format_age(text, info->mpd_age_ns);
		if (info->mpd_restarts) {
			text_add(text, ", ");
			format_count(text, info->mpd_restarts, "restart");
		}
	} else if (info->is_file) {
		text_add(text, "saved");
	} else {
		/* Without segments mpd leaves by itself. */
		text_add(text, model->segment_count ? "mpd DEAD" : "no mpd");
	}
	text_add(text, "  wake:");
	add_engines(model, text);
}

void overview_title(const struct show *show, unsigned cells, struct text *text)
{
	const char *endpoint = show->model->info.endpoint;
	size_t length = strlen(endpoint), room;
	struct text mpd = { 0 };

	add_mpd(show->model, &mpd);
	room = cells > mpd.used + TITLE_CELLS ? cells - mpd.used - TITLE_CELLS : 0;
	room = room < ENDPOINT_CELLS_MIN ? ENDPOINT_CELLS_MIN : room;
	if (length <= room)
		text_add(text, "mptop %s  %s", endpoint, mpd.bytes);
	else
		text_add(text, "mptop ..%s  %s", endpoint + length - room + 2, mpd.bytes);
}

static void meter_processes(const struct show *show, unsigned cells, struct text *text)
{
	const struct model *model = show->model;
	unsigned bar = cells > 70 ? 10 : 4;

	text_add(text, "Procs %3u run %u blocked %u stuck %u dead %u", model->people_count,
		 model->people_count - model->blocked_count, model->blocked_count,
		 model->stuck_count, model->dead_count);
	text_add(text, "   Mem ");
	format_bar(text, show->glyphs, bar, (double)model->used_bytes, (double)model->size_bytes);
	text_add(text, " ");
	format_bytes(text, model->used_bytes);
	text_add(text, "/");
	format_bytes(text, model->size_bytes);
	text_add(text, " %u segs", model->segment_count);
}

static unsigned history_cells(unsigned cells)
{
	return cells > 52 ? cells - 52 : 0;
}

static void meter_locks(const struct show *show, unsigned cells, struct text *text)
{
	const struct model *model = show->model;

	text_add(text, "Locks %3u held %u contended %u   put ", model->lock_count,
		 model->held_count, model->contended_count);
	format_quantity(text, model->puts_per_s);
	text_add(text, "/s get ");
	format_quantity(text, model->gets_per_s);
	text_add(text, "/s ");
	format_history(text, show->glyphs, history_cells(cells), model->put_history,
		       model->history_count);
}

static void meter_queues(const struct show *show, unsigned cells, struct text *text)
{
	const struct model *model = show->model;

	text_add(text, "Queues %2u full %u idle %u   sleep ", model->queue_count,
		 model->full_count, model->idle_count);
	format_quantity(text, model->sleeps_per_s);
	text_add(text, "/s uring ");
	format_quantity(text, (double)model->sleeps_uring);
	text_add(text, " futex ");
	format_quantity(text, (double)model->sleeps_futex);
	text_add(text, " ");
	/* How they sleep is worth more than how often: what is to be changed stands there. */
	if (model->engine_reason[0])
		text_add(text, "why futex: %s", model->engine_reason);
	else
		format_history(text, show->glyphs, history_cells(cells), model->sleep_history,
			       model->history_count);
}

void overview_meter(const struct show *show, unsigned line, unsigned cells, struct text *text)
{
	static void (*const meters[OVERVIEW_METERS])(const struct show *, unsigned,
						     struct text *) = {
		meter_processes, meter_locks, meter_queues
	};

	meters[line](show, cells, text);
}

void overview_alarm(const struct show *show, struct text *text)
{
	const struct model *model = show->model;
	const struct mp_observed_cycle *oldest = NULL;
	const struct mp_snapshot *where = NULL;

	for (unsigned i = 0; i < model->segment_count; i++) {
		const struct mp_snapshot *snapshot = model->segments[i].snapshot;

		for (uint32_t j = 0; snapshot && j < snapshot->cycle_count; j++) {
			if (oldest && oldest->age_ns >= snapshot->cycles[j].age_ns)
				continue;
			oldest = &snapshot->cycles[j];
			where = snapshot;
		}
	}
	if (!oldest)
		return;
	text_add(text, "DEADLOCK ");
	format_age(text, oldest->age_ns);
	text_add(text, "  ");
	snapshot_add_cycle(text, where, oldest, show->glyphs->arrow);
}

static void cell_severity(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", severity_name(ROW(row)->severity));
}

static int compare_severity(const void *a, const void *b)
{
	return COMPARE(ROW(a)->severity, ROW(b)->severity);
}

static void cell_age(const struct show *show, const void *row, struct text *text)
{
	format_age(text, ROW(row)->age_ns);
}

static int compare_age(const void *a, const void *b)
{
	return COMPARE(ROW(a)->age_ns, ROW(b)->age_ns);
}

static void cell_object(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->object);
}

static void cell_kind(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->kind);
}

static void cell_what(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->what);
}

static void cell_who(const struct show *show, const void *row, struct text *text)
{
	text_add(text, "%s", ROW(row)->who);
}

static const struct column columns[] = {
	{ "SEV", 4, 1, false, false, cell_severity, compare_severity },
	{ "AGE", 5, 2, true, false, cell_age, compare_age },
	{ "OBJECT", 12, 0, false, true, cell_object, NULL },
	{ "KIND", 7, 4, false, false, cell_kind, NULL },
	{ "WHAT", 24, 0, false, true, cell_what, NULL },
	{ "WHO", 12, 3, false, true, cell_who, NULL },
};

static const void *rows(const struct model *model, unsigned *ret_count)
{
	*ret_count = model->finding_count;
	return model->findings;
}

static enum severity severity(const void *row)
{
	return ROW(row)->severity;
}

static int compare(const void *a, const void *b)
{
	return -compare_age(a, b);
}

static void describe(const struct show *show, const void *row, struct text *text)
{
	const struct finding *finding = row;

	text_add(text, "%s %s: %s", finding->kind, finding->object, finding->what);
	if (strcmp(finding->who, "-") != 0)
		text_add(text, "; %s", finding->who);
}

const struct view view_overview = {
	.name = "overview", .title = "Overview", .empty = "nothing is wrong",
	.columns = columns, .column_count = sizeof(columns) / sizeof(columns[0]),
	.row_bytes = sizeof(struct finding), .rows = rows, .severity = severity,
	.compare = compare, .describe = describe,
};
