/* SPDX-License-Identifier: MIT
 *
 * mptop on a terminal. Knows: how to run until the user quits. Does not know: batch output.
 */
#ifndef MPTOP_SCREEN_H
#define MPTOP_SCREEN_H

#include "options.h"

/* Until the user quits or the terminal is gone. 0, or -errno with the terminal restored. */
int screen_run(struct model *model, const struct options *options);

#endif
