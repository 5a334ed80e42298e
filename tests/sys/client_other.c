/* SPDX-License-Identifier: MIT
 *
 * A client of whatever libshm it was linked with: opens a segment, says how that went, waits for a
 * line on its stdin before it leaves. Exits with 0 if it was let in. Knows: the public face alone.
 *
 *	client-other SEGMENT [exit]
 */
#include <libshm.h>

#include <stdio.h>

int main(int argc, char **argv)
{
	mp_segment *segment;
	int result;

	if (argc < 2)
		return 2;
	result = mp_segment_open(argv[1], &(struct mp_segment_opts){ .flags = MP_NO_SPAWN },
				 &segment);
	printf("%d: %s\n", result, result < 0 ? mp_explain() : "attached");
	fflush(stdout);
	if (result < 0)
		return 1;
	if (argc < 3)
		(void)getchar();
	mp_segment_close(segment);
	return 0;
}
