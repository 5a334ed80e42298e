/* SPDX-License-Identifier: MIT
 *
 * See text.h. Knows: UTF-8 as RFC 3629 has it: shortest form, no surrogates, up to U+10FFFF.
 */
#include "text.h"

#include "cc.h"

#include <stdbool.h>
#include <string.h>

/* Zero width, direction marks and separators: they would let one name look like another. */
static bool is_deceptive(uint32_t code)
{
	static const uint32_t ranges[][2] = { { 0x80, 0x9f }, { 0xad, 0xad }, { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xd800, 0xdfff }, { 0xfeff, 0xfeff },
		{ 0xfff9, 0xffff }, { 0xe0000, 0xe0fff } };

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		if (code >= ranges[i][0] && code <= ranges[i][1])
			return true;
	return code > 0x10ffff;
}

size_t text_character(const uint8_t *text, size_t left)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t bytes = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	uint32_t code;

	if (text[0] < 0x80)
		return text[0] >= 0x20 && text[0] != 0x7f;
	if (text[0] < 0xc2 || text[0] > 0xf4 || bytes > left)
		return 0;
	code = text[0] & (0x7fu >> bytes);
	for (size_t i = 1; i < bytes; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	return code >= smallest[bytes] && !is_deceptive(code) ? bytes : 0;
}

void text_mark_cut(char *text, size_t bytes)
{
	static const char mark[] = "...";
	size_t at = bytes - sizeof(mark);

	while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	memcpy(text + at, mark, sizeof(mark));
}
