/* SPDX-License-Identifier: MIT
 *
 * The last resort: mpd and its supervisor were killed together, clients still use their segments.
 * Knows: how to find memory files in /proc. Does not know: what a segment is (segment.h).
 *
 * Without it the next open of a name would make a second memory under that name.
 */
#ifndef MPD_RESCUE_H
#define MPD_RESCUE_H

/* Adopt every segment of that endpoint that a process of this user, for root any process, holds
 * open. 0; -errno: memory or descriptors were short, and not all could be looked at. */
int rescue_all(const char *endpoint);

#endif
