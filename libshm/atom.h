/* SPDX-License-Identifier: MIT
 *
 * Atomic accesses with their order in the name. Knows: C11 <stdatomic.h>; the only file that may
 * write memory_order_. Does not know: what the words mean.
 *
 * There are no stand-alone fences: ThreadSanitizer does not model them, and on x86 a seq_cst
 * read-modify-write is the same locked instruction. Where a store must be ordered before a later
 * load (announce/re-check, publish/look) the store is an RMW and the load is load_seqcst: acquire
 * is not enough, compilers may emit a weaker load for it (ARM ldapr).
 */
#ifndef LIBSHM_ATOM_H
#define LIBSHM_ATOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t atom32;
typedef _Atomic uint64_t atom64;

#define load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define load_seqcst(p) atomic_load_explicit((p), memory_order_seq_cst)
#define store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)

#define swap_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define swap_seqcst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define add_seqcst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define or_relaxed(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define or_seqcst(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define and_seqcst(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)

/* Compare and swap; on failure the word that was found is in *expected. */
#define cas_relaxed(p, expected, desired)                                                          \
	atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_relaxed,  \
						memory_order_relaxed)
#define cas_acquire(p, expected, desired)                                                          \
	atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_acquire,  \
						memory_order_acquire)
#define cas_release(p, expected, desired)                                                          \
	atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_release,  \
						memory_order_relaxed)
#define cas_seqcst(p, expected, desired)                                                           \
	atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_seq_cst,  \
						memory_order_seq_cst)

/* A counter with one writer: no locked instruction. */
#define count_own(p, n) store_relaxed((p), load_relaxed(p) + (n))

/* Keeps the compiler from moving plain stores across; the CPU's order is the kill's order. */
#define compiler_barrier() atomic_signal_fence(memory_order_seq_cst)

#endif
