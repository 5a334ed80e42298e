/* SPDX-License-Identifier: MIT
 *
 * Pairs of counters from one sample to the next. Knows: how to find the same pair again. Does not
 * know: what they count.
 */
#include "model.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	const struct counter *left = a, *right = b;

	if (left->generation != right->generation)
		return left->generation < right->generation ? -1 : 1;
	return (left->id > right->id) - (left->id < right->id);
}

int counters_add(struct counters *counters, const struct counter *counter)
{
	if (counters->count == counters->capacity) {
		unsigned capacity = counters->capacity * 2 + 64;
		void *larger = realloc(counters->rows, capacity * sizeof(*counters->rows));

		if (!larger)
			return -ENOMEM;
		counters->rows = larger;
		counters->capacity = capacity;
	}
	counters->rows[counters->count++] = *counter;
	return 0;
}

void counters_sort(struct counters *counters)
{
	if (counters->count)
		qsort(counters->rows, counters->count, sizeof(*counters->rows), compare);
}

const struct counter *counters_find(const struct counters *counters, uint64_t generation,
				    uint64_t id)
{
	struct counter wanted = { .generation = generation, .id = id };

	if (!counters->count)
		return NULL;
	return bsearch(&wanted, counters->rows, counters->count, sizeof(wanted), compare);
}
