/* SPDX-License-Identifier: MIT
 *
 * The input: which files there are, and their bytes. Knows: directories, gzip. Does not know:
 * words, processes. Both counts of the program read through it, so both see the same bytes.
 */
#ifndef WORDCOUNT_FILES_H
#define WORDCOUNT_FILES_H

#include <stdint.h>
#include <sys/types.h>

#define READ_BYTES 65536

struct file_list {
	char **paths;
	uint32_t count;
	uint32_t cap;
	uint32_t unreadable; /* directories that could not be read */
	char *first_unreadable;
	int first_error; /* errno */
};

/* Every regular file below `names` (closed by NULL), whatever it is called; a file that is named
 * or found twice is there twice. Symbolic links are followed where named, not where found.
 * `is_stopped` is asked at each; nonzero ends the search early.
 * 0, -EINTR when stopped, or another -errno with a line on stderr. */
int files_find(struct file_list *list, char *const *names, int (*is_stopped)(void));

/* The files of this Debian system that are there without being asked for. */
int files_find_default(struct file_list *list, int (*is_stopped)(void));

void files_free(struct file_list *list);

/* One open file; what ends in .gz is decompressed, anything else comes as it is. */
struct source {
	int fd;
	void *gzip;
};

int source_open(struct source *source, const char *path);

/* The next bytes, at most READ_BYTES; 0 at the end. A damaged .gz ends where the damage is. */
ssize_t source_read(struct source *source, void *buf);

void source_close(struct source *source);

#endif
