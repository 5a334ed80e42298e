/* SPDX-License-Identifier: MIT
 *
 * See fault.h: the plan and its page. Does not know: the calls that fail (fault_calls.c).
 */
#include "fault.h"
#include "fault_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ERRORS_MAX 8

struct page {
	atomic_bool is_armed;
	atomic_bool has_struck;
	pid_t runner; /* who judges: nothing of his fails */
	pid_t pid;
	struct fault_plan plan; /* nth 0: count only */
	atomic_uint counts[FAULT_KINDS];
};

static struct page *page;
static bool is_guest; /* found it */

static const struct {
	const char *name;
	int errors[ERRORS_MAX];
} table[] = {
#define FAULT(kind, name, ...) { name, { __VA_ARGS__ } },
	FAULT_CALLS
#undef FAULT
};

static bool is_meant(pid_t pid)
{
	if (pid == 0)
		return page->runner != getpid();
	return pid == FAULT_GUESTS ? is_guest : pid == getpid();
}

int fault_strike(enum fault_call call)
{
	if (!page || !atomic_load(&page->is_armed) || !is_meant(page->pid))
		return 0;
	if (atomic_fetch_add(&page->counts[call], 1) + 1 != page->plan.nth ||
	    page->plan.call != call || atomic_exchange(&page->has_struck, true))
		return 0;
	return page->plan.error;
}

/* Not what is wrapped. */
void *__real_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int __real_open64(const char *path, int flags, mode_t mode);
int __real_ftruncate64(int fd, off_t size);

static void map_page(int fd, int flags)
{
	page = __real_mmap64(NULL, sizeof *page, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (page == MAP_FAILED)
		abort();
}

static void begin(int fd, int flags)
{
	map_page(fd, flags);
	page->runner = getpid();
}

void fault_begin(const char *path)
{
	int fd;

	if (!path) {
		begin(-1, MAP_SHARED | MAP_ANONYMOUS);
		return;
	}
	fd = __real_open64(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || __real_ftruncate64(fd, sizeof *page) < 0 || setenv("MP_FAULT_PAGE", path, 1))
		abort();
	begin(fd, MAP_SHARED);
	close(fd);
}

static __attribute__((constructor)) void find_page(void)
{
	const char *path = getenv("MP_FAULT_PAGE");
	int fd = path ? __real_open64(path, O_RDWR | O_CLOEXEC, 0) : -1;

	if (fd < 0)
		return;
	map_page(fd, MAP_SHARED);
	close(fd);
	is_guest = true;
}

void fault_arm(const struct fault_plan *plan, pid_t pid)
{
	atomic_store(&page->is_armed, false);
	for (unsigned i = 0; i < FAULT_KINDS; i++)
		atomic_store(&page->counts[i], 0);
	atomic_store(&page->has_struck, false);
	page->plan = plan ? *plan : (struct fault_plan){ .nth = 0 };
	page->pid = pid;
	atomic_store(&page->is_armed, true);
}

void fault_disarm(void)
{
	atomic_store(&page->is_armed, false);
}

bool fault_has_struck(void)
{
	return atomic_load(&page->has_struck);
}

unsigned fault_count(enum fault_call call)
{
	return atomic_load(&page->counts[call]);
}

const char *fault_name(enum fault_call call)
{
	return table[call].name;
}

int fault_error(enum fault_call call, unsigned i)
{
	return i < ERRORS_MAX ? table[call].errors[i] : 0;
}

const char *fault_error_name(int error)
{
	if (error == FAULT_CTRUNC)
		return "MSG_CTRUNC";
	return error == FAULT_EOF ? "end of file" : strerrorname_np(error);
}
