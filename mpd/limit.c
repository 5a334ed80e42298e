/* SPDX-License-Identifier: MIT
 *
 * See limit.h. Does not know: threads; mpd has one.
 */
#include "limit.h"

#include "libshm/text.h"

#include <stddef.h>
#include <stdio.h>

struct window {
	const void *kind; /* NULL: free */
	int64_t begin_ns;
	unsigned said;
	struct limit_over over;
};

static struct window windows[LIMIT_KINDS];

static bool is_over(const struct window *window, int64_t now_ns)
{
	return now_ns - window->begin_ns >= LIMIT_WINDOW_NS;
}

/* Its own, or else one that holds nothing back. */
static struct window *find(const void *kind, int64_t now_ns)
{
	struct window *free_one = NULL;

	for (unsigned i = 0; i < LIMIT_KINDS; i++) {
		if (windows[i].kind == kind)
			return &windows[i];
		if (!free_one && (!windows[i].kind ||
				  (is_over(&windows[i], now_ns) && !windows[i].over.left_out)))
			free_one = &windows[i];
	}
	if (free_one)
		*free_one = (struct window){ .kind = kind, .begin_ns = now_ns };
	return free_one;
}

bool limit_allows(const void *kind, int64_t now_ns)
{
	struct window *window = find(kind, now_ns);

	if (!window)
		return true;
	/* One that is over and holds something back stays shut until that was told. */
	if (is_over(window, now_ns) && !window->over.left_out)
		*window = (struct window){ .kind = kind, .begin_ns = now_ns };
	if (window->said == LIMIT_LINES)
		return false;
	window->said++;
	return true;
}

void limit_leave_out(const void *kind, int level, const char *text)
{
	for (unsigned i = 0; i < LIMIT_KINDS; i++) {
		struct limit_over *over = &windows[i].over;

		if (windows[i].kind != kind)
			continue;
		over->left_out++;
		over->level = level;
		if (snprintf(over->text, sizeof(over->text), "%s", text) >= LIMIT_TEXT_BYTES)
			text_mark_cut(over->text, sizeof(over->text));
		return;
	}
}

int64_t limit_deadline(void)
{
	int64_t first = INT64_MAX;

	for (unsigned i = 0; i < LIMIT_KINDS; i++)
		if (windows[i].over.left_out && windows[i].begin_ns + LIMIT_WINDOW_NS < first)
			first = windows[i].begin_ns + LIMIT_WINDOW_NS;
	return first;
}

bool limit_next_over(int64_t now_ns, struct limit_over *ret_over)
{
	for (unsigned i = 0; i < LIMIT_KINDS; i++) {
		if (!windows[i].over.left_out || !is_over(&windows[i], now_ns))
			continue;
		*ret_over = windows[i].over;
		windows[i] = (struct window){ 0 };
		return true;
	}
	return false;
}
