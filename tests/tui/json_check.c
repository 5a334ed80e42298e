/* SPDX-License-Identifier: MIT
 *
 * Is a text one JSON value? Knows: RFC 8259, written apart from mptop's emitter. Does not know:
 * what it says. Each function returns what follows, NULL when it is no JSON.
 */
#include "json_check.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static const char *value(const char *at, unsigned depth);

static const char *blanks(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

static const char *utf8(const char *at)
{
	unsigned char first = (unsigned char)*at++;
	unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;

	if (first < 0xc2 || first > 0xf4)
		return NULL;
	for (; more; more--, at++)
		if (((unsigned char)*at & 0xc0) != 0x80)
			return NULL;
	return at;
}

static const char *escape(const char *at)
{
	if (*at == 'u') {
		for (int i = 1; i <= 4; i++)
			if (!isxdigit((unsigned char)at[i]))
				return NULL;
		return at + 5;
	}
	return *at && strchr("\"\\/bfnrt", *at) ? at + 1 : NULL;
}

static const char *string(const char *at)
{
	if (*at++ != '"')
		return NULL;
	while (at && *at != '"') {
		if ((unsigned char)*at < 0x20)
			return NULL;
		if (*at == '\\')
			at = escape(at + 1);
		else
			at = (unsigned char)*at < 0x80 ? at + 1 : utf8(at);
	}
	return at ? at + 1 : NULL;
}

static const char *digits(const char *at)
{
	size_t count = strspn(at, "0123456789");

	return count ? at + count : NULL;
}

static const char *number(const char *at)
{
	if (*at == '-')
		at++;
	if (*at == '0' && isdigit((unsigned char)at[1]))
		return NULL;
	at = digits(at);
	if (at && *at == '.')
		at = digits(at + 1);
	if (at && (*at == 'e' || *at == 'E'))
		at = digits(at + 1 + (at[1] == '+' || at[1] == '-'));
	return at;
}

static const char *member(const char *at, char end, unsigned depth)
{
	if (end == '}') {
		at = string(blanks(at));
		if (!at)
			return NULL;
		at = blanks(at);
		if (*at++ != ':')
			return NULL;
	}
	return value(at, depth + 1);
}

static const char *members(const char *at, char end, unsigned depth)
{
	at = blanks(at);
	if (*at == end)
		return at + 1;
	for (;;) {
		at = member(at, end, depth);
		if (!at)
			return NULL;
		at = blanks(at);
		if (*at == end)
			return at + 1;
		if (*at++ != ',')
			return NULL;
	}
}

static const char *word(const char *at)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strncmp(at, words[i], strlen(words[i])))
			return at + strlen(words[i]);
	return NULL;
}

static const char *value(const char *at, unsigned depth)
{
	at = blanks(at);
	if (depth > 64)
		return NULL;
	if (*at == '{')
		return members(at + 1, '}', depth);
	if (*at == '[')
		return members(at + 1, ']', depth);
	if (*at == '"')
		return string(at);
	return isalpha((unsigned char)*at) ? word(at) : number(at);
}

bool json_is_valid(const char *text)
{
	const char *end = value(text, 0);

	return end && !*blanks(end);
}
