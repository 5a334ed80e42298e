/* SPDX-License-Identifier: MIT
 *
 * See queue_expect.h. Knows: cells and records. Does not know: which operation was cut off.
 *
 * | where                                   | must come back |
 * | cell READY                              | yes            |
 * | cell READY, taken before                | flagged        |
 * | cell READING by a dead one              | flagged        |
 * | cell WRITING by a dead one              | no             |
 * | record LEASED or ENDING by a dead one   | flagged        |
 * | record CLAIMING, filled, its cell moved | flagged        |
 * | record CLAIMING otherwise               | as the cell    |
 * | record RETURNED                         | flagged        |
 */
#include "queue_expect.h"

#include "queue_internal.h"
#include "queue_message.h"

/* Of this CHECKER. */
static enum fate fates[NUMBERS_MAX];
static uint64_t doubled;
static bool was_closed;

static bool is_dead(const struct scene *scene, uint32_t client)
{
	for (enum role role = 0; role < ROLES; role++)
		if (scene->is_dead[role] && scene->parties[role].client == client)
			return true;
	return false;
}

/* The message that `payload` is or refers to. */
static uint64_t number_at(const struct scene *scene, uint64_t meta, const void *payload)
{
	const struct message *message = payload;
	uint64_t bytes;

	if (cell_meta_len(meta) == 0)
		return number_of_nothing(scene);
	if (cell_meta_kind(meta) == PAYLOAD_BLOCK)
		message = arena_at(scene->parties[CHECKER].seg, *(const uint64_t *)payload, &bytes);
	return message ? message->number : NUMBERS_MAX;
}

static void expect(uint64_t number, enum fate fate)
{
	if (number >= NUMBERS_MAX)
		return; /* the drain tells that it is not whole */
	if (fates[number] != FATE_ABSENT)
		doubled = number;
	fates[number] = fate;
}

static void look_at_cell(struct scene *scene, struct shm_cell *cell)
{
	uint64_t word = load_acquire(&cell->word), number;
	enum cell_state state = cell_word_state(word);

	if (state != CELL_READY && state != CELL_READING)
		return;
	number = number_at(scene, load_relaxed(&cell->meta), &cell->payload);
	if (state == CELL_READY)
		expect(number, cell_word_tries(word) ? FATE_FLAGGED : FATE_THERE);
	else if (is_dead(scene, cell_word_client(word)))
		expect(number, FATE_FLAGGED);
}

/* Has the message left its cell? */
static bool has_moved(const struct ring *ring, struct shm_lease *lease, uint64_t word)
{
	uint64_t from = load_relaxed(&lease->from);
	uint64_t there;

	if (load_relaxed(&lease->filled) != lease_word_seq(word))
		return false;
	there = load_acquire(&ring->cells[position_index(from)].word);
	return cell_word_state(there) != CELL_READING ||
	       cell_word_client(there) != lease_word_client(word) ||
	       cell_word_lap(there) != position_lap(from);
}

static void look_at_lease(struct scene *scene, const struct ring *ring, struct shm_lease *lease)
{
	uint64_t word = load_acquire(&lease->word);
	enum lease_state state = lease_word_state(word);
	bool is_left = is_dead(scene, lease_word_client(word)) &&
		       (state == LEASE_LEASED || state == LEASE_ENDING ||
			(state == LEASE_CLAIMING && has_moved(ring, lease, word)));

	if (state == LEASE_RETURNED || is_left)
		expect(number_at(scene, load_relaxed(&lease->meta), &lease->payload),
		       FATE_FLAGGED);
}

void queue_look(struct scene *scene)
{
	struct ring *ring = &scene->parties[CHECKER].queue->ring;
	struct shm_lease *lease;

	was_closed = load_seqcst(&ring->shared->closed);
	for (uint32_t i = 0; i < ring->capacity; i++)
		look_at_cell(scene, &ring->cells[i]);
	for (uint64_t i = 0; (lease = lease_at(ring, i)); i++)
		look_at_lease(scene, ring, lease);
}

bool queue_expects_exactly(const struct scene *scene)
{
	return !scene->other && (!scene->context->has_sleeper || scene->is_copy);
}

enum fate queue_fate(uint64_t number)
{
	return fates[number];
}

bool queue_has_no_double(struct scene *scene)
{
	return !doubled || !queue_expects_exactly(scene) ||
	       complain(scene, "message %d is in two places", (int)doubled);
}

bool queue_was_closed(void)
{
	return was_closed;
}
