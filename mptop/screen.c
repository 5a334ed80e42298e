/* SPDX-License-Identifier: MIT
 *
 * The loop of the screen: sample, draw, sleep until a key or the next sample. Knows: signals, time,
 * the end of a terminal. Does not know: curses' drawing (draw.c), what keys do (keys.c).
 */
#include "screen.h"

#include "screen_internal.h"

#include <errno.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t has_signal;

static void take_signal(int number)
{
	has_signal = 1;
}

/* Before curses opens: it leaves handlers alone that are there already. */
static void catch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = take_signal };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void order_rows(struct screen *screen)
{
	browser_update(&screen->browsers[screen->view], &screen->show);
}

static void sample(struct screen *screen)
{
	/* The rows of all browsers point into the sample that ends now. */
	for (int i = 0; i < VIEW_COUNT; i++)
		browser_release(&screen->browsers[i]);
	screen->error = model_sample(screen->model);
	order_rows(screen);
}

/* False when the terminal is gone: a key that never comes must not become a busy loop. */
static bool wait_for_key(const struct screen *screen, int64_t due_ns)
{
	struct pollfd terminal = { .fd = STDIN_FILENO, .events = POLLIN };
	int64_t left_ms = (due_ns - now_ns()) / 1000000 + 1;
	int ready;

	if (screen->is_paused)
		left_ms = 60000;
	ready = poll(&terminal, 1, left_ms > 0 ? (int)left_ms : 0);
	return ready <= 0 || !(terminal.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static enum action apply(struct screen *screen, enum action action)
{
	if (action == ACTION_SAMPLE)
		sample(screen);
	else if (action == ACTION_ORDER)
		order_rows(screen);
	else if (action == ACTION_REPAINT)
		clearok(stdscr, TRUE);
	return action;
}

/* All keys that are there. False: quit. */
static bool take_keys(struct screen *screen)
{
	bool is_changed = false;
	int key;

	while ((key = getch()) != ERR) {
		enum action action = apply(screen, keys_handle(screen, key));

		if (action == ACTION_QUIT)
			return false;
		is_changed = is_changed || action != ACTION_NONE;
	}
	if (is_changed)
		draw_screen(screen);
	return true;
}

static void run(struct screen *screen)
{
	int64_t sampled_ns = now_ns();

	sample(screen);
	draw_screen(screen);
	while (!has_signal) {
		int64_t due_ns = sampled_ns + (int64_t)(screen->interval_s * 1e9);

		if (!wait_for_key(screen, due_ns) || !take_keys(screen))
			return;
		if (screen->is_paused || now_ns() < due_ns)
			continue;
		sampled_ns = now_ns();
		sample(screen);
		draw_screen(screen);
	}
}

int screen_run(struct model *model, const struct options *options)
{
	struct screen screen = { .model = model, .interval_s = options->delay_s };
	int result;

	catch_signals();
	result = terminal_open(&screen.terminal, options->is_ascii, options->is_colourless);
	if (result < 0)
		return result;
	screen.show.model = model;
	screen.show.glyphs = screen.terminal.is_ascii ? &format_ascii : &format_unicode;
	screen.view = options->view >= 0 ? (enum view_index)options->view : INDEX_view_overview;
	for (int i = 0; i < VIEW_COUNT; i++)
		browser_init(&screen.browsers[i], views[i]);
	run(&screen);
	for (int i = 0; i < VIEW_COUNT; i++)
		browser_release(&screen.browsers[i]);
	terminal_close();
	return 0;
}
