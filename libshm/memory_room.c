/* SPDX-License-Identifier: MIT
 *
 * How much memory the memory cgroups leave. Knows: /proc/self, cgroup v1 and v2. Does not know:
 * what the memory is for.
 *
 * What is remembered between two questions is a guess of one process about a number that all of its
 * cgroup change: the margin covers what others take meanwhile, and what the kernel counts late.
 */
#include "memory_room.h"

#include "atom.h"
#include "cc.h"
#include "clock.h"
#include "errno_kept.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MARGIN_BYTES (UINT64_C(2) << 20)
#define NEAR_BYTES (UINT64_C(16) << 20) /* less than that is not guessed */
#define REMEMBERED_NS UINT64_C(100000000)
/* The biggest limit of v1, rounded down to pages, means none. */
#define NO_LIMIT (UINT64_C(1) << 62)

/* The files of one version; the names in memory.stat of what can be given back. */
struct version {
	const char *filesystem;
	const char *limit, *used;
	const char *inactive, *active;
	const char *swap_limit, *swap_used;
};

static const struct version versions[] = {
	{ "cgroup2", "memory.max", "memory.current", "inactive_file ", "active_file ",
	  "memory.swap.max", "memory.swap.current" },
	{ "cgroup", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ",
	  "total_active_file ", NULL, NULL },
};

/* A cgroup's folder, and where the mount ends in it. */
struct place {
	char path[PATH_MAX];
	size_t mount_length;
};

static FILE *open_in(const struct place *place, const char *name)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof path, "%s/%s", place->path, name);
	return fopen(path, "re");
}

/* The number in a file; `otherwise` if there is none ("max", no such file). */
static uint64_t read_number(const struct place *place, const char *name, uint64_t otherwise)
{
	FILE *file = name ? open_in(place, name) : NULL;
	unsigned long long number = otherwise;

	if (file && fscanf(file, "%llu", &number) != 1)
		number = otherwise;
	if (file)
		fclose(file);
	return number;
}

static uint64_t read_reclaimable(const struct place *place, const struct version *version)
{
	FILE *file = open_in(place, "memory.stat");
	uint64_t sum = 0;
	char line[128];

	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, version->inactive, strlen(version->inactive)) == 0 ||
		    strncmp(line, version->active, strlen(version->active)) == 0)
			sum += strtoull(strchr(line, ' '), NULL, 10);
	if (file)
		fclose(file);
	return sum;
}

static uint64_t read_swap(const struct place *place, const struct version *version)
{
	uint64_t limit = read_number(place, version->swap_limit, 0);
	uint64_t used = read_number(place, version->swap_used, 0);
	struct sysinfo system;
	uint64_t unused;

	if (limit <= used || sysinfo(&system) < 0)
		return 0;
	unused = (uint64_t)system.freeswap * system.mem_unit;
	return limit - used < unused ? limit - used : unused;
}

static uint64_t room_of(const struct place *place, const struct version *version)
{
	uint64_t limit = read_number(place, version->limit, MEMORY_ROOM_UNLIMITED);
	uint64_t used, spare;

	if (limit >= NO_LIMIT)
		return MEMORY_ROOM_UNLIMITED;
	used = read_number(place, version->used, 0);
	spare = read_reclaimable(place, version) + read_swap(place, version);
	used = used > spare ? used - spare : 0;
	return limit > used ? limit - used : 0;
}

/* The least of the cgroup's own and of those above it, up to where the mount begins. */
static uint64_t room_up_from(struct place *place, const struct version *version)
{
	uint64_t least = MEMORY_ROOM_UNLIMITED;

	for (;;) {
		uint64_t room = room_of(place, version);
		char *slash = strrchr(place->path + place->mount_length, '/');

		if (room < least)
			least = room;
		if (!slash)
			return least;
		*slash = '\0';
	}
}

/* "4:memory:/a/b" of v1, "0::/a/b" of v2: the path. */
static const char *path_in_line(char *line, const struct version *version)
{
	char *controllers = strchr(line, ':');
	char *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path)
		return NULL;
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	controllers++;
	if (version->swap_limit) /* v2 */
		return *controllers ? NULL : path;
	for (char *name = strtok(controllers, ","); name; name = strtok(NULL, ","))
		if (strcmp(name, "memory") == 0)
			return path;
	return NULL;
}

