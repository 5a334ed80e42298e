/* SPDX-License-Identifier: MIT
 *
 * See scene.h. Knows: the layout, how a scene is made with public calls, where its objects are.
 * Does not know: targets.
 */
#include "scene.h"

#include "client.h"
#include "recover.h"
#include "self.h"
#include "slot.h"

#include <libshm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SCENE_BYTES (UINT64_C(30) * GRANULE_BYTES)
#define PLACES_MAX 16
#define LARGE_BYTES 70000 /* more than a granule */

#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			die(#condition, __LINE__);                                                 \
	} while (0)

static void die(const char *what, int line)
{
	fprintf(stderr, "scene.c:%d: the scene cannot be made: %s (%s)\n", line, what,
		mp_explain());
	abort();
}

static const struct seg_hooks hooks = {
	.client_died = recover_client,
	.thread_ended = recover_thread,
};

/* One of the clients that made the scene. */
struct actor {
	struct mp_segment handle;
	struct self *me;
};

static int file = -1;
static uint8_t *image, *live; /* what it was, what it is */
static struct seg_geometry at;
static uint64_t objects[PLACES_MAX], cells[PLACES_MAX], leases[PLACES_MAX];
static unsigned object_count, cell_count, lease_count;
static mp_lock *locks[PLACES_MAX];
static mp_queue *queues[PLACES_MAX];
static unsigned lock_count, queue_count;

static void enter(struct actor *actor, const char *name)
{
	struct seg *seg = NULL;
	int fd = fcntl(file, F_DUPFD_CLOEXEC, 3);

	must(fd >= 0 && seg_map(fd, false, &seg) == 0);
	seg->roster_fd = -1;
	seg->fork_epoch = self_fork_epoch();
	seg->hooks = &hooks;
	must(slot_claim_client(seg, 0, name, SLOT_NONE, &seg->client,
			       &seg->client_generation) == 0);
	actor->handle = (struct mp_segment){ .seg = seg, .users = 1 };
	must(self_get(seg, &actor->me) == 0);
}

static mp_lock *make_lock(struct actor *actor, const char *name, uint32_t kind)
{
	struct mp_lock_opts opts = { .kind = kind };
	mp_lock *lock;

	must(mp_lock_open(&actor->handle, name, &opts, &lock) == 0);
	return locks[lock_count++] = lock;
}

static mp_queue *make_queue(struct actor *actor, const char *name, uint32_t capacity)
{
	struct mp_queue_opts opts = { .capacity = capacity };
	mp_queue *queue;

	must(mp_queue_open(&actor->handle, name, &opts, &queue) == 0);
	return queues[queue_count++] = queue;
}

static uint64_t offset_of(struct actor *actor, uint64_t id)
{
	struct shm_entry *entry = &actor->handle.seg->directory[id & ((1u << SLOT_BITS) - 1)];

	return reference_offset(load_relaxed(&entry->object));
}

static void note_object(struct actor *actor, uint64_t id)
{
	objects[object_count++] = offset_of(actor, id);
}

static void note_queue(struct actor *actor, mp_queue *queue)
{
	uint64_t offset = offset_of(actor, mp_queue_id(queue));
	struct shm_queue *shared = (struct shm_queue *)(void *)(actor->handle.seg->base + offset);

	note_object(actor, mp_queue_id(queue));
	cells[cell_count++] = reference_offset(load_relaxed(&shared->cells));
	if (load_relaxed(&shared->lease_chunk[0]))
		leases[lease_count++] = reference_offset(load_relaxed(&shared->lease_chunk[0]));
}

/* As if that thread slept: the record, its bit, its bell. */
static void fall_asleep(struct actor *actor, uint64_t offset, unsigned condition,
			uint64_t set_offset)
{
	struct shm_thread *thread = actor->me->shared;
	struct shm_waiters *set =
		(struct shm_waiters *)(void *)(actor->handle.seg->base + offset + set_offset);

	store_relaxed(&thread->records[0], offset | condition);
	store_relaxed(&thread->record_count, 1);
	store_relaxed(&thread->waiting_since_ns, 1);
	or_seqcst(&thread->bell, 1);
	or_seqcst(&set->leaf[0], UINT64_C(1) << actor->me->thread);
}

