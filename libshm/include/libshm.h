/* SPDX-License-Identifier: MIT
 *
 * libshm: multiprocessing for C. Everything; each part can also be included alone.
 */
#ifndef LIBSHM_H
#define LIBSHM_H

#include <libshm/barrier.h>
#include <libshm/base.h>
#include <libshm/cond.h>
#include <libshm/event.h>
#include <libshm/lock.h>
#include <libshm/observe.h>
#include <libshm/process.h>
#include <libshm/queue.h>
#include <libshm/rwlock.h>
#include <libshm/segment.h>
#include <libshm/sem.h>

#endif
