/* SPDX-License-Identifier: MIT
 *
 * What a read-write lock promises when one of its holders dies. Knows: who may have been in. Does
 * not know: how anyone dies, how a scene was arranged (family_rwlock.c).
 *
 * After every death everybody can get in again, many to read or one to write. A writer that died
 * inside is told to the next one in, once; nobody else's death is told. Who was told, and died
 * before he left, leaves that to the next. No share of the dead is left, and who slept is in, or
 * the next.
 */
#include "family_rwlock.h"

#include "judge.h"
#include "recover.h"
#include "require.h"
#include "rwlock_internal.h"
#include "scene.h"
#include "slot.h"
#include "teardown.h"

#include <errno.h>

/* Of something that only the victim could tell. */
enum answer { NO, MAYBE, YES };

struct known {
	enum answer had_it; /* did VICTIM leave a death to be told? */
	enum answer is_due; /* is one to be told to those who live? */
};

/* In a pair, and when somebody else recovers him, that is over before anybody looks. */
static enum answer was_victims = MAYBE;

static struct shm_rwlock *shared_of(const struct scene *scene)
{
	return scene->parties[CHECKER].rwlock->shared;
}

static bool is_of(const struct scene *scene, uint64_t who, enum role role)
{
	return slot_client_of_who(scene->parties[CHECKER].seg, who) == scene->parties[role].client;
}

/* Inside as a writer, or as the reader that was told of another one. */
static bool is_inside_as(const struct scene *scene, enum role role)
{
	struct shm_rwlock *shared = shared_of(scene);
	uint64_t word = load_acquire(&shared->word), owner = lock_word_owner(word);
	uint32_t thread = rwlock_word_told_slot(word) % THREADS_MAX;
	uint64_t reader = reader_word_who(load_acquire(rwlock_reader(shared, thread)), thread);

	if (owner && load_acquire(&shared->entered) == owner && is_of(scene, owner, role))
		return true;
	return rwlock_word_has_told(word, reader) && is_of(scene, reader, role);
}

void rwlock_look(struct scene *scene)
{
	if (!scene->other)
		was_victims = is_inside_as(scene, VICTIM) ? YES : NO;
}

static bool is_poisonable(const struct scene *scene)
{
	return scene->operation->variant & RWLOCK_POISONS;
}

static int report(const struct scene *scene)
{
	return is_poisonable(scene) ? -ENOTRECOVERABLE : MP_OWNER_DIED;
}

static bool is_report(int told)
{
	return told == MP_OWNER_DIED || told == -ENOTRECOVERABLE;
}

static bool writes(const struct operation *operation)
{
	return operation->run == rwlock_write || operation->run == rwlock_repair;
}

static bool takes(const struct operation *operation)
{
	return writes(operation) || operation->run == rwlock_read;
}

static bool closes_written(const struct operation *operation)
{
	return operation->run == rwlock_close_held && operation->arrange == rwlock_hold_write;
}

/* --- what is to be told --- */

/* Was it inside when it died, so that this is to be told? Its release says no from some step on. */
static enum answer could_have_it(const struct scene *scene)
{
	const struct operation *operation = scene->operation;
	const struct ledger *victim = scene->parties[VICTIM].ledger;
	bool is_done = atomic_load(&victim->is_done);

	if (!scene->is_dead[VICTIM])
		return NO;
	if (operation->is_exclusive)
		return scene->step == 0 ? YES : is_done ? NO : MAYBE;
	if (!writes(operation) || scene->step == 0 || scene->parties[SURVIVOR].ledger->holds)
		return NO;
	return is_done ? (victim->result >= 0 ? YES : NO) : MAYBE;
}

static enum answer had_it(const struct scene *scene)
{
	enum answer answer = could_have_it(scene);

	return answer == MAYBE ? was_victims : answer;
}

static enum answer is_due(const struct scene *scene, enum answer had)
{
	const struct ledger *victim = scene->parties[VICTIM].ledger;

	if (closes_written(scene->operation) || (scene->other && closes_written(scene->other)))
		return YES;
	if (rwlock_begins_with_a_death(scene))
		return !scene->is_dead[VICTIM] && victim->result >= 0 &&
				       rwlock_meets_a_death(scene, scene->operation)
			       ? NO
			       : YES;
	if (had == NO && scene->context->earlier != NO_EARLIER && writes(scene->operation))
		return MAYBE;
	return had;
}

static bool is_told_rightly(struct scene *scene, enum answer due, int told)
{
	if (told != 0 && told != report(scene))
		return complain(scene, "acquire says %d", told);
	if (due == YES && told == 0)
		return complain(scene, "a writer's death is not reported");
	if (due == NO && told != 0)
		return complain(scene, "a death is reported, and nobody died inside");
	return true;
}

