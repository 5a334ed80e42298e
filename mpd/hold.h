/* SPDX-License-Identifier: MIT
 *
 * A connection that has opened a segment and not said ATTACHED yet keeps it alive. Knows: how many
 * of those there may be. Does not know: why one is taken or given up (requests.h).
 */
#ifndef MPD_HOLD_H
#define MPD_HOLD_H

struct conn;
struct segment;

/* One for each pair. 0 or -EDQUOT. */
int hold_take(struct conn *conn, struct segment *segment);

/* The caller asks segment_check_end. */
void hold_drop(struct conn *conn, struct segment *segment);

struct segment *hold_first(const struct conn *conn); /* NULL: it has none */

#endif
