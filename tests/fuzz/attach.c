/* SPDX-License-Identifier: MIT
 *
 * Target: a process that attaches to a segment with anything in it, uses it, and sees its clients
 * swept. Knows: public calls with MP_NOW, recovery. Does not know: what the bytes mean (scene.c).
 *
 * An input is a list of steps: a byte that names one, and what it takes. Patches may come between
 * calls, as from a process that writes while others work. Whatever happens, calls end, touch
 * nothing outside of the map (fence.c), and give data that lies inside.
 */
#include "input.h"

#include "attach_sync.h"
#include "fence.h"
#include "scene.h"

#include "arena.h"
#include "client.h"
#include "object.h"
#include "recover.h"
#include "self.h"
#include "slot.h"

#include <libshm.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDLES_MAX 4
#define STEPS_MAX 48
#define PATCHES_FIRST_MAX 24
/* A guard that its living owner does not give back is waited for that long. */
#define GUARD_PATIENCE_NS INT64_C(200000)

static const struct seg_hooks hooks = {
	.client_died = recover_client,
	.thread_ended = recover_thread,
};

static const char *const names[] = { "lock", "other", "plain", "queue", "closed", "new", NULL };

struct stage {
	struct input *input;
	struct mp_segment handle;
	struct seg *seg, *mpd; /* mpd's own view; NULL until it looks */
	mp_lock *locks[HANDLES_MAX];
	mp_queue *queues[HANDLES_MAX];
	struct mp_slot slots[HANDLES_MAX];
	mp_queue *slot_queues[HANDLES_MAX];
	struct stalled_audit looks;
	struct sync_stage sync;
};

static const char *name_of(unsigned arg)
{
	return names[arg / HANDLES_MAX % (sizeof names / sizeof names[0])];
}

/* Errors have a sentence, and it ends. */
static void look_at(int result)
{
	if (result < 0 && strlen(mp_explain()) > 4096)
		abort();
}

static void open_lock(struct stage *stage, unsigned arg)
{
	mp_lock **place = &stage->locks[arg % HANDLES_MAX];
	struct mp_lock_opts opts = { .kind = arg & 0x80 ? 1 + (arg >> 5 & 3) % 3 : 0 };

	*place = mp_lock_close(*place);
	look_at(mp_lock_open(&stage->handle, name_of(arg), &opts, place));
}

static void open_queue(struct stage *stage, unsigned arg)
{
	mp_queue **place = &stage->queues[arg % HANDLES_MAX];
	struct mp_queue_opts opts = { .capacity = arg & 0x80 ? 3 : 0 };

	for (unsigned i = 0; i < HANDLES_MAX; i++)
		if (stage->slot_queues[i] == *place)
			stage->slot_queues[i] = NULL;
	*place = mp_queue_close(*place);
	look_at(mp_queue_open(&stage->handle, name_of(arg), &opts, place));
}

static void open_by_id(struct stage *stage, unsigned arg)
{
	uint64_t id = input_u64(stage->input);
	mp_lock *lock;
	mp_queue *queue;

	if (id >> SLOT_BITS == 0)
		id |= UINT64_C(1) << SLOT_BITS;
	if (arg & 1 && mp_lock_from_id(&stage->handle, id, &lock) == 0)
		mp_lock_close(lock);
	else if (mp_queue_from_id(&stage->handle, id, &queue) == 0)
		mp_queue_close(queue);
}

static void unlink_name(struct stage *stage, unsigned arg)
{
	const char *name = name_of(arg);

	if (name && arg & 1)
		look_at(mp_lock_unlink(&stage->handle, name));
	else if (name)
		look_at(mp_queue_unlink(&stage->handle, name));
}

static void use_lock(struct stage *stage, unsigned arg)
{
	mp_lock *lock = stage->locks[arg % HANDLES_MAX];
	struct mp_who who;

	if (!lock)
		return;
	switch (arg / HANDLES_MAX % 5) {
	case 0:
		look_at(mp_lock_acquire(lock, MP_NOW));
		break;
	case 1:
		look_at(mp_lock_release(lock));
		break;
	case 2:
		look_at(mp_lock_owner(lock, &who));
		break;
	case 3:
		look_at(mp_lock_repair(lock));
		break;
	default:
		look_at(mp_lock_is_locked(lock));
	}
}