/* SURVIVOR was in too, when VICTIM had died or (and gave it back) before it began. */
static bool is_told_once(struct scene *scene, const struct known *known, int told)
{
	bool had_died = rwlock_begins_with_a_death(scene) ||
			scene->operation->arrange == rwlock_hold_told;
	int count = is_report(scene->parties[SURVIVOR].ledger->result) + is_report(told);
	int least = known->is_due == YES, most = had_died + (known->had_it != NO);

	if (count < least)
		return complain(scene, "a writer's death is not reported");
	return count <= (most > least ? most : least) ||
	       complain(scene, "%d deaths are reported, at most %d are due", count, most);
}

static bool is_first_told_rightly(struct scene *scene, const struct known *known, int told)
{
	if (scene->other && takes(scene->other) && scene->parties[SURVIVOR].ledger->result >= 0)
		return is_told_once(scene, known, told);
	return is_told_rightly(scene, known->is_due, told);
}

/* --- who is in --- */

/* May `role` be in when all the dead are swept, by what was arranged? */
static bool may_be_in(const struct scene *scene, enum role role, bool is_writing)
{
	if (role == SLEEPER)
		return scene->context->has_sleeper;
	return role == SURVIVOR && (is_writing ? rwlock_survivor_writes(scene)
					       : rwlock_survivor_reads(scene));
}

static bool is_in_rightly(struct scene *scene, uint64_t who, bool is_writing)
{
	const char *does = is_writing ? "writes" : "reads";

	for (enum role role = 0; role < ROLES; role++)
		if (is_of(scene, who, role)) {
			if (scene->is_dead[role])
				return complain(scene, "a dead one %s", does);
			return may_be_in(scene, role, is_writing) ||
			       complain(scene, "party %d %s, and should be out", role, does);
		}
	return complain(scene, "somebody %s who is no party", does);
}

/* Shares of the dead are gone, those of the living are what they were. */
static bool are_words_right(struct scene *scene)
{
	struct shm_rwlock *shared = shared_of(scene);
	uint64_t owner = lock_word_owner(load_acquire(&shared->word));
	bool is_good = owner == 0 || is_in_rightly(scene, owner, true);
	unsigned shares = 0;

	for (uint32_t thread = 0; thread < THREADS_MAX; thread++) {
		uint64_t word = load_acquire(rwlock_reader(shared, thread));
		uint64_t who = reader_word_who(word, thread);

		if (word)
			is_good &= is_in_rightly(scene, who, false);
		if (word && is_of(scene, who, SURVIVOR))
			shares += reader_word_count(word);
	}
	if (rwlock_survivor_reads(scene) && shares != scene->parties[SURVIVOR].ledger->holds)
		return complain(scene, "who lives reads %u times", shares);
	return is_good;
}

/* Who lives is in still, and alone. */
static bool is_survivor_in(struct scene *scene)
{
	mp_rwlock *rwlock = scene->parties[CHECKER].rwlock;

	if (!rwlock_survivor_reads(scene) && !rwlock_survivor_writes(scene))
		return true;
	if (mp_rwlock_acquire_write(rwlock, MP_NOW) != -EAGAIN)
		return complain(scene, "one came in to write beside who lives");
	if (rwlock_survivor_writes(scene) && mp_rwlock_acquire_read(rwlock, MP_NOW) != -EAGAIN)
		return complain(scene, "one came in to read beside who writes");
	return !atomic_load(&scene->parties[SLEEPER].ledger->is_done) ||
	       complain(scene, "who waits has come in beside who lives");
}

/* Of what it had before its operation. */
static void lets_go(struct scene *scene, struct party *party)
{
	while (party->ledger->holds)
		require(rwlock_release(scene, party) == 0);
}

/* --- who slept --- */

/* In a copy it cannot run: it dies where it is, in the queue, draining, or admitted. */
static void sleeper_dies(struct scene *scene)
{
	struct party *sleeper = &scene->parties[SLEEPER];

	require(slot_mark_dead(scene->parties[CHECKER].seg, sleeper->client, sleeper->generation));
	scene->is_dead[SLEEPER] = true;
	recover_client(scene->parties[CHECKER].seg, sleeper->client, sleeper->generation);
}

static bool sleeper_has_it(struct scene *scene, const struct known *known)
{
	bool is_awake = judge_sleeper_woke(scene);

	if (!is_awake)
		complain(scene, "who waits for the rwlock is not woken");
	if (scene->is_copy) {
		sleeper_dies(scene);
		return is_awake;
	}
	return is_awake && is_told_rightly(scene, known->is_due,
					   scene->parties[SLEEPER].ledger->result);
}

/* The sleeper has had it: the next hears of nothing any more. */
static bool is_next_told_rightly(struct scene *scene, int told)
{
	bool is_poisoned = scene->parties[SLEEPER].ledger->result == -ENOTRECOVERABLE;

	return is_told_rightly(scene, is_poisoned ? YES : NO, told);
}

/* --- does it work? --- */

static bool shuts_out(struct scene *scene, mp_rwlock *rwlock, int to_reader, const char *who)
{
	int result = mp_rwlock_acquire_read(rwlock, MP_NOW);

	if (result != to_reader)
		return complain(scene, "a reader beside a %s is told %d", who, result);
	if (result == 0 && mp_rwlock_release(rwlock) != 0)
		return complain(scene, "who reads beside another cannot leave");
	return mp_rwlock_acquire_write(rwlock, MP_NOW) == -EAGAIN ||
	       complain(scene, "one came in to write beside a %s", who);
}

