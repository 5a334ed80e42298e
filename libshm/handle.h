/* SPDX-License-Identifier: MIT
 *
 * The life of a public handle, the same for every kind: open, from an id, close, unlink. Knows: in
 * which order things are checked, the memory of handles, the last handle of a process. Does not
 * know: names and holds (object.h), what a kind's options mean.
 */
#ifndef LIBSHM_HANDLE_H
#define LIBSHM_HANDLE_H

#include "object.h"

#include <libshm/segment.h>

/* One for each kind. A handle begins with its struct object_handle. */
struct handle_life {
	const struct object_type *type;
	const char *ret_name; /* of the out-parameter, for a refusal: "ret_lock" */
	uint64_t handle_bytes;
	/* What is wrong with the options besides flags and reserved fields, or NULL. 0 or -errno
	 * with a sentence. */
	int (*check)(struct seg *seg, struct opts_of what, const void *opts);
	/* As in struct object_request; NULL: there is nothing to agree about. */
	void (*compare)(void *object, const void *opts, struct opts_difference *difference);
	/* As in struct object_request; NULL: zeroes are a good beginning. */
	int (*make)(struct seg *seg, struct self *me, void *object, const void *opts);
	/* What the handle keeps besides its struct object_handle, or NULL. 0 or -errno with a
	 * sentence. */
	int (*fill)(struct object_handle *handle);
	/* Before the last handle of this process goes: what the process owns there, or NULL. */
	void (*give_up)(struct object_handle *handle);
};

/* One call of mp_X_open. */
struct handle_wish {
	mp_segment *segment;
	const char *name;
	const void *opts; /* what check, compare and make get */
	const void *ret;  /* the caller's out-parameter, only looked at */
	uint32_t flags;
	uint32_t reserved0;
	const uint64_t *reserved;
	unsigned reserved_count;
};

/* Every kind's options have flags, reserved0 and reserved. */
#define HANDLE_WISH(of_segment, of_name, of_opts, of_ret)                                          \
	{                                                                                          \
		.segment = (of_segment), .name = (of_name), .opts = (of_opts), .ret = (of_ret),    \
		.flags = (of_opts)->flags, .reserved0 = (of_opts)->reserved0,                      \
		.reserved = (of_opts)->reserved, .reserved_count = ARRAY_LEN((of_opts)->reserved), \
	}

/* Each 0 or -errno, with a sentence. */
int handle_open(const struct handle_life *life, const struct handle_wish *wish,
		struct object_handle **ret_handle);
int handle_from_id(const struct handle_life *life, mp_segment *segment, uint64_t id,
		   const void *ret, struct object_handle **ret_handle);
int handle_unlink(const struct handle_life *life, mp_segment *segment, const char *name);
void handle_close(const struct handle_life *life, struct object_handle *handle);

#endif
