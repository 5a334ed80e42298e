/* SPDX-License-Identifier: MIT
 *
 * See name.h.
 */
#include "name.h"

#include "explain.h"
#include "layout.h"
#include "text.h"

#include <errno.h>
#include <string.h>

#define SHOWN 20 /* bytes of a name that is too long */

/* FAULT(NAME, error, "what is wrong with it") */
#define FAULTS                                                                                     \
	FAULT(EMPTY, -EINVAL, "is empty")                                                          \
	FAULT(TOO_LONG, -ENAMETOOLONG, "is too long")                                              \
	FAULT(SLASH, -EINVAL, "contains '/'")                                                      \
	FAULT(UNSEEN, -EINVAL, "contains a control or invisible character or is no UTF-8")

enum fault {
	GOOD,
#define FAULT(name, error, text) name,
	FAULTS
#undef FAULT
};

static enum fault find_fault(const char *name)
{
	size_t length = strnlen(name, NAME_BYTES), at = 0;

	if (length == 0)
		return EMPTY;
	if (length == NAME_BYTES)
		return TOO_LONG;
	while (at < length) {
		size_t bytes = text_character((const uint8_t *)name + at, length - at);

		if (bytes == 0)
			return UNSEEN;
		if (name[at] == '/')
			return SLASH;
		at += bytes;
	}
	return GOOD;
}

bool name_is_good(const char *name)
{
	return find_fault(name) == GOOD;
}

int name_check(const char *what, const char *name)
{
	static const struct {
		int error;
		const char *text;
	} faults[] = {
#define FAULT(name, error, text) [name] = { error, text },
		FAULTS
#undef FAULT
	};
	enum fault fault = find_fault(name);

	if (fault == GOOD)
		return 0;
	return explain(faults[fault].error,
		       "the %s's name '%.*s%s' %s: it must be 1 to %d bytes of visible UTF-8 "
		       "without '/'",
		       what, fault == TOO_LONG ? SHOWN : NAME_BYTES, name,
		       fault == TOO_LONG ? "..." : "", faults[fault].text, NAME_BYTES - 1);
}
