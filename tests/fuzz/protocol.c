/* SPDX-License-Identifier: MIT
 *
 * Target: what either side of the control protocol does with what the other says. The first byte
 * chooses the side (protocol_mpd.c, protocol_client.c). Does not know: any message.
 */
#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void protocol_broken(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: this does not hold: %s (errno %d)\n", file, line, what, errno);
	abort();
}

#define LOOKED_AT 64

/* Which descriptors are open. */
static uint64_t open_ones(void)
{
	uint64_t ones = 0;

	for (int fd = 0; fd < LOOKED_AT; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			ones |= UINT64_C(1) << fd;
	return ones;
}

/* At the beginning of the input: between two, a fuzzer opens what it needs. */
static uint64_t were_open;

void protocol_check_descriptors(void)
{
	must(open_ones() == were_open);
}

static void open_once(void)
{
	static bool is_open;

	if (is_open)
		return;
	is_open = true;
	protocol_mpd_open();
	protocol_client_open();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct input input = { bytes, count };

	open_once();
	were_open = open_ones();
	if (input_u8(&input) & 1)
		protocol_client(&input);
	else
		protocol_mpd(&input);
	return 0;
}
