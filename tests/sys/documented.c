/* SPDX-License-Identifier: MIT
 *
 * See documented.h.
 */
#include "documented.h"

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES (256 * 1024)

/* All headers in one; FAULT_HEADERS is their directory. */
static const char *headers(void)
{
	static char text[TEXT_BYTES];
	struct dirent *entry;
	size_t used = 0;
	DIR *all;

	if (text[0])
		return text;
	all = opendir(FAULT_HEADERS);
	assert_non_null(all);
	while ((entry = readdir(all)) != NULL) {
		char path[512];
		FILE *file;

		snprintf(path, sizeof path, "%s/%s", FAULT_HEADERS, entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (!file)
			continue;
		used += fread(text + used, 1, TEXT_BYTES - 1 - used, file);
		fclose(file);
	}
	closedir(all);
	text[used] = '\0';
	return text;
}

/* "-ENAME" as a whole word between two places. */
static bool has_word(const char *from, const char *until, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = from; (at = strstr(at, name)) && at < until; at += length)
		if (at[-1] == '-' && (at[length] < 'A' || at[length] > 'Z'))
			return true;
	return false;
}

/* The comment right above the prototype, from its Errors line on. */
static bool is_in_errors_of(const char *call, const char *name)
{
	char pattern[80];
	const char *prototype, *errors = NULL;

	snprintf(pattern, sizeof pattern, "int %s(", call);
	prototype = strstr(headers(), pattern);
	if (!prototype)
		return false; /* it returns no error */
	for (const char *at = headers(); (at = strstr(at, "Errors:")) && at < prototype; at++)
		errors = at;
	assert_non_null(errors);
	return has_word(errors, prototype, name);
}

bool documented(const char *calls, int error)
{
	const char *name = strerrorname_np(-error);
	char list[200], *rest, *call;

	assert_non_null(name);
	/* base.h: the first call of a thread or of a forked child. */
	if (error == -ENOSPC || error == -ENOMEM)
		return true;
	snprintf(list, sizeof list, "%s", calls);
	for (call = strtok_r(list, " ", &rest); call; call = strtok_r(NULL, " ", &rest))
		if (is_in_errors_of(call, name))
			return true;
	return false;
}
