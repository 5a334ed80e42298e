/* SPDX-License-Identifier: MIT
 *
 * Who is attached. Knows: client and thread slots, generations, proofs of death, guards.
 * Does not know: what the dead left (recover.h), how to sleep, mpd's protocol.
 *
 * Time is never proof of death. A client is dead when mpd says so, when its pidfd is readable, or
 * when its pid (of our namespace) is gone, or has another start time and its roster byte is free.
 */
#ifndef LIBSHM_SLOT_H
#define LIBSHM_SLOT_H

#include "seg.h"
#include "slotword.h"

/* Take a client slot for this process. The roster byte must be locked before.
 * 0, -ENOSPC (all in use), -ENOSPC (memory). */
int slot_claim_client(struct seg *seg, uint64_t roster_byte, const char *name, uint32_t parent,
		      uint32_t *ret_client, uint32_t *ret_generation);

/* Give a slot back that was swept (or was never used). */
void slot_free_client(struct seg *seg, uint32_t client, uint32_t generation);

int slot_claim_thread(struct seg *seg, uint32_t client, uint32_t *ret_thread, uint64_t *ret_who);
/* The same for an anchor: a slot in which no thread runs, so it never counts as one that may be
 * running. */
int slot_claim_anchor(struct seg *seg, uint32_t client, uint64_t *ret_who);
/* Is no slot left for a thread? Anchors take slots too. */
bool slot_are_threads_full(const struct seg *seg);
/* Frees it if its word still is exactly that one: a late sweeper cannot hit a successor. */
void slot_free_thread(struct seg *seg, uint32_t thread, uint64_t word);

/* The word of a client slot; 0 for an impossible slot. */
uint64_t slot_client_word(const struct seg *seg, uint32_t client);

/* The client slot that owns a thread identity, SLOT_NONE if that thread is gone. */
uint32_t slot_client_of_who(const struct seg *seg, uint64_t who);

/* Is this use of the slot proven dead? Asks the kernel: 1 to 10 us. */
bool slot_is_dead(struct seg *seg, uint32_t client, uint32_t generation);

/* SETUP or LIVE -> DEAD, once; stamps the time. False if that use is over already. */
bool slot_mark_dead(struct seg *seg, uint32_t client, uint32_t generation);

/* A descriptor that becomes readable when that client dies; borrowed, -1 if none can be had
 * (*ret_is_gone: the process is already gone). */
int slot_pidfd(struct seg *seg, uint32_t client, uint32_t generation, bool *ret_is_gone);

/* Does its pid mean anything to this process? */
bool slot_is_of_our_namespace(struct seg *seg, uint32_t client);

/* The next client slot in use (SETUP, LIVE or DEAD) after `client`: its neighbour, SLOT_NONE when
 * alone. */
uint32_t slot_next_live(const struct seg *seg, uint32_t client);

/* Start time of a process in clock ticks since the machine's boot, 0 if unknown. */
uint64_t slot_start_ticks(uint32_t pid);
/* The same from what /proc shows to this process: another time namespace is shown other numbers. */
uint64_t slot_ticks_since_boot(uint64_t shown);
/* This process's; 0 too where /proc is another namespace's: its figures are not those that our
 * peers see. */
uint64_t slot_own_start_ticks(void);
/* Asks /proc; what this process has found is in seg->pid_namespace. 0 if unknown. */
uint64_t slot_pid_namespace(void);

/* A process as its slots tell of it. */
struct slot_identity {
	uint32_t pid;
	uint64_t pid_namespace;
	uint64_t started_ticks; /* 0: unknown */
};

void slot_identify(struct slot_identity *ret_self); /* this process; asks the kernel each time */

/* Is that use of the slot this process's, and has nobody declared it dead? False where the slot
 * does not tell. Proves nothing about whether it lives. */
bool slot_is_of(struct seg *seg, uint32_t client, uint32_t generation,
		const struct slot_identity *who);

/* Guards: short sections of the segment's own machinery. A dead owner is repaired through the
 * hook and released on his behalf. 0, -ETIMEDOUT with a sentence: a living one is stopped, or
 * somebody wrote into the word; nothing is taken from him. */
int guard_acquire(struct seg *seg, struct shm_guard *guard, uint32_t client, uint32_t generation);
/* Without waiting. */
bool guard_try(struct shm_guard *guard, uint32_t client, uint32_t generation);
void guard_release(struct shm_guard *guard, uint32_t client, uint32_t generation);
/* Recovery: free it if that client owns it. */
void guard_release_dead(struct shm_guard *guard, uint32_t client, uint32_t generation);

#endif