static void put(struct stage *stage, unsigned arg)
{
	static const uint8_t data[70000];
	static const size_t lengths[] = { 5, 100, 5000, sizeof data };
	mp_queue *queue = stage->queues[arg % HANDLES_MAX];

	if (queue)
		look_at(mp_queue_put(queue, data, lengths[arg / HANDLES_MAX % 4], MP_NOW));
}

/* In memory of its own, so that a byte too many is seen. */
static void get(struct stage *stage, unsigned arg)
{
	static const size_t lengths[] = { 5, 100, 5000, 70000 };
	size_t room = lengths[arg / HANDLES_MAX % 4];
	mp_queue *queue = stage->queues[arg % HANDLES_MAX];
	void *buffer = queue ? malloc(room) : NULL;

	if (buffer)
		look_at(mp_queue_get(queue, buffer, room, MP_NOW));
	free(buffer);
}

static void ask_queue(struct stage *stage, unsigned arg)
{
	mp_queue *queue = stage->queues[arg % HANDLES_MAX];

	if (!queue)
		return;
	if (arg / HANDLES_MAX % 4 == 0)
		look_at(mp_queue_close_input(queue));
	look_at(mp_queue_size(queue));
	look_at(mp_queue_is_empty(queue));
	look_at(mp_queue_is_full(queue));
}

/* The user reads what he was given. */
static void read_slot(const struct mp_slot *slot)
{
	volatile const uint8_t *data = slot->data;

	if (slot->len && !fence_has(slot->data, slot->len))
		abort();
	for (size_t i = 0; i < slot->len; i += 64)
		(void)data[i];
}

static void take_slot(struct stage *stage, unsigned arg)
{
	unsigned i = arg % HANDLES_MAX;
	mp_queue *queue = stage->queues[arg / HANDLES_MAX % HANDLES_MAX];
	int result = -1;

	if (!queue || stage->slot_queues[i])
		return;
	if (arg & 0x80)
		result = mp_queue_reserve(queue, arg & 0x40 ? 70000 : 200, MP_NOW,
					  &stage->slots[i]);
	else
		result = mp_queue_claim(queue, MP_NOW, &stage->slots[i]);
	look_at(result);
	if (result < 0)
		return;
	read_slot(&stage->slots[i]);
	stage->slot_queues[i] = queue;
}

static void end_slot(struct stage *stage, unsigned arg)
{
	unsigned i = arg % HANDLES_MAX;
	struct mp_slot *slot = &stage->slots[i];
	mp_queue *queue = stage->slot_queues[i];
	int result;

	if (!queue)
		return;
	switch (arg / HANDLES_MAX % 4) {
	case 0:
		result = mp_queue_ack(queue, slot);
		break;
	case 1:
		result = mp_queue_return(queue, slot);
		break;
	case 2:
		result = mp_queue_commit(queue, slot);
		break;
	default:
		result = mp_queue_abandon(queue, slot);
	}
	look_at(result);
	if (result >= 0)
		stage->slot_queues[i] = NULL;
}

static void patch_now(struct stage *stage, unsigned arg)
{
	(void)arg;
	scene_patch_now(stage->seg, stage->input);
}

/* Its word says DEAD, or mpd says so, or nobody. */
static void sweep(struct stage *stage, unsigned arg)
{
	uint32_t client = arg % SCENE_MAX_CLIENTS;
	uint64_t word = slot_client_word(stage->seg, client);

	if (client == stage->seg->client)
		recover_all(stage->seg);
	else
		recover_client(stage->seg, client, client_word_generation(word));
}

static void audit(struct stage *stage, unsigned arg)
{
	(void)arg;
	recover_audit(stage->seg);
	recover_audit_stalled(stage->seg, &stage->looks, NULL);
}

static void look_around(struct stage *stage, unsigned arg)
{
	struct mp_segment_info info;
	struct arena_usage usage;

	(void)arg;
	look_at(mp_segment_info(&stage->handle, &info));
	arena_measure(stage->seg, &usage);
	arena_check(stage->seg);
	slot_next_live(stage->seg, arg);
	object_free_unheld(stage->seg);
}

