/* SPDX-License-Identifier: MIT
 *
 * The input: which files there are, and their bytes. Knows: fts(3), zlib. Does not know: words,
 * processes.
 */
#include "files.h"

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void add(struct file_list *list, const char *path)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 256;
		list->paths = memory_resize(list->paths, list->cap * sizeof(*list->paths));
	}
	list->paths[list->count++] = memory_copy(path, strlen(path) + 1);
}

static void note_unreadable(struct file_list *list, const FTSENT *entry)
{
	if (list->unreadable++)
		return;
	list->first_unreadable = memory_copy(entry->fts_path, strlen(entry->fts_path) + 1);
	list->first_error = entry->fts_errno;
}

/* What was named must be there; what was found may have gone again. */
static int take(struct file_list *list, const FTSENT *entry)
{
	switch (entry->fts_info) {
	case FTS_F:
		add(list, entry->fts_path);
		return 0;
	case FTS_NS:
	case FTS_DNR:
	case FTS_ERR:
		if (entry->fts_level > FTS_ROOTLEVEL) {
			note_unreadable(list, entry);
			return 0;
		}
		fprintf(stderr, "wordcount: %s: %s\n", entry->fts_path, strerror(entry->fts_errno));
		return -entry->fts_errno;
	default:
		return 0;
	}
}

int files_find(struct file_list *list, char *const *names, int (*is_stopped)(void))
{
	FTS *tree = fts_open(names, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
	int result = tree ? 0 : -errno;
	FTSENT *entry;

	if (!tree) {
		fprintf(stderr, "wordcount: %s: %s\n", names[0], strerror(-result));
		return result;
	}
	while (result == 0 && (entry = fts_read(tree)))
		result = is_stopped() ? -EINTR : take(list, entry);
	fts_close(tree);
	return result;
}

int files_find_default(struct file_list *list, int (*is_stopped)(void))
{
	static const char *const places[] = { "/usr/share/common-licenses", "/usr/share/doc" };
	char *names[3] = { NULL };
	unsigned count = 0;

	for (unsigned i = 0; i < 2; i++)
		if (access(places[i], R_OK) == 0)
			names[count++] = (char *)places[i];
	if (count == 0) {
		fprintf(stderr, "wordcount: no %s and no %s here: name a directory\n", places[0],
			places[1]);
		return -ENOENT;
	}
	return files_find(list, names, is_stopped);
}

void files_free(struct file_list *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		free(list->paths[i]);
	free(list->paths);
	free(list->first_unreadable);
	*list = (struct file_list){ 0 };
}

static int is_gzip_name(const char *path)
{
	size_t len = strlen(path);

	return len > 3 && strcmp(path + len - 3, ".gz") == 0;
}

/* O_NONBLOCK: a path that has become a fifo since it was found must not hold anybody up. */
int source_open(struct source *source, const char *path)
{
	*source = (struct source){ .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
	if (source->fd < 0)
		return -errno;
	if (!is_gzip_name(path))
		return 0;
	source->gzip = gzdopen(source->fd, "rb");
	if (source->gzip)
		return 0;
	close(source->fd);
	return -ENOMEM;
}

ssize_t source_read(struct source *source, void *buf)
{
	ssize_t got;

	if (source->gzip) {
		got = gzread(source->gzip, buf, READ_BYTES);
		return got < 0 ? -EIO : got;
	}
	do
		got = read(source->fd, buf, READ_BYTES);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

void source_close(struct source *source)
{
	if (source->gzip)
		gzclose(source->gzip);
	else
		close(source->fd);
}