/* Two locks, each held by who is waited for. */
static void make_circle(struct actor *a, struct actor *b)
{
	mp_lock *of_a = make_lock(a, "lock", MP_LOCK_CHECKED);
	mp_lock *of_b = make_lock(b, "other", MP_LOCK_RECURSIVE);

	must(mp_lock_acquire(of_a, MP_NOW) == 0);
	must(mp_lock_acquire(of_b, MP_NOW) == 0 && mp_lock_acquire(of_b, MP_NOW) == 0);
	note_object(a, mp_lock_id(of_a));
	note_object(b, mp_lock_id(of_b));
	fall_asleep(a, offset_of(b, mp_lock_id(of_b)), WAIT_ACQUIRABLE,
		    offsetof(struct shm_lock, waiters));
	fall_asleep(b, offset_of(a, mp_lock_id(of_a)), WAIT_ACQUIRABLE,
		    offsetof(struct shm_lock, waiters));
}

static void fill_queue(struct actor *a, struct actor *b)
{
	static uint8_t large[LARGE_BYTES];
	mp_queue *queue = make_queue(a, "queue", 8), *same = make_queue(b, "queue", 0);
	struct mp_slot slot;

	for (unsigned i = 0; i < 3; i++)
		must(mp_queue_put(queue, "small", 5, MP_NOW) == 0);
	for (unsigned i = 0; i < 3; i++)
		must(mp_queue_put(queue, large, 100, MP_NOW) == 0);
	must(mp_queue_put(queue, large, sizeof large, MP_NOW) == 0);
	must(mp_queue_claim(same, MP_NOW, &slot) == 0);
	must(mp_queue_claim(same, MP_NOW, &slot) == 0 && mp_queue_return(same, &slot) == 0);
	for (unsigned i = 0; i < 3; i++)
		must(mp_queue_claim(same, MP_NOW, &slot) == 0);
	must(mp_queue_reserve(queue, 300, MP_NOW, &slot) == 0);
	note_queue(a, queue);
}

static void make_rest(struct actor *c)
{
	mp_lock *plain = make_lock(c, "plain", MP_LOCK_PLAIN);
	mp_queue *closed = make_queue(c, "closed", 4), *nameless = make_queue(c, NULL, 2);

	must(mp_lock_acquire(plain, MP_NOW) == 0 && mp_lock_unlink(&c->handle, "plain") == 0);
	must(mp_queue_put(closed, "last", 4, MP_NOW) == 0 && mp_queue_close_input(closed) == 0);
	must(mp_queue_put(nameless, "x", 1, MP_NOW) == 0);
	note_object(c, mp_lock_id(plain));
	note_queue(c, closed);
	note_queue(c, nameless);
	fall_asleep(c, offset_of(c, mp_queue_id(nameless)), WAIT_READABLE,
		    offsetof(struct shm_queue, readable));
}

/* After the scene was kept: this changes it. */
static void leave(struct actor *actors)
{
	for (unsigned i = 0; i < lock_count; i++)
		mp_lock_close(locks[i]);
	for (unsigned i = 0; i < queue_count; i++)
		mp_queue_close(queues[i]);
	for (unsigned i = 0; i < SCENE_CLIENTS; i++) {
		self_forget_all(actors[i].handle.seg);
		seg_unmap(actors[i].handle.seg);
	}
}

