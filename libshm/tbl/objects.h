/* SPDX-License-Identifier: MIT
 * The kinds of objects: OBJECT(number, NAME, "what tools print"). Numbers are never used again. */
OBJECT(1, LOCK, "lock")
OBJECT(2, QUEUE, "queue")
OBJECT(3, EVENT, "event")
OBJECT(4, SEMAPHORE, "semaphore")
OBJECT(5, CONDITION, "condition")
OBJECT(6, BARRIER, "barrier")
OBJECT(7, RWLOCK, "rwlock")