static struct seg *map(bool is_mpd)
{
	static struct slot_identity self;
	int fd = scene_fd();
	struct seg *seg;

	if (!self.pid)
		slot_identify(&self);
	if (seg_map(fd, false, &seg) < 0) {
		close(fd);
		return NULL;
	}
	seg->roster_fd = -1;
	seg->hooks = &hooks;
	seg->guard_patience_ns = GUARD_PATIENCE_NS;
	store_release(&seg->fork_epoch, self_fork_epoch());
	if (is_mpd)
		recover_become_mpd(seg, &self);
	return seg;
}

static void become_mpd(struct stage *stage, unsigned arg)
{
	(void)arg;
	if (!stage->mpd)
		stage->mpd = map(true);
}

static void (*const steps[])(struct stage *stage, unsigned arg) = {
	patch_now, open_lock, open_queue, use_lock,    use_lock, put,	get,	     take_slot,
	end_slot,  ask_queue, open_by_id, unlink_name, sweep,	 audit, look_around, become_mpd,
};

/* Steps from here on are about what threads only meet at. */
#define SYNC_STEPS 0xe0

static void play_sync(struct stage *stage, unsigned step)
{
	switch (step % 4) {
	case 0:
		sync_open(&stage->sync, input_u8(stage->input));
		break;
	case 1:
		sync_spoil(&stage->sync, stage->seg, stage->input);
		break;
	default:
		look_at(sync_use(&stage->sync, input_u8(stage->input)));
	}
}

static void play(struct stage *stage)
{
	stage->sync.segment = &stage->handle;
	for (unsigned i = 0; i < STEPS_MAX && stage->input->left; i++) {
		unsigned step = input_u8(stage->input), arg = 0;

		if (step >= SYNC_STEPS) {
			play_sync(stage, step);
			continue;
		}
		if (step % (sizeof steps / sizeof steps[0]))
			arg = input_u8(stage->input);
		steps[step % (sizeof steps / sizeof steps[0])](stage, arg);
	}
}

static void leave(struct stage *stage)
{
	for (unsigned i = 0; i < HANDLES_MAX; i++) {
		mp_lock_close(stage->locks[i]);
		mp_queue_close(stage->queues[i]);
	}
	sync_close(&stage->sync);
	recover_own_exit(stage->seg);
	seg_unmap(stage->seg);
}

/* Nobody else writes any more: it has an end. */
static void sweep_in_pieces(struct seg *seg)
{
	static struct recovery recovery;
	struct turn turn = { .looks_left = TURN_STEP_MAX };

	memset(&recovery, 0, sizeof recovery);
	seg->frees_later = true;
	while (!recover_some(seg, &recovery, &turn))
		turn.looks_left = TURN_STEP_MAX;
}

/* What mpd does when all of them are dead. */
static void bury_all(struct stage *stage)
{
	struct seg *seg = stage->mpd ? stage->mpd : map(true);

	if (!seg)
		return;
	for (uint32_t client = SLOT_FIRST; client < seg->at.max_clients; client++) {
		uint32_t generation = client_word_generation(slot_client_word(seg, client));

		store_release(&seg->clients[client].verdict, generation);
		recover_mark_dead(seg, client, generation);
	}
	sweep_in_pieces(seg);
	for (unsigned i = 0; i < 3; i++)
		recover_audit_stalled(seg, &stage->looks, NULL);
	seg_unmap(seg);
}

static void attach(struct stage *stage)
{
	stage->seg = map(false);
	if (!stage->seg)
		return;
	stage->handle = (struct mp_segment){ .seg = stage->seg, .users = 1 };
	if (slot_claim_client(stage->seg, 0, "fuzz", SLOT_NONE, &stage->seg->client,
			      &stage->seg->client_generation) < 0) {
		stage->seg = seg_unmap(stage->seg);
		return;
	}
	play(stage);
	leave(stage);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct input input = { bytes, count };
	struct stage stage = { .input = &input };
	unsigned patches = input_u8(&input);

	scene_reset();
	if (patches == 0xff)
		scene_flood(&input);
	for (unsigned i = 0; i < patches % PATCHES_FIRST_MAX; i++)
		scene_patch(&input);
	attach(&stage);
	bury_all(&stage);
	return 0;
}