static bool leaves(struct scene *scene, mp_rwlock *rwlock)
{
	uint64_t word;

	if (mp_rwlock_release(rwlock) != 0)
		return complain(scene, "it cannot be released");
	word = load_acquire(&shared_of(scene)->word);
	return (lock_word_is_free(word) && !(word & (LOCK_DIED | LOCK_POISON | RWLOCK_TOLD))) ||
	       complain(scene, "when all have left, it says %#llx", (unsigned long long)word);
}

static bool passes_laps(struct scene *scene)
{
	mp_rwlock *rwlock = scene->parties[CHECKER].rwlock;
	mp_rwlock *other = scene->parties[SURVIVOR].rwlock;

	for (unsigned lap = 0; lap < 3; lap++) {
		if (mp_rwlock_acquire_read(rwlock, MP_NOW) != 0 ||
		    mp_rwlock_acquire_read(rwlock, MP_NOW) != 0)
			return complain(scene, "lap %u: nobody can read", lap);
		if (!shuts_out(scene, other, 0, "reader") || mp_rwlock_release(rwlock) != 0 ||
		    !shuts_out(scene, other, 0, "reader") || !leaves(scene, rwlock))
			return false;
		if (mp_rwlock_acquire_write(rwlock, MP_NOW) != 0)
			return complain(scene, "lap %u: nobody can write", lap);
		if (!shuts_out(scene, other, -EAGAIN, "writer") || !leaves(scene, rwlock))
			return false;
	}
	return are_words_right(scene);
}

/* The first one in after all: at every other step it reads. */
static bool is_reader_first(const struct scene *scene)
{
	return scene->step % 2;
}

/* What that one is told, who asks without waiting. */
static bool can_be_had(struct scene *scene, int told)
{
	mp_rwlock *rwlock = scene->parties[CHECKER].rwlock;
	bool is_reading = is_reader_first(scene) && told >= 0;

	if (told == -ENOTRECOVERABLE && mp_rwlock_repair(rwlock) != MP_OWNER_DIED)
		return complain(scene, "a poisoned rwlock cannot be repaired");
	if (told < 0 && told != -ENOTRECOVERABLE)
		return complain(scene, "it cannot be had: %d", told);
	return shuts_out(scene, scene->parties[SURVIVOR].rwlock, is_reading ? 0 : -EAGAIN,
			 is_reading ? "reader" : "writer") &&
	       leaves(scene, rwlock) && passes_laps(scene);
}

static int take(struct scene *scene)
{
	mp_rwlock *rwlock = scene->parties[CHECKER].rwlock;

	return is_reader_first(scene) ? mp_rwlock_acquire_read(rwlock, MP_NOW)
				      : mp_rwlock_acquire_write(rwlock, MP_NOW);
}

bool rwlock_check(struct scene *scene)
{
	struct known known = { .had_it = had_it(scene) };
	bool is_good = are_words_right(scene);
	int told;

	is_good &= is_survivor_in(scene);
	known.is_due = is_due(scene, known.had_it);
	lets_go(scene, &scene->parties[SURVIVOR]);
	if (scene->context->has_sleeper)
		is_good &= sleeper_has_it(scene, &known);
	told = take(scene);
	if (scene->context->has_sleeper && !scene->is_copy)
		is_good &= is_next_told_rightly(scene, told);
	else
		is_good &= is_first_told_rightly(scene, &known, told);
	is_good &= can_be_had(scene, told);
	return teardown(scene) && is_good;
}

/* --- what it returns --- */

/* In a pair the other one may have had it before; that sum is asked in rwlock_check. */
static bool may_acquire_say(const struct scene *scene, const struct operation *operation,
			    int result)
{
	if (operation->arrange == rwlock_hold_read)
		return result == 0;
	if (scene->other)
		return result == 0 || result == report(scene);
	if (scene->context->earlier != NO_EARLIER)
		return result == 0 || result == -EAGAIN;
	return result == (rwlock_meets_a_death(scene, operation) ? report(scene) : 0);
}

static bool may_operation_say(const struct scene *scene, const struct operation *operation,
			      int result)
{
	if (operation->run == rwlock_read || operation->run == rwlock_write)
		return may_acquire_say(scene, operation, result);
	if (operation->run == rwlock_read_briefly || operation->run == rwlock_write_briefly)
		return result == -ETIMEDOUT;
	if (operation->run == rwlock_repair)
		return result == MP_OWNER_DIED || (scene->other && result == -EINVAL);
	return result == 0;
}

bool rwlock_may_say(struct scene *scene, enum role role, int result)
{
	const struct operation *operation = scene_operation_of(scene, role);

	if (role == SURVIVOR && !scene->other)
		return true; /* it has unblocked the victim */
	return may_operation_say(scene, operation, result) ||
	       complain(scene, "%s says %d", operation->name, result);
}
