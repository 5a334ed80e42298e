/* SPDX-License-Identifier: MIT
 *
 * One participant being swept. Knows: client and thread slots' words. Does not know: objects.
 */
#include "sweep.h"

#include "slot.h"

bool sweep_is_current(const struct sweep *sweep)
{
	/* seq_cst: a hold was shown before, or a word read (object_hold.c). */
	uint64_t word = load_seqcst(&sweep->seg->clients[sweep->client].word);

	if (sweep_is_own(sweep))
		return true;
	/* mpd's slot is never freed; whoever becomes mpd gives it another generation. */
	return client_word_generation(word) == sweep->generation &&
	       (client_word_state(word) == SLOT_DEAD || sweep->client == SLOT_MPD);
}

bool sweep_has_thread(const struct sweep *sweep, uint64_t who)
{
	if (who == 0)
		return false;
	if (sweep->who)
		return sweep->who == who;
	return slot_client_of_who(sweep->seg, who) == sweep->client;
}
