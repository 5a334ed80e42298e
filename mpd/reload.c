/* SPDX-License-Identifier: MIT
 *
 * See reload.h. A file is taken whole or not at all: what is wrong with one line of it leaves every
 * setting as it was. It lies in the store before anything of it is obeyed or told: a kill loses
 * what nobody was told of. Does not know: SIGHUP.
 */
#include "reload.h"

#include "config.h"
#include "log.h"
#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STORE_NAME "settings"

static const struct settings *started;
static struct settings in_use, fresh;
static struct config configs[2]; /* the texts of `in_use` are in the one that is not next */
static unsigned next;
static char path[CONFIG_PATH_BYTES];
static bool is_optional; /* nobody has named it: it may be missing */

static bool is_named(const struct settings *settings)
{
	const struct setting *named = settings->reload.text ? &settings->reload : &settings->config;

	if (!named->text || strcmp(named->text, "none") == 0)
		return false;
	snprintf(path, sizeof(path), "%s", named->text);
	return true;
}

void reload_begin(const struct settings *settings, bool is_system)
{
	char usual[CONFIG_PATH_BYTES];
	bool has_usual = config_default_path(is_system, usual) == 0;

	started = settings;
	in_use = *settings;
	path[0] = '\0';
	if (!is_named(settings) && !settings->config.text && has_usual)
		memcpy(path, usual, sizeof(path));
	is_optional = has_usual && strcmp(path, usual) == 0;
}

const char *reload_path(void)
{
	return path[0] ? path : "none";
}

/* What was on the command line counts before the file, as at the start. */
static int read_file(struct config *config)
{
	int error;

	settings_begin(&fresh);
	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		if (settings_at(started, i)->is_given && !settings_at(started, i)->is_of_file)
			settings_copy(&fresh, started, i);
	error = config_read(config, path, &fresh);
	return error == -ENOENT && is_optional ? 0 : error;
}

/* Of the mpd before this one; a file of this length it would not have read. */
void reload_take_over(struct settings *settings)
{
	int fd = store_take(STORE_NAME);
	struct config *config = &configs[next];
	struct settings before;
	ssize_t bytes;

	if (fd < 0)
		return;
	settings_begin(&before);
	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		if (!settings_at(settings, i)->is_of_file || !settings_is_live(i))
			settings_copy(&before, settings, i);
	bytes = pread(fd, config->text, CONFIG_FILE_BYTES, 0);
	close(fd);
	if (bytes < 0 || config_parse(config, STORE_NAME, (size_t)bytes, &before) < 0)
		return;
	*settings = before;
	next ^= 1;
}

/* What the file says, in its own syntax. */
static int write_settings(int fd)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting *setting = settings_at(&fresh, i);

		if (setting->is_of_file && settings_is_live(i) &&
		    dprintf(fd, "%s = %s\n", settings_name(i), setting->text) < 0)
			return -errno;
	}
	return 0;
}

/* For the mpd that comes after a kill. What a service manager starts reads the file by itself. */
static void keep(void)
{
	int fd = store_is_manager_s() ? -1 : memfd_create("mpd:settings", MFD_CLOEXEC);
	int error = fd < 0 ? -errno : write_settings(fd);

	if (store_is_manager_s())
		return;
	if (error < 0) {
		log_warning("the settings are not kept for the mpd that comes after a kill: %s",
			    strerror(-error));
	} else {
		store_forget(STORE_NAME);
		store_put(STORE_NAME, fd, -1);
	}
	if (fd >= 0)
		close(fd);
}

static const char *text_of(const struct settings *settings, unsigned index)
{
	const struct setting *setting = settings_at(settings, index);

	return setting->is_given ? setting->text : "its default";
}

/* Where a supervisor's file says nothing of the socket, the environment or the user has. */
static bool is_chosen_elsewhere(unsigned index)
{
	return settings_at(&fresh, index) == &fresh.endpoint && !fresh.endpoint.is_given;
}

static bool is_stuck(unsigned index)
{
	return !settings_is_live(index) && !is_chosen_elsewhere(index) &&
	       settings_differ(&fresh, started, index);
}

/* `fresh` is what the file says still. */
static bool tell(unsigned index)
{
	const char *name = settings_name(index);
	bool is_new = settings_is_live(index) && settings_differ(&fresh, &in_use, index);

	if (is_new)
		log_info("%s is %s now, it was %s", name, text_of(&fresh, index),
			 text_of(&in_use, index));
	else if (is_stuck(index))
		log_warning("%s stays %s until mpd is started anew, it is %s in %s", name,
			    text_of(started, index), text_of(&fresh, index), path);
	else
		return false;
	return true;
}

const struct settings *reload(void)
{
	bool is_told = false;

	if (!path[0])
		return NULL;
	if (read_file(&configs[next]) < 0) {
		log_error("the configuration is not taken, all stays as it was: %s",
			  configs[next].error);
		return NULL;
	}
	keep();
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		if (!settings_is_key(i))
			continue;
		is_told |= tell(i);
		if (!settings_is_live(i))
			settings_copy(&fresh, started, i);
	}
	if (!is_told)
		log_info("%s was read anew, nothing has changed", path);
	in_use = fresh;
	next ^= 1;
	return &in_use;
}
