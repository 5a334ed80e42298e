/* SPDX-License-Identifier: MIT
 *
 * The sentence behind mp_explain(). Knows: this thread's text, that it is one printable line. Does
 * not know: who fails.
 */
#include "explain.h"

#include "text.h"

#include <libshm/base.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE_BYTES 512

/* Newer than the sentence and not yet put into words, unless text is NULL. The name is a copy: its
 * object may be gone when somebody asks. */
struct pending {
	const char *text;
	const char *kind;
	int error;
	char name[NAME_BYTES];
};

static _Thread_local struct pending pending tls_fast;
static _Thread_local char sentence[SENTENCE_BYTES] = "nothing has failed in this thread";

/* Names come from users and from shared memory: bytes that make no visible character, which a
 * terminal might obey, become \xNN. */
static void keep_printable(const char *raw)
{
	size_t at = 0, left = strlen(raw);

	while (left > 0) {
		size_t bytes = text_character((const uint8_t *)raw, left);
		size_t needed = bytes ? bytes : sizeof "\\x00" - 1;

		if (at + needed >= sizeof sentence) {
			sentence[at] = '\0';
			text_mark_cut(sentence, at + 1);
			return;
		}
		if (bytes)
			memcpy(sentence + at, raw, bytes);
		else
			snprintf(sentence + at, needed + 1, "\\x%02x", (unsigned char)*raw);
		at += needed;
		raw += bytes ? bytes : 1;
		left -= bytes ? bytes : 1;
	}
	sentence[at] = '\0';
}

int explain(int error, const char *format, ...)
{
	char raw[SENTENCE_BYTES];
	va_list arguments;
	int length;

	pending.text = NULL;
	va_start(arguments, format);
	length = vsnprintf(raw, sizeof raw, format, arguments);
	va_end(arguments);
	if (length >= 0 && (size_t)length < sizeof raw)
		length += snprintf(raw + length, sizeof raw - (size_t)length, ": %s",
				   mp_strerror(error));
	if (length >= 0 && (size_t)length >= sizeof raw)
		text_mark_cut(raw, sizeof raw);
	keep_printable(raw);
	return error;
}

int explain_later(int error, const char *kind, const char name[static NAME_BYTES],
		  const char *text)
{
	pending.text = text;
	pending.kind = kind;
	pending.error = error;
	memcpy(pending.name, name, NAME_BYTES);
	return error;
}

const char *mp_explain(void)
{
	if (pending.text)
		explain(pending.error, "%s '%.*s': %s", pending.kind, NAME_BYTES - 1,
			pending.name[0] ? pending.name : "(anonymous)", pending.text);
	return sentence;
}
