/* SPDX-License-Identifier: MIT
 *
 * A reference: Dmitry Vyukov's bounded queue, many putters and getters, written anew. Knows:
 * cells with a sequence number. Does not know: sleeping, deaths (a process killed between its CAS
 * and its store stops it for ever), anything of the product.
 */
#ifndef TESTS_BENCH_REFERENCE_VYUKOV_H
#define TESTS_BENCH_REFERENCE_VYUKOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vyukov;

/* Memory for a ring; capacity is a power of two. */
size_t vyukov_bytes(uint32_t capacity, uint32_t message_bytes);
void vyukov_init(struct vyukov *ring, uint32_t capacity, uint32_t message_bytes);

/* False if it is full (empty). */
bool vyukov_try_put(struct vyukov *ring, const void *data, uint32_t len);
bool vyukov_try_get(struct vyukov *ring, void *buf, uint32_t *ret_len);

#endif
