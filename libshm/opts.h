/* SPDX-License-Identifier: MIT
 *
 * What callers hand in, checked before anything is done. Knows: how flags, reserved fields and
 * out-parameters are refused, and shapes other than what is there. Does not know: which ones a call
 * takes.
 */
#ifndef LIBSHM_OPTS_H
#define LIBSHM_OPTS_H

#include "cc.h"

#include <stdint.h>

/* What is opened, for the sentence of a refusal. */
struct opts_of {
	const char *kind; /* "queue" */
	const char *name; /* NULL: anonymous */
};

/* Each 0, or -EINVAL with a sentence that names the field. */
int opts_check_pointer(struct opts_of what, const char *field, const void *pointer);
/* The segment of a call, and one more pointer it needs. */
int opts_check_handles(struct opts_of what, const void *segment, const char *field,
		       const void *pointer);
int opts_check_flags(struct opts_of what, uint32_t flags, uint32_t known, const char *known_names);
int opts_check_reserved(struct opts_of what, uint32_t reserved0, const uint64_t *reserved,
			unsigned count);

/* The handle of a call, or what it fills in, is missing: -EINVAL with a sentence. */
int opts_refuse_null(const char *call, const char *what) cold;

/* A name that is kept: NULL, or short enough. 0, -ENAMETOOLONG. */
int opts_check_text(struct opts_of what, const char *field, const char *text);

/* What is there differs from what was asked for. Empty: it does not. */
struct opts_difference {
	char text[200];
};

/* Wanted 0, or NULL, takes what is there. */
void opts_note_number(struct opts_difference *difference, const char *field, uint64_t there,
		      uint64_t wanted);
void opts_note_word(struct opts_difference *difference, const char *field, const char *there,
		    const char *wanted);

/* The name in sentences. */
const char *opts_name(struct opts_of what);

#endif