static void make_scene(void)
{
	struct actor actors[SCENE_CLIENTS];

	must(seg_plan(SCENE_BYTES, SCENE_MAX_CLIENTS, SCENE_MAX_THREADS, &at) == 0);
	file = memfd_create("libshm:fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(file >= 0 && ftruncate(file, (off_t)at.size_bytes) == 0);
	/* As mpd does: who attaches cannot change its size. */
	must(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	must(seg_format(file, "fuzz", 1, &at) == 0);
	enter(&actors[0], "first");
	enter(&actors[1], "second");
	enter(&actors[2], "third");
	make_circle(&actors[0], &actors[1]);
	fill_queue(&actors[0], &actors[1]);
	make_rest(&actors[2]);
	live = mmap(NULL, at.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	image = malloc(at.size_bytes);
	must(live != MAP_FAILED && image);
	memcpy(image, live, at.size_bytes);
	leave(actors);
}

void scene_reset(void)
{
	if (!image)
		make_scene();
	memcpy(live, image, at.size_bytes);
}

int scene_fd(void)
{
	int fd = fcntl(file, F_DUPFD_CLOEXEC, 3);

	must(fd >= 0);
	return fd;
}

/* --- patches --- */

/* `count` things of `stride` bytes from `start`; a word of one of them is changed. */
struct area {
	uint64_t start, stride, count, bytes;
};

enum area_kind {
	AREA_HEADER, AREA_MARKS, AREA_CLIENT, AREA_THREAD, AREA_ENTRY, AREA_OBJECT, AREA_CELL,
	AREA_LEASE, AREA_GRANULE, AREA_RUN, AREA_TOUCHED, AREA_ANYWHERE, AREA_COUNT
};

static struct area area_of(unsigned kind, unsigned which)
{
	switch (kind % AREA_COUNT) {
	case AREA_HEADER:
		return (struct area){ 0, 0, 1, offsetof(struct shm_header, name) };
	case AREA_MARKS:
		return (struct area){ offsetof(struct shm_header, clients_high), 0, 1, 384 };
	case AREA_CLIENT:
		return (struct area){ at.clients, sizeof(struct shm_client), at.max_clients, 192 };
	case AREA_THREAD:
		return (struct area){ at.threads, sizeof(struct shm_thread), at.max_threads, 768 };
	case AREA_ENTRY:
		return (struct area){ at.directory, sizeof(struct shm_entry), 16, 128 };
	case AREA_OBJECT:
		return (struct area){ objects[which % object_count], 0, 1,
				      sizeof(struct shm_queue) };
	case AREA_CELL:
		return (struct area){ cells[which % cell_count], 0, 1, 8 * CACHE_LINE };
	case AREA_LEASE:
		return (struct area){ leases[which % lease_count], 0, 1,
				      8 * sizeof(struct shm_lease) };
	case AREA_GRANULE:
		return (struct area){ at.granules, 0, 1, at.granule_count * sizeof(atom64) };
	case AREA_RUN:
		return (struct area){ at.arena, GRANULE_BYTES, at.granule_count, 2048 };
	case AREA_TOUCHED:
		return (struct area){ at.touched, at.max_objects / 8, at.max_clients, 16 };
	default:
		return (struct area){ 0, 0, 1, at.size_bytes };
	}
}

static uint64_t place_of(unsigned kind, unsigned which, uint64_t field)
{
	struct area area = area_of(kind, which);

	return area.start + which % area.count * area.stride + field % (area.bytes / 8) * 8;
}

enum patch_how {
	PATCH_SET, PATCH_XOR, PATCH_ADD, PATCH_COPY, PATCH_LOW, PATCH_HIGH, PATCH_STATE,
	PATCH_OBJECT, PATCH_COUNT
};

/* What the word becomes. References and states that make sense somewhere are the worst ones. */
static uint64_t changed(const uint8_t *base, unsigned how, uint64_t word, uint64_t value)
{
	uint64_t copied;

	switch (how % PATCH_COUNT) {
	case PATCH_XOR:
		return word ^ value;
	case PATCH_ADD:
		return word + value;
	case PATCH_COPY:
		memcpy(&copied, base + value % (at.size_bytes / 8) * 8, sizeof copied);
		return copied;
	case PATCH_LOW:
		return (word & ~UINT64_C(0xffffffff)) | (uint32_t)value;
	case PATCH_HIGH:
		return (word & 0xffffffff) | value << 32;
	case PATCH_STATE:
		return (word & ~UINT64_C(0xffff)) | (value & 0xffff);
	case PATCH_OBJECT:
		return objects[value % object_count] / (value >> 8 & 1 ? CACHE_LINE : 1);
	default:
		return value;
	}
}

static void patch(uint8_t *base, struct input *input)
{
	uint8_t kind = input_u8(input), which = input_u8(input), how;
	uint16_t field;
	uint32_t low;
	uint64_t value, word, place;

	input_take(input, &field, sizeof field);
	how = input_u8(input);
	/* Small values come cheap, whole words are asked for. */
	input_take(input, &low, sizeof low);
	value = how & 0x80 ? input_u64(input) : how & 0x40 ? (uint64_t)(int32_t)low : low;
	place = place_of(kind, which, kind % AREA_COUNT == AREA_ANYWHERE
				      ? (uint64_t)field << 8 | which : field);
	memcpy(&word, base + place, sizeof word);
	word = changed(base, how & 0x3f, word, value);
	memcpy(base + place, &word, sizeof word);
}

void scene_patch(struct input *input)
{
	patch(live, input);
}

void scene_patch_now(struct seg *seg, struct input *input)
{
	patch(seg->base, input);
}

void scene_flood(struct input *input)
{
	uint8_t page[4096];
	uint64_t start = (uint64_t)input_u8(input) << 13;

	input_take(input, page, sizeof page);
	for (uint64_t place = start; place + sizeof page <= at.size_bytes; place += sizeof page)
		memcpy(live + place, page, sizeof page);
}
