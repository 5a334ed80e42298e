/* SPDX-License-Identifier: MIT
 *
 * mpctl put and get. Knows: messages as arguments, lines and files; when a message is done. Does
 * not know: how segments are found.
 *
 * get leases a message, writes it, and acknowledges it when the kernel has taken all of it: a
 * reader that is gone, a full disk or a kill in between gives the message back.
 */
#include "mpctl.h"

#include "mptop/json.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct channel {
	const char *name;
	mp_segment *segment;
	mp_queue *queue;
};

static int open_channel(const struct mpctl *ctl, bool may_create, struct channel *ret_channel)
{
	struct mp_queue_opts opts = ctl->queue;
	struct mpctl_name name;
	int result;

	memset(ret_channel, 0, sizeof(*ret_channel));
	if (!ctl->word_count) {
		mpctl_say("%s needs a queue, SEGMENT/QUEUE", ctl->command);
		return EXIT_USAGE;
	}
	result = mpctl_split(ctl->words[0], "QUEUE", &name);
	if (result != EXIT_OK)
		return result;
	opts.flags = may_create ? 0 : MP_EXISTING;
	ret_channel->name = name.object;
	result = mpctl_open(ctl, name.segment, may_create, NULL, &ret_channel->segment);
	if (result >= 0)
		result = mp_queue_open(ret_channel->segment, name.object, &opts,
				       &ret_channel->queue);
	return result < 0 ? mpctl_fail(result) : EXIT_OK;
}

static void close_channel(struct channel *channel)
{
	mp_queue_close(channel->queue);
	mp_segment_close(channel->segment);
}

/* --- put --- */

static int put_words(const struct mpctl *ctl, struct channel *channel, uint64_t *ret_count)
{
	for (int i = 1; i < ctl->word_count; i++) {
		int result = mp_queue_put(channel->queue, ctl->words[i], strlen(ctl->words[i]),
					  ctl->timeout);

		if (result < 0)
			return mpctl_fail(result);
		++*ret_count;
	}
	return EXIT_OK;
}

static int finish_input(int code)
{
	if (code != EXIT_OK || !ferror(stdin))
		return code;
	mpctl_say("standard input: %s", strerror(errno));
	return EXIT_ERROR;
}

static int put_lines(const struct mpctl *ctl, struct channel *channel, uint64_t *ret_count)
{
	int end = ctl->is_nul ? '\0' : '\n', result = 0;
	size_t capacity = 0;
	char *line = NULL;
	ssize_t length;

	while (result >= 0 && (length = getdelim(&line, &capacity, end, stdin)) >= 0) {
		/* The last may have no end. */
		length -= length && line[length - 1] == (char)end;
		result = mp_queue_put(channel->queue, line, (size_t)length, ctl->timeout);
		*ret_count += result >= 0;
	}
	free(line);
	return finish_input(result < 0 ? mpctl_fail(result) : EXIT_OK);
}

/* All of stdin; NULL after a sentence. */
static char *read_all(size_t *ret_length)
{
	size_t length = 0, capacity = 65536;
	char *bytes = malloc(capacity);

	while (bytes && !feof(stdin) && !ferror(stdin)) {
		if (length == capacity) {
			char *larger = realloc(bytes, capacity *= 2);

			if (!larger)
				free(bytes);
			bytes = larger;
			if (!bytes)
				break;
		}
		length += fread(bytes + length, 1, capacity - length, stdin);
	}
	if (!bytes)
		mpctl_say("out of memory");
	*ret_length = length;
	return bytes;
}

static int put_input(const struct mpctl *ctl, struct channel *channel, uint64_t *ret_count)
{
	size_t length;
	char *bytes = read_all(&length);
	int code = bytes ? finish_input(EXIT_OK) : EXIT_ERROR;

	if (code == EXIT_OK) {
		int result = mp_queue_put(channel->queue, bytes, length, ctl->timeout);

		code = result < 0 ? mpctl_fail(result) : EXIT_OK;
		*ret_count += result >= 0;
	}
	free(bytes);
	return code;
}

static int put_all(const struct mpctl *ctl, struct channel *channel)
{
	uint64_t count = 0;
	int code;

	if (ctl->word_count > 1)
		code = put_words(ctl, channel, &count);
	else if (ctl->is_raw)
		code = put_input(ctl, channel, &count);
	else
		code = put_lines(ctl, channel, &count);
	if (code != EXIT_OK && count)
		mpctl_say("%llu messages were put before that", (unsigned long long)count);
	return code;
}

int command_put(const struct mpctl *ctl)
{
	struct channel channel;
	int code;

	if (ctl->word_count > 1 && (ctl->is_raw || ctl->is_nul)) {
		mpctl_say("--raw and --null are about standard input, and there are messages as "
			  "arguments");
		return EXIT_USAGE;
	}
	code = open_channel(ctl, !ctl->is_existing, &channel);
	if (code == EXIT_OK)
		code = put_all(ctl, &channel);
	if (code == EXIT_OK && ctl->is_closing) {
		int result = mp_queue_close_input(channel.queue);

		code = result < 0 ? mpctl_fail(result) : EXIT_OK;
	}
	close_channel(&channel);
	return code;
}

/* --- get --- */

/* 0 once the kernel has taken all of it, -errno. */
static int write_bytes(const void *bytes, size_t count)
{
	const char *at = bytes;

	while (count) {
		ssize_t written = write(STDOUT_FILENO, at, count);

		if (written < 0 && errno == EAGAIN) {
			struct pollfd ready = { .fd = STDOUT_FILENO, .events = POLLOUT };

			poll(&ready, 1, -1);
		} else if (written < 0 && errno != EINTR) {
			return -errno;
		} else if (written > 0) {
			at += written;
			count -= (size_t)written;
		}
	}
	return 0;
}

