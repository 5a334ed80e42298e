/* SPDX-License-Identifier: MIT
 *
 * See judge.h. Knows: what mpd does with a death.
 */
#include "judge.h"

#include "clock.h"
#include "leaks.h"
#include "recover.h"
#include "slot.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define WOKE_NS INT64_C(10000000000)

bool complain(struct scene *scene, const char *format, ...)
{
	char sentence[300], second[60] = "";
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	if (scene->other)
		snprintf(second, sizeof second, " at %u", scene->other_step);
	fprintf(stderr, "crash: %s, %s, %s %u%s%s%s: %s\n", scene->operation->name,
		scene->context->name, scene->at, scene->step, scene->other ? " with " : "",
		scene->other ? scene->other->name : "", second, sentence);
	return false;
}

static uint32_t thread_of(struct seg *seg, uint32_t client)
{
	uint32_t high = seg_threads_high(seg);

	for (uint32_t thread = SLOT_FIRST; thread < high; thread++) {
		uint64_t word = load_acquire(&seg->threads[thread].word);

		if (thread_word_state(word) != SLOT_FREE && thread_word_client(word) == client)
			return thread;
	}
	return SLOT_NONE;
}

uint32_t judge_bell(struct scene *scene, enum role role)
{
	struct seg *seg = scene->parties[CHECKER].seg;

	return load_seqcst(&seg->threads[thread_of(seg, scene->parties[role].client)].bell);
}

bool judge_sleeper_woke(struct scene *scene)
{
	atomic_int *is_done = &scene->parties[SLEEPER].ledger->is_done;
	int64_t until = clock_now_ns() + WOKE_NS;
	struct timespec nap = { .tv_nsec = 30000 };

	if (scene->is_copy)
		return judge_bell(scene, SLEEPER) >> 1 != scene->sleeper_bell >> 1;
	if (judge_bell(scene, SLEEPER) == scene->sleeper_bell && !atomic_load(is_done))
		return false;
	while (!atomic_load(is_done) && clock_now_ns() < until)
		nanosleep(&nap, NULL);
	return atomic_load(is_done);
}

/* One that attached while it died is known by its pid alone. */
static void find_attaching(struct scene *scene)
{
	struct party *victim = &scene->parties[VICTIM];
	struct seg *seg = scene->parties[CHECKER].seg;

	for (uint32_t client = SLOT_FIRST; client < seg->at.max_clients; client++) {
		uint64_t word = slot_client_word(seg, client);

		if (client_word_state(word) != SLOT_FREE &&
		    client_word_pid(word) == (uint32_t)scene->victim_pid) {
			victim->client = client;
			victim->generation = client_word_generation(word);
		}
	}
}

static void declare_dead(struct scene *scene, enum role role)
{
	struct party *party = &scene->parties[role];

	if (party->client)
		recover_client(scene->parties[CHECKER].seg, party->client, party->generation);
}

static bool says_what_it_may(struct scene *scene, enum role role)
{
	const struct ledger *ledger = scene->parties[role].ledger;
	const struct family *family = scene->operation->family;

	return !family->may_say || !atomic_load(&ledger->is_done) ||
	       family->may_say(scene, role, ledger->result);
}

bool judge_scene(struct scene *scene)
{
	bool is_good;

	if (scene->operation->family->victim_attaches)
		find_attaching(scene);
	if (scene->operation->family->look)
		scene->operation->family->look(scene);
	for (enum role role = 0; role < ROLES; role++)
		if (scene->is_dead[role] && !scene->is_swept[role])
			declare_dead(scene, role);
	is_good = says_what_it_may(scene, VICTIM) && says_what_it_may(scene, SURVIVOR);
	is_good &= leaks_none_of_the_dead(scene);
	is_good &= scene->operation->family->check(scene);
	return leaks_none_afterwards(scene) && is_good;
}
