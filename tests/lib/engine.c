/* SPDX-License-Identifier: MIT
 *
 * Prints the wait engine that processes use here and now.
 */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	const struct park_ops *engine;
	int error = probe_engine(&engine);

	if (error < 0) {
		printf("none: %s\n", strerror(-error));
		return 1;
	}
	if (engine->engine == ENGINE_URING)
		printf("%s\n", engine->name);
	else
		printf("%s (%s)\n", engine->name, probe_reason_text(probe_reason()));
	return 0;
}
