/* SPDX-License-Identifier: MIT
 *
 * A streaming JSON emitter. Knows: commas, escapes. Does not know: what is written.
 */
#include "json.h"

#include <inttypes.h>
#include <math.h>

static void put_string(struct json *json, const char *value)
{
	putc('"', json->out);
	for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
		if (*at == '"' || *at == '\\')
			fprintf(json->out, "\\%c", *at);
		else if (*at < 0x20 || *at == 0x7f)
			fprintf(json->out, "\\u%04x", *at);
		else
			putc(*at, json->out);
	}
	putc('"', json->out);
}

static void begin_member(struct json *json, const char *key)
{
	if (json->has_member[json->depth])
		putc(',', json->out);
	json->has_member[json->depth] = true;
	if (!key)
		return;
	put_string(json, key);
	putc(':', json->out);
}

void json_open(struct json *json, const char *key, char bracket)
{
	begin_member(json, key);
	putc(bracket, json->out);
	json->depth++;
	json->has_member[json->depth] = false;
}

void json_close(struct json *json, char bracket)
{
	json->depth--;
	putc(bracket, json->out);
}

void json_string(struct json *json, const char *key, const char *value)
{
	begin_member(json, key);
	put_string(json, value);
}

void json_unsigned(struct json *json, const char *key, uint64_t value)
{
	begin_member(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void json_signed(struct json *json, const char *key, int64_t value)
{
	begin_member(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void json_number(struct json *json, const char *key, double value)
{
	begin_member(json, key);
	/* Thousandths, and no locale: a decimal comma would not be JSON. */
	if (!isfinite(value) || fabs(value) > 1e15)
		fprintf(json->out, "0");
	else
		fprintf(json->out, "%" PRId64 ".%03d", (int64_t)value,
			(int)(fabs(value - (double)(int64_t)value) * 1000));
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin_member(json, key);
	fputs(value ? "true" : "false", json->out);
}
