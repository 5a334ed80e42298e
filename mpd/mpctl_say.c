/* SPDX-License-Identifier: MIT
 *
 * What mpctl says on stderr. Knows: which characters a terminal would obey or a reader be misled
 * by. Does not know: what is said.
 */
#include "mpctl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCE_BYTES 4096

unsigned mpctl_decode(const unsigned char *text, uint32_t *ret_code)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned bytes = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	uint32_t code;

	if (text[0] < 0x80) {
		*ret_code = text[0];
		return 1;
	}
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	code = text[0] & (0x7fu >> bytes);
	for (unsigned i = 1; i < bytes; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	*ret_code = code;
	if (code < smallest[bytes] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return bytes;
}

/* Not controls, zero width, marks of direction. */
static bool is_presentable(uint32_t code)
{
	static const uint32_t hidden[][2] = { { 0, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad },
		{ 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
		{ 0xfff9, 0xffff }, { 0xe0000, 0xe0fff } };

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (code >= hidden[i][0] && code <= hidden[i][1])
			return false;
	return true;
}

static void put_escaped(FILE *out, const char *sentence)
{
	const unsigned char *at = (const unsigned char *)sentence;

	while (*at) {
		uint32_t code = 0;
		unsigned bytes = mpctl_decode(at, &code);

		if (bytes && is_presentable(code)) {
			fwrite(at, 1, bytes, out);
			at += bytes;
		} else {
			fprintf(out, "\\x%02x", *at++);
		}
	}
}

void mpctl_say(const char *format, ...)
{
	char sentence[SENTENCE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	fputs("mpctl: ", stderr);
	put_escaped(stderr, sentence);
	putc('\n', stderr);
}

int mpctl_fail(int error)
{
	mpctl_say("%s", mp_explain());
	if (error == -ENOENT || error == -EAGAIN || error == -ETIMEDOUT)
		return EXIT_NOTHING;
	return EXIT_ERROR;
}

int mpctl_finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	mpctl_say("standard output: %s", strerror(errno));
	return EXIT_ERROR;
}
