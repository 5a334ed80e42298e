/* SPDX-License-Identifier: MIT
 *
 * What may be a name, of a segment or of an object in one. Knows: the rule, and the sentence for
 * who breaks it. Does not know: which names there are.
 *
 * A name is 1 to NAME_BYTES - 1 bytes of UTF-8 without '/', which separates segment and object
 * where a user writes both, and only of characters that can be seen (text.h).
 */
#ifndef LIBSHM_NAME_H
#define LIBSHM_NAME_H

#include <stdbool.h>

bool name_is_good(const char *name);

/* 0, or -EINVAL or -ENAMETOOLONG with a sentence. `what` is "segment" or "object". */
int name_check(const char *what, const char *name);

#endif
