/* SPDX-License-Identifier: MIT
 *
 * One participant being swept. Knows: client and thread slots' words. Does not know: objects.
 */
#include "sweep.h"

#include "slot.h"

bool sweep_is_current(const struct sweep *sweep)
{
	uint64_t word = slot_client_word(sweep->seg, sweep->client);

	if (sweep->who)
		return true; /* its own process does it */
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