static bool find_path(const char *cgroup, const struct version *version, char path[static PATH_MAX])
{
	FILE *file = fopen(cgroup, "re");
	char line[PATH_MAX];
	const char *found = NULL;

	while (file && !found && fgets(line, sizeof line, file))
		found = path_in_line(line, version);
	if (found)
		snprintf(path, PATH_MAX, "%s", found);
	if (file)
		fclose(file);
	return found != NULL;
}

/* The path below what the mount shows. Where it shows another part (a container's own view), its
 * root is the nearest that can be read. */
static void set_place(struct place *place, const char *mount, const char *root, const char *path)
{
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	bool is_below = strncmp(path, root, length) == 0 &&
			(path[length] == '/' || path[length] == '\0') && !strstr(path, "/..");

	place->mount_length = (size_t)snprintf(place->path, sizeof place->path, "%s", mount);
	if (is_below && strcmp(path + length, "/") != 0)
		snprintf(place->path + place->mount_length,
			 sizeof place->path - place->mount_length, "%s", path + length);
}

/* "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory" */
static bool is_mount_of(char *line, const struct version *version, char *root, char *mount)
{
	char *rest = strstr(line, " - "), type[32] = "", options[512] = "";

	if (!rest || sscanf(line, "%*d %*d %*s %4095s %4095s", root, mount) != 2 ||
	    sscanf(rest, " - %31s %*s %511s", type, options) != 2)
		return false;
	return strcmp(type, version->filesystem) == 0 &&
	       (version->swap_limit || strstr(options, "memory"));
}

static uint64_t ask_version(const struct memory_room_source *source, const struct version *version)
{
	char path[PATH_MAX], root[PATH_MAX], mount[PATH_MAX], line[3 * PATH_MAX];
	uint64_t room = MEMORY_ROOM_UNLIMITED;
	bool is_found = false;
	struct place place;
	FILE *file;

	if (!find_path(source->cgroup, version, path))
		return room;
	file = fopen(source->mountinfo, "re");
	while (file && !is_found && fgets(line, sizeof line, file))
		is_found = is_mount_of(line, version, root, mount);
	if (file)
		fclose(file);
	if (!is_found)
		return room;
	set_place(&place, mount, root, path);
	return room_up_from(&place, version);
}

uint64_t memory_room_ask(const struct memory_room_source *source)
{
	uint64_t least = MEMORY_ROOM_UNLIMITED;

	for (unsigned i = 0; i < ARRAY_LEN(versions); i++) {
		uint64_t room = ask_version(source, &versions[i]);

		if (room < least)
			least = room;
	}
	return least;
}

static const struct memory_room_source own = { "/proc/self/cgroup", "/proc/self/mountinfo" };
static const struct memory_room_source *asked_source = &own;
static atom64 room_left, asked_ns;
static atom32 asked_by; /* a forked child may be in another cgroup */

static _Thread_local bool was_refused tls_fast;

void memory_room_set_source(const struct memory_room_source *source)
{
	asked_source = source;
	store_relaxed(&room_left, 0);
}

bool memory_room_was_refused(void)
{
	return was_refused;
}

bool memory_room_take(uint64_t bytes)
{
	KEEP_ERRNO;
	uint64_t now, room;

	if (!asked_source)
		return true;
	now = (uint64_t)clock_now_ns();
	room = load_relaxed(&room_left);

	/* Relaxed, and each thread may overwrite the other's: all are guesses, see above. */
	if (room < bytes + NEAR_BYTES || load_relaxed(&asked_by) != (uint32_t)getpid() ||
	    now - load_relaxed(&asked_ns) > REMEMBERED_NS) {
		room = memory_room_ask(asked_source);
		store_relaxed(&asked_ns, now);
		store_relaxed(&asked_by, (uint32_t)getpid());
	}
	was_refused = room != MEMORY_ROOM_UNLIMITED && room < bytes + MARGIN_BYTES;
	if (was_refused) {
		store_relaxed(&room_left, 0);
		return false;
	}
	store_relaxed(&room_left, room == MEMORY_ROOM_UNLIMITED ? room : room - bytes);
	return true;
}
