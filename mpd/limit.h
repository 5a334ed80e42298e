/* SPDX-License-Identifier: MIT
 *
 * How often the same is said. Knows: kinds, windows of time, what was left out. Does not know:
 * where lines go, what time it is (it is told), what a kind is: any address that stays.
 *
 * The first lines of a kind open a window and are said; more of them within it are counted; its
 * end is told with their number. Nothing is allocated: a kind for which there is no room is not
 * limited.
 */
#ifndef MPD_LIMIT_H
#define MPD_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LIMIT_LINES 10 /* of one kind in one window */
#define LIMIT_WINDOW_NS INT64_C(5000000000)
#define LIMIT_KINDS 128
#define LIMIT_TEXT_BYTES 640

struct limit_over {
	int level;
	unsigned left_out;
	char text[LIMIT_TEXT_BYTES]; /* the last one that was left out */
};

/* May a line of that kind be said? If not, limit_leave_out keeps what it was. */
bool limit_allows(const void *kind, int64_t now_ns);
void limit_leave_out(const void *kind, int level, const char *text);

/* The end of the first window in which something was left out; INT64_MAX: there is none. */
int64_t limit_deadline(void);

/* The next window that is over and has left something out; false: no more. */
bool limit_next_over(int64_t now_ns, struct limit_over *ret_over);

#endif
