/* SPDX-License-Identifier: MIT
 *
 * See promised.h. Does not know: whether an error is the right one; tests do.
 */
#include "promised.h"

#include "libshm/cc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const int *errors, int error)
{
	while (*errors && *errors != error)
		errors++;
	return *errors;
}

/* base.h: NULL, and a thread's or a forked child's first call; a wait in an engine that somebody
 * asked for and that is refused. */
static bool is_promised_of_all(int error)
{
	static const int first[] = { EINVAL, ENOSPC, ENOMEM, ESTALE, 0 };
	static const int engine[] = { ENOSYS, EPERM, 0 };

	return is_one_of(first, error) || (getenv("MP_WAIT_ENGINE") && is_one_of(engine, error));
}

int promised_check(const char *call, int result, const int *listed)
{
	if (result >= 0 || is_one_of(listed, -result) || is_promised_of_all(-result))
		return result;
	fprintf(stderr, "%s returned -%s, which its header does not list\n", call,
		strerrorname_np(-result));
	abort();
}
