/* SPDX-License-Identifier: MIT
 *
 * mpctl list. Knows: what observe tells of segments. Does not know: what is in them.
 */
#include "mpctl.h"

#include "mptop/format.h"
#include "mptop/json.h"

#include <pwd.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct row {
	struct mp_observed_segment about;
	uint64_t committed_bytes;
	int error; /* why that is not known */
};

static void look_at(mp_observer *observer, unsigned index, struct row *ret_row)
{
	const struct mp_snapshot *snapshot;

	memset(ret_row, 0, sizeof(*ret_row));
	if (mp_observe_segment(observer, index, &ret_row->about) < 0)
		return;
	ret_row->error = mp_observe_snapshot(observer, index, &snapshot);
	if (ret_row->error == 0)
		ret_row->committed_bytes = snapshot->committed_bytes;
}

static void print_row(const struct row *row, int name_cells)
{
	const struct mp_observed_segment *about = &row->about;
	struct passwd *user = getpwuid((uid_t)about->uid);
	struct text size = { 0 }, committed = { 0 };
	char number[16], mode[16] = "-", clients[16] = "-";

	snprintf(number, sizeof(number), "%u", about->uid);
	format_bytes(&size, about->size_bytes);
	if (row->error == 0)
		format_bytes(&committed, row->committed_bytes);
	else
		text_add(&committed, "-");
	if (about->is_listed) {
		snprintf(mode, sizeof(mode), "%04o", about->mode);
		snprintf(clients, sizeof(clients), "%u", about->clients);
	}
	printf("%-*s  %-8s  %4s  %6s  %9s  %7s  %s\n", name_cells, about->name,
	       user ? user->pw_name : number, mode, size.bytes, committed.bytes, clients,
	       !about->is_listed ? "-" : about->is_kept ? "yes" : "no");
}

static void print_json_row(const struct row *row)
{
	const struct mp_observed_segment *about = &row->about;
	struct json json = { .out = stdout };

	json_open(&json, NULL, '{');
	json_string(&json, "name", about->name);
	json_bool(&json, "listed", about->is_listed);
	json_unsigned(&json, "uid", about->uid);
	json_unsigned(&json, "mode", about->mode);
	json_unsigned(&json, "size_bytes", about->size_bytes);
	json_unsigned(&json, "committed_bytes", row->committed_bytes);
	json_unsigned(&json, "clients", about->clients);
	json_bool(&json, "kept", about->is_kept);
	json_string(&json, "error", row->error < 0 ? mp_strerror(row->error) : "");
	json_close(&json, '}');
	putchar('\n');
}

static int longest_name(mp_observer *observer, int count)
{
	int longest = 4;

	for (int i = 0; i < count; i++) {
		char name[MP_OBSERVE_NAME];

		if (mp_observe_name(observer, (unsigned)i, name) == 0 &&
		    (int)strlen(name) > longest)
			longest = (int)strlen(name);
	}
	return longest;
}

static void print_all(const struct mpctl *ctl, mp_observer *observer, int count)
{
	int cells = longest_name(observer, count);
	struct row row;

	/* For people; a script counts lines. */
	if (count && !ctl->is_json && isatty(STDOUT_FILENO))
		printf("%-*s  %-8s  %4s  %6s  %9s  %7s  %s\n", cells, "NAME", "OWNER", "MODE",
		       "SIZE", "COMMITTED", "CLIENTS", "KEPT");
	for (int i = 0; i < count; i++) {
		look_at(observer, (unsigned)i, &row);
		if (ctl->is_json)
			print_json_row(&row);
		else
			print_row(&row, cells);
	}
}

int command_list(const struct mpctl *ctl)
{
	mp_observer *observer;
	int count;

	if (ctl->word_count) {
		mpctl_say("list takes no arguments");
		return EXIT_USAGE;
	}
	count = mpctl_look(ctl, &observer);
	if (count < 0)
		return -count;
	print_all(ctl, observer, count);
	mp_observe_close(observer);
	return mpctl_finish_output(EXIT_OK);
}
