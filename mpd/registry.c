/* SPDX-License-Identifier: MIT
 *
 * See registry.h. The file is sealed, has mode 0, and is mapped by mpd alone.
 */
#include "registry.h"

#include "log.h"
#include "memory.h"
#include "store.h"

#include "libshm/clock.h"
#include "libshm/name.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGISTRY_MAGIC UINT64_C(0x3147455244504d00) /* "\0MPDREG1" */
#define REGISTRY_VERSION 1
#define HEAD_BYTES 4096
#define FILE_BYTES (HEAD_BYTES + REGISTRY_RECORDS * sizeof(struct registry_record))

struct registry_head {
	atom64 magic; /* stored last */
	uint32_t version;
	uint32_t record_bytes;
	uint64_t layout; /* of the segments it speaks of */
	atom64 restarts;
	atom64 next_number;
};

static struct registry_head *head;
static struct registry_record *records;

static int map_file(int fd)
{
	uint8_t *base = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return errno == EAGAIN ? -ENOMEM : -errno;
	head = (struct registry_head *)(void *)base;
	records = (struct registry_record *)(void *)(base + HEAD_BYTES);
	return 0;
}

/* The file of an older mpd with other records is of no use, and must not be misread. */
static bool is_known(void)
{
	return load_acquire(&head->magic) == REGISTRY_MAGIC && head->version == REGISTRY_VERSION &&
	       head->record_bytes == sizeof(struct registry_record) &&
	       head->layout == layout_signature();
}

static int adopt(int fd)
{
	int error = memory_check(fd, FILE_BYTES);

	if (error == 0)
		error = map_file(fd);
	if (error < 0)
		return error;
	if (!is_known()) {
		munmap(head, FILE_BYTES);
		return -EPROTO;
	}
	add_relaxed(&head->restarts, 1);
	return 0;
}

static int create(void)
{
	int fd, error;

	fd = memory_create("mpd:registry", FILE_BYTES);
	if (fd < 0)
		return fd;
	error = map_file(fd);
	if (error < 0) {
		close(fd);
		return error;
	}
	head->version = REGISTRY_VERSION;
	head->record_bytes = sizeof(struct registry_record);
	head->layout = layout_signature();
	/* Behind all that a registry before this one gave: its clients may still speak of them. */
	store_relaxed(&head->next_number, (uint64_t)clock_now_ns());
	store_release(&head->magic, REGISTRY_MAGIC);
	store_put("registry", fd, -1);
	return fd;
}

int registry_open(int inherited_fd)
{
	int error = inherited_fd < 0 ? -ENOENT : adopt(inherited_fd);

	if (error == 0) {
		close(inherited_fd); /* the map and the store keep it */
		return 0;
	}
	if (memory_is_short(error))
		return error; /* it is whole, and the next mpd's */
	if (inherited_fd >= 0) {
		log_error("the registry handed down is unusable: %s", strerror(-error));
		store_forget("registry");
		close(inherited_fd);
	}
	error = create();
	if (error < 0)
		return error;
	close(error);
	return 0;
}

uint64_t registry_restarts(void)
{
	return load_relaxed(&head->restarts);
}

struct registry_record *registry_at(unsigned index)
{
	return &records[index];
}

/* The number is spent before it is used: a kill in between loses a number, never doubles one. */
uint64_t registry_reserve(unsigned *ret_index)
{
	for (unsigned i = 0; i < REGISTRY_RECORDS; i++) {
		if (load_relaxed(&records[i].state) != REGISTRY_FREE)
			continue;
		*ret_index = i;
		return add_relaxed(&head->next_number, 1);
	}
	return 0;
}

void registry_commit(struct registry_record *record, enum registry_state state)
{
	/* edge registry_record: release -> adoption's acquire; the fields before the state */
	store_release(&record->state, state);
}

bool registry_is_name(const char name[static NAME_BYTES])
{
	for (size_t i = strnlen(name, NAME_BYTES); i < NAME_BYTES; i++)
		if (name[i])
			return false;
	return name_is_good(name);
}
