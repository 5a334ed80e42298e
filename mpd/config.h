/* SPDX-License-Identifier: MIT
 *
 * The configuration file. Knows: its syntax, whose file may be believed, where it is by default.
 * Does not know: which keys there are (settings.h), what they do.
 *
 *	# a comment; one starts its line
 *	[mpd]
 *	grace = 5000
 */
#ifndef MPD_CONFIG_H
#define MPD_CONFIG_H

#include "settings.h"

#include <stddef.h>

struct stat;

#define CONFIG_FILE_BYTES 65536
#define CONFIG_LINE_BYTES 512
#define CONFIG_PATH_BYTES 4096

struct config {
	char text[CONFIG_FILE_BYTES + 1]; /* the settings' values are in here */
	char error[CONFIG_PATH_BYTES + SETTINGS_REASON_BYTES + 128]; /* FILE:LINE: what to mend */
};

/* Where this mpd's file is when nobody names one. -ENOENT: this user has no such place. */
int config_default_path(bool is_system, char ret_path[static CONFIG_PATH_BYTES]);

/* Take from the file what the settings were not given before. 0; -ENOENT: there is no such file;
 * -EPERM: it is not to be believed; -EINVAL, -errno: else. config->error says why. */
int config_read(struct config *config, const char *path, struct settings *settings);

/* The same with config->text as it is: `bytes` of it. */
int config_parse(struct config *config, const char *path, size_t bytes, struct settings *settings);

/* May a process of user `uid` believe such a file? NULL, or what is wrong with it. */
const char *config_distrust(const struct stat *about, unsigned uid);

#endif
