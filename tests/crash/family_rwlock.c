/* SPDX-License-Identifier: MIT
 *
 * Read-write locks in the crash matrix. Knows: contexts, operations. Does not know: what one
 * promises (rwlock_check.c), how anyone dies.
 */
#include "family_rwlock.h"

#include "require.h"
#include "scene.h"
#include "slot.h"

enum { FREE = 1, UNWRITTEN = 2, READ = 4, WRITTEN = 8, READ_AND_WAITED_FOR = 16, WAITED_FOR = 32,
       DEAD_WRITER = 64, DEAD_READER = 128, DIED = 256, DEAD_TOLD = 512, STANDING = 1024 };

#define PAIR_NS (5 * INT64_C(1000000000)) /* no pair waits that long: it is a failure */
#define BRIEFLY_NS INT64_C(1000000)

static void rwlock_begin(struct scene *scene)
{
	struct mp_rwlock_opts opts = {
		.on_owner_death = scene->operation->variant & RWLOCK_POISONS ? MP_OWNER_POISON
									     : MP_OWNER_REPORT,
	};

	if (scene->other)
		scene->timeout = PAIR_NS;
	for (enum role role = 0; role < ROLES; role++)
		require(mp_rwlock_open(&scene->parties[role].handle, "rwlock", &opts,
				       &scene->parties[role].rwlock) == 0);
}

/* --- contexts --- */

void rwlock_hold_read(struct scene *scene, struct party *party)
{
	(void)scene;
	require(mp_rwlock_acquire_read(party->rwlock, MP_NOW) == 0);
	party->ledger->holds++;
}

void rwlock_hold_write(struct scene *scene, struct party *party)
{
	(void)scene;
	require(mp_rwlock_acquire_write(party->rwlock, MP_NOW) == 0);
	party->ledger->holds++;
}

static void survivor_reads(struct scene *scene)
{
	rwlock_hold_read(scene, &scene->parties[SURVIVOR]);
}

static void survivor_writes(struct scene *scene)
{
	rwlock_hold_write(scene, &scene->parties[SURVIVOR]);
}

/* Nobody has swept it yet. */
static void die(struct scene *scene, enum role role)
{
	struct party *party = &scene->parties[role];

	require(slot_mark_dead(party->seg, party->client, party->generation));
	scene->is_dead[role] = true;
}

static void dead_writer(struct scene *scene)
{
	rwlock_hold_write(scene, &scene->parties[EARLIER]);
	die(scene, EARLIER);
}

static void dead_reader(struct scene *scene)
{
	rwlock_hold_read(scene, &scene->parties[EARLIER]);
	rwlock_hold_read(scene, &scene->parties[EARLIER]);
	die(scene, EARLIER);
}

/* As its death would: it is reported. */
static void close_written_by(struct party *party)
{
	require(mp_rwlock_acquire_write(party->rwlock, MP_NOW) == 0);
	party->rwlock = mp_rwlock_close(party->rwlock);
}

static void close_written(struct scene *scene)
{
	close_written_by(&scene->parties[SLEEPER]);
}

static void dead_told(struct scene *scene)
{
	close_written(scene);
	require(mp_rwlock_acquire_read(scene->parties[EARLIER].rwlock, MP_NOW) == MP_OWNER_DIED);
	die(scene, EARLIER);
}

bool rwlock_begins_with_a_death(const struct scene *scene)
{
	void (*begin)(struct scene *scene) = scene->context->begin;

	return begin == dead_writer || begin == close_written || begin == dead_told;
}

bool rwlock_meets_a_death(const struct scene *scene, const struct operation *operation)
{
	return rwlock_begins_with_a_death(scene) &&
	       !(scene->context->begin == dead_told && operation->run == rwlock_read);
}

bool rwlock_survivor_reads(const struct scene *scene)
{
	return scene->context->begin == survivor_reads && scene->parties[SURVIVOR].ledger->holds;
}

bool rwlock_survivor_writes(const struct scene *scene)
{
	return scene->context->begin == survivor_writes && scene->parties[SURVIVOR].ledger->holds;
}

static const struct context contexts[] = {
	{ .name = "free" },
	{ .name = "not written" }, /* free too, but for who reads by his operation */
	{ .name = "read", .begin = survivor_reads },
	{ .name = "written", .begin = survivor_writes },
	{ .name = "read and waited for", .begin = survivor_reads, .has_sleeper = true },
	{ .name = "waited for", .has_sleeper = true },
	{ .name = "of a dead writer", .begin = dead_writer },
	{ .name = "of a dead reader", .begin = dead_reader },
	{ .name = "after a death", .begin = close_written },
	{ .name = "of a dead reader who was told", .begin = dead_told },
	{ .name = "another in the middle", .earlier = EARLIER_STANDS, .at = 1, .is_tight = true },
};

/* --- operations --- */

int rwlock_read(struct scene *scene, struct party *party)
{
	return mp_rwlock_acquire_read(party->rwlock, scene->timeout);
}

int rwlock_read_briefly(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_rwlock_acquire_read(party->rwlock, BRIEFLY_NS);
}

int rwlock_write(struct scene *scene, struct party *party)
{
	return mp_rwlock_acquire_write(party->rwlock, scene->timeout);
}

int rwlock_write_briefly(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_rwlock_acquire_write(party->rwlock, BRIEFLY_NS);
}

int rwlock_repair(struct scene *scene, struct party *party)
{
	(void)scene;
	return mp_rwlock_repair(party->rwlock);
}

