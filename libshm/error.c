/* SPDX-License-Identifier: MIT
 *
 * Names of errors. Knows: tbl/errors.h. Does not know: who fails.
 */
#include <libshm/base.h>

#define VERSION_TEXT "0.1.0"

const char *mp_strerror(int error)
{
	switch (error < 0 ? -error : error) {
	case 0:
		return "success";
#define ERROR(number, text)                                                                        \
	case number:                                                                               \
		return text;
#include "tbl/errors.h"
#undef ERROR
	default:
		return "an error libshm has no name for";
	}
}

const char *mp_version(void)
{
	return VERSION_TEXT;
}
