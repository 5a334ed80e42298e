/* SPDX-License-Identifier: MIT
 *
 * The sentence behind mp_explain(). Knows: this thread's text. Does not know: who fails.
 */
#include "explain.h"

#include <libshm/base.h>

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char sentence[512] = "nothing has failed in this thread";
static _Thread_local const char *plain; /* newer than the sentence, not yet put into words */
static _Thread_local int plain_error;

int explain(int error, const char *format, ...)
{
	va_list arguments;
	int length;

	plain = NULL;
	va_start(arguments, format);
	length = vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	if (length >= 0 && (size_t)length < sizeof sentence)
		snprintf(sentence + length, sizeof sentence - (size_t)length, ": %s",
			 mp_strerror(error));
	return error;
}

int explain_plain(int error, const char *text)
{
	plain = text;
	plain_error = error;
	return error;
}

const char *mp_explain(void)
{
	if (plain)
		explain(plain_error, "%s", plain);
	return sentence;
}
