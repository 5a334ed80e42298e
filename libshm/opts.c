/* SPDX-License-Identifier: MIT
 *
 * See opts.h. A field that is not looked at today may mean something in a later version, so it is
 * refused unless it is zero. Knows: the sentences of refusals. Does not know: any call's options.
 */
#include "opts.h"

#include "explain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *opts_name(struct opts_of what)
{
	return what.name ? what.name : "(anonymous)";
}

int opts_refuse_null(const char *call, const char *what)
{
	return explain(-EINVAL, "%s needs a %s, not NULL", call, what);
}

int opts_check_pointer(struct opts_of what, const char *field, const void *pointer)
{
	if (pointer)
		return 0;
	return explain(-EINVAL, "%s '%s': %s must not be NULL", what.kind, opts_name(what), field);
}

int opts_check_handles(struct opts_of what, const void *segment, const char *field,
		       const void *pointer)
{
	int error = opts_check_pointer(what, "segment", segment);

	return error < 0 ? error : opts_check_pointer(what, field, pointer);
}

int opts_check_flags(struct opts_of what, uint32_t flags, uint32_t known, const char *known_names)
{
	if (!(flags & ~known))
		return 0;
	return explain(-EINVAL, "%s '%s': opts.flags has %#x, which it does not take; it takes %s",
		       what.kind, opts_name(what), flags & ~known, known_names);
}

int opts_check_reserved(struct opts_of what, uint32_t reserved0, const uint64_t *reserved,
			unsigned count)
{
	if (reserved0)
		return explain(-EINVAL, "%s '%s': opts.reserved0 is %u, it must be 0", what.kind,
			       opts_name(what), reserved0);
	for (unsigned i = 0; i < count; i++)
		if (reserved[i])
			return explain(-EINVAL, "%s '%s': opts.reserved[%u] is not 0; clear the "
						"whole struct before you fill it",
				       what.kind, opts_name(what), i);
	return 0;
}

int opts_check_text(struct opts_of what, const char *field, const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (length < NAME_BYTES)
		return 0;
	return explain(-ENAMETOOLONG, "%s '%.20s': opts.%s '%.20s...' has %zu bytes, at most %d",
		       what.kind, opts_name(what), field, text, length, NAME_BYTES - 1);
}

void opts_note_word(struct opts_difference *difference, const char *field, const char *there,
		    const char *wanted)
{
	size_t used = strlen(difference->text);

	if (wanted && strcmp(there, wanted) != 0)
		snprintf(difference->text + used, sizeof(difference->text) - used,
			 "%s %s is %s, not %s", used ? "," : "", field, there, wanted);
}

void opts_note_number(struct opts_difference *difference, const char *field, uint64_t there,
		      uint64_t wanted)
{
	char there_text[24], wanted_text[24];

	snprintf(there_text, sizeof(there_text), "%llu", (unsigned long long)there);
	snprintf(wanted_text, sizeof(wanted_text), "%llu", (unsigned long long)wanted);
	opts_note_word(difference, field, there_text, wanted ? wanted_text : NULL);
}
