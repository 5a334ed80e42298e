/* SPDX-License-Identifier: MIT
 *
 * What the rows of the objects (family_object.c) and their questions (object_check.c) share. Knows:
 * kinds, operations, how a scene begins. Does not know: what a name promises.
 */
#ifndef TESTS_CRASH_FAMILY_OBJECT_H
#define TESTS_CRASH_FAMILY_OBJECT_H

#include "object_kinds.h"

#define OBJECT_NAME "object"
int object_make(struct scene *scene, struct party *party);
int object_make_exclusive(struct scene *scene, struct party *party);
int object_make_anonymous(struct scene *scene, struct party *party);
int object_unlink_it(struct scene *scene, struct party *party);
int object_close_it(struct scene *scene, struct party *party);
int object_close_pinned(struct scene *scene, struct party *party); /* as who starts a child */
int object_open_by_id(struct scene *scene, struct party *party);

/* With these flags, under its name. */
int object_open_it(struct scene *scene, struct party *party, uint32_t flags);

/* As the scene begins. */
bool object_has_name(const struct scene *scene);
bool object_is_anonymous(const struct scene *scene);
bool object_is_id_stale(const struct scene *scene);

bool object_check(struct scene *scene);
bool object_may_say(struct scene *scene, enum role role, int result);

#endif
