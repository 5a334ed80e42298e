/* SPDX-License-Identifier: MIT
 *
 * What parties do with a queue. Knows: the public calls, and the steps of two that are to come out
 * of order; what each notes in its ledger. Does not know: in which context, what must hold
 * afterwards.
 */
#ifndef TESTS_CRASH_QUEUE_ACT_H
#define TESTS_CRASH_QUEUE_ACT_H

#include "crash.h"

void act_write_before(struct scene *scene, struct party *party);
int act_put(struct scene *scene, struct party *party);
int act_put_in_time(struct scene *scene, struct party *party);
int act_get(struct scene *scene, struct party *party);
int act_get_in_time(struct scene *scene, struct party *party);
int act_get_too_small(struct scene *scene, struct party *party);
int act_reserve(struct scene *scene, struct party *party);
int act_abandon(struct scene *scene, struct party *party);
void act_reserve_before(struct scene *scene, struct party *party);
void act_reserve_and_close_before(struct scene *scene, struct party *party);
int act_commit(struct scene *scene, struct party *party);
int act_claim(struct scene *scene, struct party *party);
int act_claim_in_time(struct scene *scene, struct party *party);
void act_claim_before(struct scene *scene, struct party *party);
int act_ack(struct scene *scene, struct party *party);
int act_return(struct scene *scene, struct party *party);
int act_close_input(struct scene *scene, struct party *party);
int act_recover(struct scene *scene, struct party *party);
void act_settle_claim(struct scene *scene, struct party *party);
void act_settle_reserve(struct scene *scene, struct party *party);
void act_settle_commit(struct scene *scene, struct party *party);
void act_put_one(struct scene *scene, struct party *party);
void act_get_one(struct scene *scene, struct party *party);
void act_put_two(struct scene *scene, struct party *party);
void act_get_two(struct scene *scene, struct party *party);

#endif
