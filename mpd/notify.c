/* SPDX-License-Identifier: MIT
 *
 * See notify.h. Does not know: who listens; the supervisor passes on what it hears.
 */
#include "notify.h"

#include "log.h"
#include "loop.h"
#include "store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_BYTES 300 /* a message of the supervisor's is at most 512 */

static struct loop_timer watchdog;
static int64_t feed_every_ns;

/* A number and nothing else; 0: it is none. */
static uint64_t number_of(const char *variable)
{
	const char *text = getenv(variable);
	unsigned long long number;
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	return errno || *end || number > INT64_MAX / 1000 ? 0 : number;
}

static void feed(void *arg, unsigned events)
{
	store_say("WATCHDOG=1");
	loop_timer_set(&watchdog, clock_now_ns() + feed_every_ns);
}

/* Twice as often as asked: one that is late by half is still in time. */
static void begin_feeding(void)
{
	uint64_t every_us = number_of("WATCHDOG_USEC");

	if (every_us == 0)
		return;
	if (getenv("WATCHDOG_PID") && number_of("WATCHDOG_PID") != (uint64_t)getpid())
		return; /* meant for the one who started us */
	feed_every_ns = (int64_t)every_us * 1000 / 2;
	watchdog.fn = feed;
	log_debug("the watchdog is fed every %lld ms", (long long)feed_every_ns / 1000000);
	feed(NULL, 0);
}

void notify_open(void)
{
	begin_feeding();
}

bool notify_is_heard(void)
{
	return store_has_manager();
}

/* One line, whatever is in the names: a line break would begin another assignment. */
static void say(const char *before, const char *after, const char *format, va_list arguments)
{
	char status[STATUS_BYTES], text[STATUS_BYTES + 100];

	vsnprintf(status, sizeof(status), format, arguments);
	for (char *c = status; *c; c++)
		if ((unsigned char)*c < 32)
			*c = '?';
	snprintf(text, sizeof(text), "%sSTATUS=%s\n%s", before, status, after);
	store_say(text);
}

void notify_ready(const char *format, ...)
{
	char after[40];
	va_list arguments;

	snprintf(after, sizeof(after), "MAINPID=%d\n", (int)getpid());
	va_start(arguments, format);
	say("READY=1\n", after, format, arguments);
	va_end(arguments);
}

void notify_status(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say("", "", format, arguments);
	va_end(arguments);
}

void notify_stopping(void)
{
	store_say("STOPPING=1\nSTATUS=leaving\n");
}

void notify_failure(int error, const char *format, ...)
{
	char after[40];
	va_list arguments;

	snprintf(after, sizeof(after), "ERRNO=%d\n", -error);
	va_start(arguments, format);
	say("", after, format, arguments);
	va_end(arguments);
}
