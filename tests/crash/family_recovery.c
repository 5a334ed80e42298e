/* SPDX-License-Identifier: MIT
 *
 * Recovery in the crash matrix: EARLIER died in the middle of an operation of another family and is
 * not swept; VICTIM recovers him and dies too. Knows: whose turn it is. Does not know: what any
 * operation promises; that is asked of its own family, as if EARLIER had been the victim there.
 *
 * A recoverer adds nothing and takes nothing: whatever is promised about EARLIER's death holds
 * when the first recoverer has died and the second one has come to its end.
 */
#include "family_arena.h"
#include "family_lock.h"
#include "judge.h"
#include "recover.h"
#include "require.h"
#include "scene.h"
#include "slot.h"

enum { BEFORE = 1, THIRDS = 7 << 1, MIDDLE = 1 << 2, END = 1 << 3, SLEEPS = 1 << 4 };

static const struct operation *rival_in(const struct scene *scene)
{
	return scene_operation_of(scene, EARLIER);
}

static const struct context *inner_context(const struct scene *scene, const struct family *family)
{
	const char *name = scene->context->has_sleeper ? "waited for"
						       : scene->operation->rivals_context;

	for (unsigned i = 0; i < family->context_count; i++)
		if (strcmp(family->contexts[i].name, name) == 0)
			return &family->contexts[i];
	require(!"a context of that name");
	return NULL;
}

/* --- the same scene, as the rival's family knows it --- */

struct turned {
	const struct operation *operation;
	const struct context *context;
	unsigned step;
	bool is_alive;
};

static void swap_roles(struct scene *scene)
{
	struct party party = scene->parties[VICTIM];
	bool is_dead = scene->is_dead[VICTIM];

	scene->parties[VICTIM] = scene->parties[EARLIER];
	scene->parties[EARLIER] = party;
	scene->is_dead[VICTIM] = scene->is_dead[EARLIER];
	scene->is_dead[EARLIER] = is_dead;
}

/* EARLIER is its victim, that had not begun or stands somewhere in the middle. */
static struct turned turn(struct scene *scene)
{
	const struct turned as_it_was = { scene->operation, scene->context,
					  scene->step, scene->is_alive };
	const struct operation *rival = rival_in(scene);

	scene->step = scene->context->earlier == NO_EARLIER ? 0 : 1;
	scene->context = inner_context(scene, rival->family);
	scene->operation = rival;
	scene->is_alive = false;
	swap_roles(scene);
	return as_it_was;
}

static void turn_back(struct scene *scene, const struct turned *as_it_was)
{
	scene->operation = as_it_was->operation;
	scene->context = as_it_was->context;
	scene->step = as_it_was->step;
	scene->is_alive = as_it_was->is_alive;
	swap_roles(scene);
}

static void recovery_begin(struct scene *scene)
{
	struct turned as_it_was = turn(scene);

	scene->operation->family->begin(scene);
	if (scene->context->begin)
		scene->context->begin(scene);
	turn_back(scene, &as_it_was);
}

static bool recovery_check(struct scene *scene)
{
	struct turned as_it_was = turn(scene);
	bool is_good = scene->operation->family->check(scene);

	turn_back(scene, &as_it_was);
	return is_good || complain(scene, "see above, in what it recovers");
}

/* What SURVIVOR may say beside it is asked where it has its row. */
static bool recovery_may_say(struct scene *scene, enum role role, int result)
{
	return role != VICTIM || result == 0 || complain(scene, "it says %d", result);
}

/* Dead, and nobody has noticed: who recovers says so first. */
static void dies_before_it_begins(struct scene *scene)
{
	const struct operation *rival = rival_in(scene);

	if (rival->arrange)
		rival->arrange(scene, &scene->parties[EARLIER]);
	scene->is_dead[EARLIER] = true;
}

static const struct context contexts[] = {
	{ .name = "a death before it begins", .begin = dies_before_it_begins },
	{ .name = "unswept death at its beginning", .earlier = EARLIER_DIED, .at = 0 },
	{ .name = "unswept death in its middle", .earlier = EARLIER_DIED, .at = 1 },
	{ .name = "unswept death near its end", .earlier = EARLIER_DIED, .at = 2 },
	{ .name = "a death before it begins, another asleep", .begin = dies_before_it_begins,
	  .has_sleeper = true },
};

/* --- operations --- */

static int recover(struct scene *scene, struct party *party)
{
	struct party *dead = &scene->parties[EARLIER];

	recover_client(party->seg, dead->client, dead->generation);
	return 0;
}

/* That mapping is mpd's, who has no handle. */
static void become_mpd(struct seg *seg)
{
	struct slot_identity self;

	memset(seg->open_counts, 0, seg->at.max_objects * sizeof *seg->open_counts);
	slot_identify(&self);
	recover_become_mpd(seg, &self);
}

/* What mpd does when it comes back, then what it does at each of its looks. */
static int recover_as_mpd(struct scene *scene, struct party *party)
{
	static struct stalled_audit looks;

	become_mpd(party->seg);
	recover(scene, party);
	for (unsigned look = 0; look < 2; look++)
		recover_audit_stalled(party->seg, &looks, NULL);
	return 0;
}

/* The next mpd, in the memory VICTIM had before it became one. At every other step a peer has met
 * the death of the former one before: it asks who has a guard. */