int rwlock_release(struct scene *scene, struct party *party)
{
	int result = mp_rwlock_release(party->rwlock);

	(void)scene;
	if (result == 0)
		party->ledger->holds--;
	return result;
}

int rwlock_close_held(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->holds = 0;
	party->rwlock = mp_rwlock_close(party->rwlock);
	return 0;
}

/* --- before and after --- */

void rwlock_hold_told(struct scene *scene, struct party *party)
{
	bool is_earlier = party == &scene->parties[EARLIER];

	close_written_by(&scene->parties[is_earlier ? SLEEPER : EARLIER]);
	require(mp_rwlock_acquire_read(party->rwlock, MP_NOW) == MP_OWNER_DIED);
	party->ledger->holds++;
}

static void give_all_back(struct scene *scene, struct party *party)
{
	while (party->ledger->holds)
		require(rwlock_release(scene, party) == 0);
}

static void let_go(struct scene *scene, struct party *party)
{
	if (party->ledger->result >= 0)
		require(mp_rwlock_release(party->rwlock) == 0);
	give_all_back(scene, party);
}

static void wait_to_write(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->result = mp_rwlock_acquire_write(party->rwlock, MP_FOREVER);
	if (party->ledger->result >= 0)
		require(mp_rwlock_release(party->rwlock) == 0);
}

static void wait_to_read(struct scene *scene, struct party *party)
{
	(void)scene;
	party->ledger->result = mp_rwlock_acquire_read(party->rwlock, MP_FOREVER);
	if (party->ledger->result >= 0)
		require(mp_rwlock_release(party->rwlock) == 0);
}

#define ROW(text, is, where, does)                                                                 \
	.name = text, .family = &rwlock_family, .contexts = where, .variant = is, .run = does
#define ACQUIRE(text, is, where, does)                                                             \
	{ ROW(text, is, where, does), .settle = let_go, .unblock = give_all_back,                  \
	  .sleep = wait_to_write }
#define BRIEF(text, where, does)                                                                   \
	{ ROW(text, 0, where, does), .settle = let_go, .sleep = wait_to_write }
#define OF_READER(text, where, does)                                                               \
	{ ROW(text, 0, where, does), .arrange = rwlock_hold_read, .settle = give_all_back,         \
	  .sleep = wait_to_write }
/* What only one can do who has it. */
#define OF_HOLDER(text, is, where, does, how, sleeps)                                              \
	{ ROW(text, is, where, does), .arrange = how, .settle = give_all_back, .sleep = sleeps,    \
	  .is_exclusive = true }

#define POISONS RWLOCK_POISONS
#define SOMEBODY_DEAD (DEAD_WRITER | DEAD_READER | DIED | DEAD_TOLD)

static const struct operation operations[] = {
	ACQUIRE("rwlock read acquire", 0,
		FREE | UNWRITTEN | READ | WRITTEN | SOMEBODY_DEAD | STANDING, rwlock_read),
	ACQUIRE("rwlock write acquire", 0,
		FREE | UNWRITTEN | READ | WRITTEN | SOMEBODY_DEAD | STANDING, rwlock_write),
	ACQUIRE("poisonable rwlock read acquire", POISONS, DEAD_WRITER | DIED, rwlock_read),
	ACQUIRE("poisonable rwlock write acquire", POISONS, FREE | DEAD_WRITER | DIED,
		rwlock_write),
	{ ROW("rwlock read acquire again", 0, UNWRITTEN | READ_AND_WAITED_FOR, rwlock_read),
	  .arrange = rwlock_hold_read, .settle = let_go, .sleep = wait_to_write },
	BRIEF("brief rwlock read", WRITTEN | READ_AND_WAITED_FOR, rwlock_read_briefly),
	BRIEF("brief rwlock write", WRITTEN | READ | READ_AND_WAITED_FOR, rwlock_write_briefly),
	OF_READER("rwlock read release", UNWRITTEN | READ | READ_AND_WAITED_FOR | WAITED_FOR,
		  rwlock_release),
	OF_READER("rwlock read close", UNWRITTEN | WAITED_FOR, rwlock_close_held),
	OF_HOLDER("rwlock read release of who was told", 0, FREE | WAITED_FOR, rwlock_release,
		  rwlock_hold_told, wait_to_write),
	OF_HOLDER("rwlock write release", 0, FREE | WAITED_FOR, rwlock_release, rwlock_hold_write,
		  wait_to_write),
	OF_HOLDER("rwlock write release to a reader", 0, WAITED_FOR, rwlock_release,
		  rwlock_hold_write, wait_to_read),
	OF_HOLDER("poisonable rwlock write release", POISONS, FREE | WAITED_FOR, rwlock_release,
		  rwlock_hold_write, wait_to_read),
	OF_HOLDER("rwlock write close", 0, FREE | WAITED_FOR, rwlock_close_held, rwlock_hold_write,
		  wait_to_read),
	ACQUIRE("rwlock repair", POISONS, DIED, rwlock_repair),
};

const struct family rwlock_family = {
	.name = "rwlock",
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.contexts = contexts,
	.context_count = sizeof contexts / sizeof *contexts,
	.begin = rwlock_begin,
	.look = rwlock_look,
	.check = rwlock_check,
	.may_say = rwlock_may_say,
	.pair_contexts = FREE | UNWRITTEN | SOMEBODY_DEAD,
};