static void json_base64(struct json *json, const uint8_t *data, size_t length)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = calloc(length / 3 + 1, 4 + 1), *out = text;

	for (size_t i = 0; text && i < length; i += 3) {
		size_t left = length - i;
		uint32_t bits = (uint32_t)data[i] << 16;

		bits |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
		bits |= left > 2 ? data[i + 2] : 0;
		*out++ = digits[bits >> 18];
		*out++ = digits[bits >> 12 & 63];
		*out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[bits & 63] : '=';
	}
	json_string(json, "base64", text ? text : "");
	free(text);
}

/* Other processes may write into a message while it is read: what is judged is a copy. */
static void json_data(struct json *json, const struct mp_slot *slot)
{
	char *copy = malloc(slot->len + 1);
	size_t at = 0;
	uint32_t code;

	if (!copy)
		return;
	memcpy(copy, slot->data, slot->len);
	copy[slot->len] = '\0';
	while (copy[at]) {
		unsigned bytes = mpctl_decode((const unsigned char *)copy + at, &code);

		if (!bytes)
			break;
		at += bytes;
	}
	if (at == slot->len)
		json_string(json, "text", copy);
	else
		json_base64(json, (const uint8_t *)copy, slot->len);
	free(copy);
}

static int write_json(const struct mp_slot *slot)
{
	char *line = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&line, &length);
	struct json json = { .out = out };
	int result;

	if (!out)
		return -ENOMEM;
	json_open(&json, NULL, '{');
	json_unsigned(&json, "id", slot->id);
	json_unsigned(&json, "bytes", slot->len);
	json_bool(&json, "redelivered", slot->flags & MP_REDELIVERED);
	json_data(&json, slot);
	json_close(&json, '}');
	putc('\n', out);
	result = fclose(out) < 0 ? -ENOMEM : write_bytes(line, length);
	free(line);
	return result;
}

static int write_message(const struct mpctl *ctl, const struct mp_slot *slot)
{
	int result;

	if (ctl->is_json)
		return write_json(slot);
	result = write_bytes(slot->data, slot->len);
	return result < 0 || ctl->is_raw ? result : write_bytes(ctl->is_nul ? "" : "\n", 1);
}

static int give_back(struct channel *channel, struct mp_slot *slot, int error)
{
	int result = mp_queue_return(channel->queue, slot);

	mpctl_say("standard output: %s; the message is back in queue '%s'", strerror(-error),
		  channel->name);
	return result < 0 ? mpctl_fail(result) : EXIT_ERROR;
}

/* Beside the exit codes: the queue is closed and empty. */
#define GOT_END (-1)

static int get_one(const struct mpctl *ctl, struct channel *channel, int64_t timeout)
{
	struct mp_slot slot;
	int result = mp_queue_claim(channel->queue, timeout, &slot), error;

	if (result == -EAGAIN || result == -ETIMEDOUT)
		return EXIT_NOTHING;
	if (result == -EPIPE)
		return GOT_END;
	if (result < 0)
		return mpctl_fail(result);
	error = write_message(ctl, &slot);
	if (error < 0)
		return give_back(channel, &slot, error);
	result = mp_queue_ack(channel->queue, &slot);
	return result < 0 ? mpctl_fail(result) : EXIT_OK;
}

/* With --all only the first is waited for, and only if that was asked for. */
static int64_t patience(const struct mpctl *ctl, uint64_t got)
{
	if (ctl->is_all && (got || !ctl->has_timeout))
		return MP_NOW;
	return ctl->timeout;
}

static uint64_t limit_of(const struct mpctl *ctl)
{
	if (ctl->has_count)
		return ctl->count;
	return ctl->is_all || ctl->is_following ? UINT64_MAX : 1;
}

/* No message came any more: is that the end that was asked for? */
static int end_of(const struct mpctl *ctl, int code, uint64_t got)
{
	if (code == GOT_END && ctl->is_following)
		return EXIT_OK;
	if (ctl->is_all && got)
		return EXIT_OK;
	if (code == GOT_END)
		mpctl_say("%s", mp_explain());
	return EXIT_NOTHING;
}

static int get_all(const struct mpctl *ctl, struct channel *channel)
{
	uint64_t wanted = limit_of(ctl), got = 0;
	int code = EXIT_OK;

	while (got < wanted && code == EXIT_OK) {
		code = get_one(ctl, channel, patience(ctl, got));
		got += code == EXIT_OK;
	}
	return code == GOT_END || code == EXIT_NOTHING ? end_of(ctl, code, got) : code;
}

int command_get(const struct mpctl *ctl)
{
	struct channel channel;
	int code;

	if (ctl->word_count > 1 || ctl->is_all + ctl->is_following > 1 ||
	    ctl->is_json + ctl->is_nul + ctl->is_raw > 1) {
		mpctl_say("get takes one queue, one of --all and --follow, one of --json, --null "
			  "and --raw");
		return EXIT_USAGE;
	}
	/* Who does not read any more is told of, and his message goes back. */
	signal(SIGPIPE, SIG_IGN);
	code = open_channel(ctl, ctl->is_creating, &channel);
	if (code == EXIT_OK)
		code = get_all(ctl, &channel);
	close_channel(&channel);
	return code;
}