static void recovery_look(struct scene *scene)
{
	struct seg *peer = scene->parties[CHECKER].seg;

	if (scene->operation->run != recover_as_mpd || scene->is_alive)
		return;
	if (scene->step % 2)
		recover_client(peer, SLOT_MPD,
			       client_word_generation(slot_client_word(peer, SLOT_MPD)));
	become_mpd(scene->parties[VICTIM].seg);
	recover(scene, &scene->parties[VICTIM]);
}

/* As the sleeper of the rival's family does. */
static void sleep_in_rival(struct scene *scene, struct party *party)
{
	struct turned as_it_was = turn(scene);

	scene->operation->sleep(scene, party);
	turn_back(scene, &as_it_was);
}

#define ROW(what, kind, where, inner)                                                              \
	.family = &recovery_family, .contexts = where, .variant = kind, .rival = what,             \
	.rivals_context = inner, .sleep = sleep_in_rival, .recovers = true
#define BY_PEER(what, kind, where, inner)                                                          \
	ROW(what, kind, where, inner), .name = "recovery of " what, .run = recover
#define ALONE(what, kind, where, inner) { BY_PEER(what, kind, where, inner) }
#define BESIDE(other, what, kind, where, inner)                                                    \
	{ BY_PEER(what, kind, where, inner), .beside = other }
/* There is one mpd. */
#define BY_MPD(what, kind, where, inner)                                                           \
	{ ROW(what, kind, where, inner), .name = "recovery by mpd of " what,                       \
	  .run = recover_as_mpd, .is_exclusive = true }
#define ANY (BEFORE | THIRDS)

#define CHECKED MP_LOCK_CHECKED
#define PLAIN MP_LOCK_PLAIN
#define RECURSIVE MP_LOCK_RECURSIVE
#define POISONABLE (MP_LOCK_CHECKED | POISONS)
#define OWNED_PERMITS 1 /* family_sem.c */

static const struct operation operations[] = {
	BESIDE("lock acquire", "lock release", CHECKED, ANY | SLEEPS, "free"),
	BESIDE("plain lock acquire", "plain lock release", PLAIN, BEFORE | MIDDLE | SLEEPS, "free"),
	BESIDE("recursive lock acquire", "recursive lock release of two", RECURSIVE,
	       BEFORE | MIDDLE | SLEEPS, "free"),
	BESIDE("poisonable lock acquire", "poisonable lock release", POISONABLE,
	       BEFORE | MIDDLE | SLEEPS, "free"),
	ALONE("lock acquire", CHECKED, THIRDS, "free"),
	ALONE("plain lock acquire", PLAIN, MIDDLE, "free"),
	ALONE("lock acquire", CHECKED, END, "held"),
	BESIDE("owned sem acquire", "owned sem release of three", OWNED_PERMITS,
	       ANY | SLEEPS, "all left"),
	BESIDE("owned sem acquire", "owned sem acquire", OWNED_PERMITS, MIDDLE | END, "some left"),
	BESIDE("rwlock read acquire", "rwlock write release", 0, BEFORE | MIDDLE | SLEEPS, "free"),
	BESIDE("rwlock write acquire", "rwlock read release of who was told", 0, BEFORE | MIDDLE,
	       "free"),
	BESIDE("rwlock write acquire", "rwlock write acquire", 0, MIDDLE | END, "after a death"),
	BY_MPD("owned sem release of three", OWNED_PERMITS, MIDDLE | SLEEPS, "all left"),
	BESIDE("queue open", "queue open", 0, THIRDS, "no such object"),
	ALONE("anonymous queue open", 0, MIDDLE, "no such object"),
	BESIDE("queue open", "queue unlink", 0, THIRDS, "it exists"),
	BESIDE("queue open", "queue close", 0, THIRDS, "it is unlinked"),
	ALONE("queue close", 0, MIDDLE, "it exists"),
	BESIDE("queue unlink", "queue from id", 0, MIDDLE, "it exists"),
	ALONE("queue from id", 0, MIDDLE, "it is unlinked"),
	BESIDE("alloc", "alloc", SMALL, THIRDS, "used"),
	BESIDE("alloc of granules", "alloc of granules", LARGE, THIRDS, "used"),
	BESIDE("alloc", "free", SMALL, BEFORE | MIDDLE, "used"),
	BESIDE("alloc of granules", "free of granules", LARGE, BEFORE | MIDDLE, "used"),
	ALONE("link", SMALL, BEFORE | END, "used"),
	ALONE("unlink", SMALL, END, "used"),
	BESIDE("alloc", "flush", SMALL, BEFORE | MIDDLE, "used"),
	ALONE("detach", 1, THIRDS, "holding a lock and a lease"),
	BY_MPD("lock release", CHECKED, BEFORE | SLEEPS, "free"),
	BY_MPD("queue open", 0, MIDDLE, "no such object"),
	BY_MPD("queue unlink", 0, MIDDLE | END, "it exists"),
	BY_MPD("queue close", 0, ANY, "it is unlinked"),
	BY_MPD("alloc of granules", LARGE, MIDDLE, "used"),
};

const struct family recovery_family = {
	.name = "recovery",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = recovery_begin,
	.look = recovery_look,
	.check = recovery_check,
	.may_say = recovery_may_say,
	.pair_contexts = MIDDLE,
};
