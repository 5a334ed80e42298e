/* SPDX-License-Identifier: MIT
 *
 * See restart_worker.h.
 */
#include "restart_worker.h"

#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEGMENT_BYTES (4u << 20)

struct open_name {
	mp_segment *segment; /* NULL: not open */
	mp_queue *queue;
};

struct worker {
	struct restart_books *books;
	unsigned number;
	unsigned seed;
	struct open_name open[NAMES_EACH];
	mp_segment *common;
	mp_queue *queue;
	mp_lock *lock;
};

void restart_name(unsigned worker, unsigned number, char ret_name[static 32])
{
	snprintf(ret_name, 32, "w%u-%u", worker, number);
}

bool restart_may_be_lost(const struct restart_books *books, const struct name_books *name)
{
	return name->state == NAME_KEPT && (name->pairs % 2 || name->pairs != books->pairs);
}

static _Noreturn void wrong(const struct worker *worker, const char *name, const char *what,
			    long number)
{
	fprintf(stderr, "# worker %u, '%s': %s (%ld); %s\n", worker->number, name, what, number,
		mp_explain());
	exit(1);
}

static unsigned dice(struct worker *worker, unsigned sides)
{
	return (unsigned)rand_r(&worker->seed) % sides;
}

/* The memory of a name is known by its stamp: one message, taken and put back. A death between the
 * two is the worker's own, and then nobody asks for it. */
static int read_stamp(struct worker *worker, unsigned number, uint64_t *ret_stamp)
{
	mp_queue *queue = worker->open[number].queue;
	struct mp_slot slot;
	int result = mp_queue_claim(queue, MP_NOW, &slot);

	if (result < 0)
		return result;
	*ret_stamp = *(const uint64_t *)slot.data;
	return mp_queue_return(queue, &slot);
}

static void write_stamp(struct worker *worker, unsigned number)
{
	struct name_books *name = &worker->books->names[worker->number][number];
	uint64_t stamp = atomic_fetch_add(&worker->books->last_stamp, 1) + 1;
	int result = mp_queue_put(worker->open[number].queue, &stamp, sizeof stamp, MP_NOW);

	if (result < 0)
		wrong(worker, "q", "no stamp can be put", result);
	name->stamp = stamp;
}

static int open_name(struct worker *worker, unsigned number, uint32_t flags)
{
	struct mp_segment_opts opts = { .size_bytes = SEGMENT_BYTES, .flags = flags };
	struct mp_queue_opts shape = { .capacity = 4, .message_bytes = 8 };
	struct open_name *open = &worker->open[number];
	char name[32];
	int result;

	restart_name(worker->number, number, name);
	result = mp_segment_open(name, &opts, &open->segment);
	if (result < 0)
		return result;
	result = mp_queue_open(open->segment, "q", &shape, &open->queue);
	if (result < 0)
		wrong(worker, name, "its queue cannot be opened", result);
	return 0;
}

static void close_name(struct worker *worker, unsigned number)
{
	struct open_name *open = &worker->open[number];

	open->queue = mp_queue_close(open->queue);
	open->segment = mp_segment_close(open->segment);
}

/* --- steps --- */

/* What was closed a moment ago may still be there; another memory than that must be new. */
static void make_name(struct worker *worker, unsigned number)
{
	struct name_books *name = &worker->books->names[worker->number][number];
	uint64_t stamp = 0;
	int result;

	name->is_kept = dice(worker, 2);
	name->state = NAME_DOUBT;
	result = open_name(worker, number, name->is_kept ? MP_KEEP : 0);
	if (result < 0)
		wrong(worker, "one's own", "it cannot be made", result);
	result = read_stamp(worker, number, &stamp);
	if (result >= 0 && !(name->may_be_old && stamp == name->stamp))
		wrong(worker, "a new one", "there is another's message in it", (long)stamp);
	if (result < 0)
		write_stamp(worker, number);
	name->pairs = worker->books->pairs;
	name->state = NAME_OPEN;
}

static void check_name(struct worker *worker, unsigned number)
{
	struct name_books *name = &worker->books->names[worker->number][number];
	uint64_t stamp = 0;
	int result = read_stamp(worker, number, &stamp);

	if (result < 0 || stamp != name->stamp)
		wrong(worker, "one's own", "it is another memory", (long)stamp);
}

static void reopen_name(struct worker *worker, unsigned number)
{
	struct name_books *name = &worker->books->names[worker->number][number];
	int result = open_name(worker, number, MP_EXISTING);

	if (result == -ENOENT && restart_may_be_lost(worker->books, name)) {
		name->may_be_old = 0;
		name->state = NAME_ABSENT; /* nobody had it when nobody was left */
		return;
	}
	if (result < 0)
		wrong(worker, "one that was kept", "it is lost", result);
	check_name(worker, number);
	name->pairs = worker->books->pairs;
	name->state = NAME_OPEN;
}

