/* SPDX-License-Identifier: MIT
 *
 * Target: mptop looks at a segment, or a file of one, with anything in it. Knows: the model, its
 * prints, what may reach a terminal. Does not know: what the bytes mean (scene.c).
 *
 * Two looks, between which the segment changes again: rates come from two. What is printed is valid
 * JSON, has no control character in it, and every index in it leads to a row.
 *
 * What is left of the input tells how the same segment becomes a file that somebody else has saved
 * (mptop --file), which is looked at in the same way.
 *
 * observe_find() of the library is replaced (--wrap): there is one segment, and no mpd to ask.
 */
#include "input.h"

#include "scene.h"

#include "mptop/print.h"
#include "mptop/view.h"
#include "observe_internal.h"
#include "tests/tui/json_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATCHES_MAX 24

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			broken(#condition);                                                        \
	} while (0)

static void broken(const char *what)
{
	fprintf(stderr, "observe: this does not hold: %s\n", what);
	abort();
}

int __wrap_observe_find(struct mp_observer *observer);

int __wrap_observe_find(struct mp_observer *observer)
{
	struct observe_segment *segment = calloc(1, sizeof *segment);

	if (!segment)
		return -1;
	if (observer->segment_count) {
		free(segment);
		return 0;
	}
	segment->fd = scene_fd();
	memcpy(segment->name, "fuzz", 5);
	observer->segments = segment;
	observer->segment_count = 1;
	observer->info.is_mpd_alive = 1;
	return 0;
}

/* Nothing that moves a cursor: no control characters, of one byte or two, and whole characters. */
static void check_text(const char *text, bool is_many_lines)
{
	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		must(*at >= 0x20 || (is_many_lines && *at == '\n'));
		must(*at != 0x7f);
		must(*at != 0xc2 || at[1] >= 0xa0);
	}
}

static void check_row(const struct view *view, const struct show *show, const void *row)
{
	struct text text = { 0 };

	view->describe(show, row, &text);
	check_text(text.bytes, false);
	for (unsigned i = 0; i < view->column_count; i++) {
		text_clear(&text);
		view->columns[i].cell(show, row, &text);
		check_text(text.bytes, false);
	}
}

/* As the screen orders them, by each column and through a filter. */
static void check_views(const struct model *model)
{
	struct show show = { model, &format_unicode };
	struct text text = { 0 };

	overview_alarm(&show, &text);
	check_text(text.bytes, false);
	for (unsigned i = 0; i < VIEW_COUNT; i++)
		for (int column = -1; column < (int)views[i]->column_count; column++) {
			unsigned count;
			const void **rows = view_order(views[i], &show, column < 0 ? NULL : "o",
						       column, column & 1, &count);

			for (unsigned j = 0; rows && j < count && column < 0; j++)
				check_row(views[i], &show, rows[j]);
			free(rows);
		}
}

static char *printed(const struct model *model, bool is_json)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	must(out);
	if (is_json)
		print_json(out, model);
	else
		print_text(out, model, -1);
	must(fclose(out) == 0 && strlen(text) == bytes);
	return text;
}

static void check_prints(const struct model *model)
{
	char *text = printed(model, true);

	must(json_is_valid(text));
	check_text(text, true);
	must(strchr(text, '\n') == text + strlen(text) - 1);
	free(text);
	text = printed(model, false);
	check_text(text, true);
	free(text);
}

/* Whoever shows a snapshot follows these without asking. */
static void check_snapshot(const struct mp_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->cycle_count; i++) {
		must(snapshot->cycles[i].length <= MP_CYCLE_MAX);
		must(snapshot->cycles[i].length >= 1);
		for (uint32_t j = 0; j < snapshot->cycles[i].length; j++)
			must(snapshot_thread(snapshot, snapshot->cycles[i].steps[j].thread));
	}
	must(snapshot->used_bytes <= snapshot->size_bytes);
	for (uint32_t i = 0; i < snapshot->thread_count; i++)
		must(snapshot->threads[i].held_count <= HELD_MAX);
}

/* The file is the segment as it was spoilt, with a trailer or without, cut off somewhere, or bytes
 * of the input alone. */
enum { FILE_HAS_TRAILER = 1, FILE_IS_CUT = 2, FILE_IS_BYTES = 4 };

static void write_file(int to, struct input *input, unsigned how)
{
	static uint8_t bytes[1 << 16];
	struct observe_trailer trailer = { .magic = TRAILER_MAGIC, .taken_ns = 1, .saved_ns = 1,
					   .name = "fuzz" };
	int from = scene_fd();
	ssize_t got;

	must(lseek(from, 0, SEEK_SET) == 0);
	while (!(how & FILE_IS_BYTES) && (got = read(from, bytes, sizeof bytes)) > 0)
		must(write(to, bytes, (size_t)got) == got);
	close(from);
	trailer.size_bytes = (uint64_t)lseek(to, 0, SEEK_END);
	for (unsigned i = input_u8(input) % 8; i > 0; i--)
		((uint8_t *)&trailer)[input_u8(input) % sizeof trailer] = (uint8_t)input_u8(input);
	if (how & FILE_HAS_TRAILER)
		must(write(to, &trailer, sizeof trailer) == (ssize_t)sizeof trailer);
	if (how & FILE_IS_BYTES)
		must(write(to, input->at, input->left) == (ssize_t)input->left);
	if (how & FILE_IS_CUT)
		must(ftruncate(to, lseek(to, 0, SEEK_END) * input_u8(input) / 256) == 0);
}

static void look_at(struct model *model)
{
	for (unsigned i = 0; i < model->segment_count; i++)
		if (model->segments[i].snapshot)
			check_snapshot(model->segments[i].snapshot);
	check_views(model);
	check_prints(model);
}

static void look_at_a_file(struct input *input)
{
	int file = memfd_create("fuzz-file", MFD_CLOEXEC);
	unsigned how = input_u8(input);
	struct model model;
	char path[40];

	must(file >= 0);
	write_file(file, input, how);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	if (model_open(&model, NULL, path) == 0) {
		must(model_sample(&model) == 0);
		look_at(&model);
		model_close(&model);
	}
	close(file);
}

static void spoil(struct input *input)
{
	unsigned patches = input_u8(input);

	if (patches == 0xff)
		scene_flood(input);
	for (unsigned i = 0; i < patches % PATCHES_MAX; i++)
		scene_patch(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct input input = { bytes, count };
	struct model model;

	scene_reset();
	spoil(&input);
	must(model_open(&model, "/nowhere", NULL) == 0);
	must(model_sample(&model) == 0);
	spoil(&input);
	model.interval_s = 1;
	must(model_sample(&model) == 0);
	look_at(&model);
	model_close(&model);
	if (input.left)
		look_at_a_file(&input);
	return 0;
}
