/* SPDX-License-Identifier: MIT
 *
 * How much a user and a client may have. Knows: the table libshm/tbl/quotas.h, who has what. Does
 * not know: who may do what (access.h).
 *
 * Nothing is counted up and down: what somebody has is added up from what there is whenever he
 * wants more. So no death, of a client or of mpd, can leave a count that is wrong.
 */
#ifndef MPD_QUOTA_H
#define MPD_QUOTA_H

#include "conn.h"
#include "segment.h"

/* Limits by enum proto_quota; UINT64_MAX: none. */
void quota_configure(const uint64_t limits[static QUOTA_COUNT]);

/* Each 0, or -EDQUOT and which quota it was. `owner` pays. */
int quota_may_connect(const struct conn *conn, struct proto_refused *why);
int quota_may_create(const struct conn *conn, uint32_t owner, const struct proto_open *open,
		     struct proto_refused *why);
int quota_may_open(const struct conn *conn, uint32_t owner, const struct segment *segment,
		   struct proto_refused *why);

/* So many connections that they are not even told. */
bool quota_is_flood(uint32_t uid, uint32_t pid);

/* May one more process be watched in a segment of that owner? */
bool quota_has_slot(uint32_t owner);

#endif
