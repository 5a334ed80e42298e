/* SPDX-License-Identifier: MIT
 *
 * See handle.h.
 *
 * A hold of the object comes before the memory of the handle, and goes after what the process owns
 * there was given up: without a hold no sweep would look at the object.
 */
#include "handle.h"

#include "errno_kept.h"
#include "explain.h"

#include <errno.h>
#include <stdlib.h>

static void let_go(struct object_handle *handle, void (*give_up)(struct object_handle *handle))
{
	if (!object_drop_handle(handle))
		return;
	if (give_up)
		give_up(handle);
	object_let_go(handle->seg, handle->index);
}

static int make_handle(const struct handle_life *life, struct object_handle *held,
		       struct object_handle **ret_handle)
{
	struct object_handle *handle = calloc(1, life->handle_bytes);
	int error = 0;

	if (handle)
		*handle = *held;
	else
		error = explain(-ENOMEM, "no memory for a handle of %s '%s'", life->type->name,
				object_name(held));
	if (error == 0 && life->fill)
		error = life->fill(handle);
	if (error == 0) {
		*ret_handle = handle;
		return 0;
	}
	let_go(held, NULL);
	free(handle);
	return error;
}

static int check_wish(const struct handle_life *life, const struct handle_wish *wish)
{
	struct opts_of what = { life->type->name, wish->name };
	int error = opts_check_handles(what, wish->segment, life->ret_name, wish->ret);

	if (error == 0)
		error = opts_check_flags(what, wish->flags, MP_EXISTING | MP_EXCLUSIVE,
					 "MP_EXISTING MP_EXCLUSIVE");
	if (error == 0)
		error = opts_check_reserved(what, wish->reserved0, wish->reserved,
					    wish->reserved_count);
	if (error == 0 && life->check)
		error = life->check(object_seg(wish->segment), what, wish->opts);
	return error;
}

int handle_open(const struct handle_life *life, const struct handle_wish *wish,
		struct object_handle **ret_handle)
{
	KEEP_ERRNO;
	struct object_request request = { .name = wish->name,
					  .flags = wish->flags,
					  .type = life->type,
					  .bytes = life->type->bytes,
					  .compare = life->compare,
					  .make = life->make,
					  .opts = wish->opts };
	struct object_handle held;
	int error = check_wish(life, wish);

	if (error == 0)
		error = object_open(object_seg(wish->segment), &request, &held);
	return error < 0 ? error : make_handle(life, &held, ret_handle);
}

int handle_from_id(const struct handle_life *life, mp_segment *segment, uint64_t id,
		   const void *ret, struct object_handle **ret_handle)
{
	KEEP_ERRNO;
	struct object_handle held;
	int error = opts_check_handles((struct opts_of){ life->type->name, "(by id)" }, segment,
				       life->ret_name, ret);

	if (error == 0)
		error = object_from_id(object_seg(segment), id, life->type, &held);
	return error < 0 ? error : make_handle(life, &held, ret_handle);
}

int handle_unlink(const struct handle_life *life, mp_segment *segment, const char *name)
{
	KEEP_ERRNO;
	int error = opts_check_handles((struct opts_of){ life->type->name, name }, segment, "name",
				       name);

	return error < 0 ? error : object_unlink(object_seg(segment), name, life->type);
}

void handle_close(const struct handle_life *life, struct object_handle *handle)
{
	KEEP_ERRNO;
	if (!handle)
		return;
	let_go(handle, life->give_up);
	free(handle);
}
