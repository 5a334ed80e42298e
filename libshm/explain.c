/* SPDX-License-Identifier: MIT
 *
 * The sentence behind mp_explain(). Knows: this thread's text. Does not know: who fails.
 */
#include "explain.h"

#include <libshm/base.h>

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char sentence[512] = "nothing has failed in this thread";

int explain(int error, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	if (length >= 0 && (size_t)length < sizeof sentence)
		snprintf(sentence + length, sizeof sentence - (size_t)length, ": %s",
			 mp_strerror(error));
	return error;
}

const char *mp_explain(void)
{
	return sentence;
}
