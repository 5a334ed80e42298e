/* SPDX-License-Identifier: MIT
 *
 * The shared bytes of what threads only meet at: they carry no data. Included by layout_objects.h
 * only. Knows: where each word is and who writes it. Does not know: the operations (event.c).
 */
#ifndef LIBSHM_LAYOUT_SYNC_H
#define LIBSHM_LAYOUT_SYNC_H

/* An event.
 *
 *   word   bit 0: set; the rest counts how often it became set. One CAS is the whole of a change.
 *   waits  how often somebody found it not set and had to wait
 */
#define EVENT_SET UINT64_C(1)
#define EVENT_EPOCH UINT64_C(2)
struct shm_event {
	struct shm_object object;
	aligned_to(CACHE_LINE) atom64 word;
	atom64 waits;
	atom64 wait_ns; /* sum of them */
	uint64_t reserved[5];
	struct shm_waiters waiters;
};
static_assert(sizeof(struct shm_event) == 192, "event");
MP_FIELD(shm_event, 64, 8, word);
MP_FIELD(shm_event, 128, 64, waiters);

#endif
