/* SPDX-License-Identifier: MIT
 *
 * A streaming JSON emitter. Knows: commas, escapes, that JSON has no NaN. Does not know: what is
 * written. Output is one line and always valid, whatever the strings hold.
 */
#ifndef MPTOP_JSON_H
#define MPTOP_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

struct json {
	FILE *out;
	unsigned depth;
	bool has_member[JSON_DEPTH_MAX];
};

/* `key` is NULL inside an array and at the top. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_string(struct json *json, const char *key, const char *value);
void json_unsigned(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
void json_number(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);

#endif
