/* SPDX-License-Identifier: MIT
 *
 * See process_report.h.
 */
#include "process_report.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 10

/* Has the child ended, and waits to be reaped? */
static bool is_zombie(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

int process_await_report(int report, pid_t pid, int pidfd, struct process_report *ret_told)
{
	struct pollfd either[2] = { { .fd = report, .events = POLLIN },
				    { .fd = pidfd, .events = POLLIN } };
	ssize_t got;
	int ready;

	while ((ready = poll(either, 2, pidfd < 0 ? LOOK_AGAIN_MS : -1)) <= 0) {
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready == 0 && is_zombie(pid))
			break;
	}
	/* Its word may have come between the last poll and its end. */
	if (poll(either, 1, 0) <= 0 || !(either[0].revents & POLLIN))
		return -ECHILD;
	got = read(report, ret_told, sizeof *ret_told);
	ret_told->sentence[SENTENCE_BYTES - 1] = '\0';
	return got == (ssize_t)sizeof *ret_told ? ret_told->error : -ECHILD;
}