/* The books say what will be before it is: between the two it may be either. */
static void leave_name(struct worker *worker, unsigned number)
{
	struct name_books *name = &worker->books->names[worker->number][number];

	name->state = NAME_DOUBT;
	name->pairs = worker->books->pairs;
	close_name(worker, number);
	name->may_be_old = 1;
	name->state = name->is_kept ? NAME_KEPT : NAME_ABSENT;
}

/* Asked again after mpd's death, it may be gone already. */
static void remove_name(struct worker *worker, unsigned number)
{
	struct name_books *name = &worker->books->names[worker->number][number];
	char text[32];
	int result;

	restart_name(worker->number, number, text);
	name->state = NAME_DOUBT;
	result = mp_segment_unlink(text);
	if (result < 0 && result != -ENOENT)
		wrong(worker, text, "it cannot be removed", result);
	close_name(worker, number);
	name->may_be_old = 0;
	name->state = NAME_ABSENT;
}

static void use_common(struct worker *worker)
{
	struct restart_books *books = worker->books;
	uint64_t message = worker->number;
	int result = mp_lock_acquire(worker->lock, MP_SEC(20));

	if (result < 0)
		wrong(worker, COMMON, "no lock", result);
	if (result == MP_OWNER_DIED)
		books->b = books->a;
	if (books->a != books->b)
		wrong(worker, COMMON, "two hold the lock", (long)(books->a - books->b));
	books->a++;
	books->b++;
	result = mp_lock_release(worker->lock);
	if (result < 0)
		wrong(worker, COMMON, "it cannot be released", result);
	if (mp_queue_put(worker->queue, &message, sizeof message, MP_NOW) == 0)
		books->put++;
	if (dice(worker, 2) && mp_queue_get(worker->queue, &message, sizeof message, MP_NOW) > 0)
		books->got++;
}

static void step(struct worker *worker)
{
	unsigned number = dice(worker, NAMES_EACH), choice = dice(worker, 8);
	uint32_t state = worker->books->names[worker->number][number].state;

	use_common(worker);
	switch (state) {
	case NAME_ABSENT:
		make_name(worker, number);
		break;
	case NAME_KEPT:
		reopen_name(worker, number);
		break;
	default:
		if (choice < 3)
			check_name(worker, number);
		else if (choice < 6)
			leave_name(worker, number);
		else
			remove_name(worker, number);
	}
	worker->books->steps++;
}

/* --- a life --- */

/* What the worker before this one left: it is dead, and had it attached to nobody else's. */
static void take_over(struct worker *worker)
{
	for (unsigned i = 0; i < NAMES_EACH; i++) {
		struct name_books *name = &worker->books->names[worker->number][i];
		char text[32];

		restart_name(worker->number, i, text);
		if (name->state == NAME_DOUBT) {
			(void)!mp_segment_unlink(text);
			name->may_be_old = 0;
			name->state = NAME_ABSENT;
		} else if (name->state == NAME_OPEN) {
			name->may_be_old = 1;
			name->state = name->is_kept ? NAME_KEPT : NAME_ABSENT;
		}
	}
}

static void open_common(struct worker *worker)
{
	struct mp_segment_opts opts = { .size_bytes = SEGMENT_BYTES };
	struct mp_queue_opts shape = { .capacity = 64, .message_bytes = 8 };
	int result = mp_segment_open(COMMON, &opts, &worker->common);

	if (result == 0)
		result = mp_queue_open(worker->common, "q", &shape, &worker->queue);
	if (result == 0)
		result = mp_lock_open(worker->common, "l", NULL, &worker->lock);
	if (result < 0)
		wrong(worker, COMMON, "it cannot be opened", result);
}

static void park(struct worker *worker)
{
	worker->books->is_parked[worker->number] = 1;
	while (worker->books->is_pausing && !worker->books->is_ending)
		harness_sleep_ms(1);
	worker->books->is_parked[worker->number] = 0;
}

static void give_up(struct worker *worker)
{
	for (unsigned i = 0; i < NAMES_EACH; i++) {
		struct name_books *name = &worker->books->names[worker->number][i];

		if (name->state == NAME_KEPT)
			reopen_name(worker, i);
		if (name->state == NAME_OPEN)
			remove_name(worker, i);
	}
	mp_queue_close(worker->queue);
	mp_lock_close(worker->lock);
	mp_segment_close(worker->common);
}

int restart_work(struct restart_books *books, unsigned number)
{
	struct worker worker = { .books = books, .number = number,
				 .seed = (unsigned)getpid() };

	open_common(&worker);
	take_over(&worker);
	while (!books->is_ending) {
		if (books->is_pausing)
			park(&worker);
		else
			step(&worker);
	}
	give_up(&worker);
	return 0;
}
