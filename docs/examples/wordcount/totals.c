/* SPDX-License-Identifier: MIT
 *
 * Sums that all workers keep together under one lock. Knows: mp_lock and what MP_OWNER_DIED asks
 * for. Does not know: words.
 *
 * After a crash: each file's own figures are written before its is_done, so the sums can always be
 * made again from the files that are done.
 */
#include "totals.h"

static void add_up(struct board *board, uint32_t files)
{
	struct totals sum = { .repairs = board->totals.repairs + 1 };

	for (uint32_t i = 0; i < files; i++) {
		if (!board->files[i].is_done)
			continue;
		sum.files++;
		sum.bytes += board->files[i].bytes;
		sum.words += board->files[i].words;
	}
	board->totals = sum;
}

static int enter(struct job *job, int64_t timeout)
{
	int result = mp_lock_acquire(job->totals, timeout);

	if (result == MP_OWNER_DIED)
		add_up(job->board, job->list->count);
	return result < 0 ? result : 0;
}

int totals_add(struct job *job, uint32_t file, uint64_t bytes, uint64_t words)
{
	struct file_total *mine = &job->board->files[file];
	struct totals *totals = &job->board->totals;
	int result = enter(job, MP_FOREVER);

	if (result < 0)
		return result;
	if (!mine->is_done) {
		mine->bytes = bytes;
		mine->words = words;
		atomic_store(&mine->is_done, 1);
		totals->files++;
		totals->bytes += bytes;
		totals->words += words;
	}
	return mp_lock_release(job->totals);
}

int totals_read(struct job *job, struct totals *ret_totals, int64_t timeout)
{
	int result = enter(job, timeout);

	if (result < 0)
		return result;
	*ret_totals = job->board->totals;
	return mp_lock_release(job->totals);
}
