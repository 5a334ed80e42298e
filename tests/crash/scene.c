/* SPDX-License-Identifier: MIT
 *
 * See scene.h. Knows: how libshm recognises a forked child (and how to keep it from doing so), what
 * a sleeping process looks like.
 *
 * All parties are attached by one process, each through a mapping of its own, before anything
 * happens. A clone is a fork of it in which the pages that libshm has wiped in forked children are
 * kept: so it goes on as that client, and the next clone begins from the same private memory.
 */
#include "scene.h"

#include "breakpoint.h"
#include "clock.h"
#include "image.h"
#include "judge.h"
#include "probe.h"
#include "recover.h"
#include "require.h"
#include "self.h"
#include "slot.h"
#include "trace.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define SEGMENT_BYTES (UINT64_C(3) << 20)
#define SEGMENT_CLIENTS 16
#define SEGMENT_THREADS 48
#define ASLEEP_MS 20000
#define JUDGE_MS 20000
#define PATIENCE_NS INT64_C(3600000000000)

static const struct seg_hooks hooks = {
	.client_died = recover_client,
	.thread_ended = recover_thread,
};

/* --- the segment --- */

static int make_memory(void)
{
	struct seg_geometry plan;
	int fd = memfd_create("libshm:crash", MFD_CLOEXEC);

	require(fd >= 0);
	require(seg_plan(SEGMENT_BYTES, SEGMENT_CLIENTS, SEGMENT_THREADS, &plan) == 0);
	require(ftruncate(fd, (off_t)plan.size_bytes) == 0);
	require(seg_format(fd, "crash", 1, &plan) == 0);
	return fd;
}

static void map_party(struct party *party, int fd, struct ledger *ledger)
{
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	require(fd >= 0 && seg_map(fd, false, &party->seg) == 0);
	party->seg->hooks = &hooks;
	party->seg->roster_fd = -1;
	party->seg->fork_epoch = self_fork_epoch();
	party->seg->usable_cpus = 1; /* no spinning: sleeps come at once */
	party->seg->guard_patience_ns = PATIENCE_NS; /* who waits for a guard is seen to wait */
	party->handle = (struct mp_segment){ .seg = party->seg, .users = 1 };
	party->ledger = ledger;
}

static void attach_party(struct party *party)
{
	struct self *me;

	require(slot_claim_client(party->seg, 0, "party", SLOT_NONE, &party->client,
				  &party->generation) == 0);
	party->seg->client = party->client;
	party->seg->client_generation = party->generation;
	require(self_get(party->seg, &me) == 0);
}

/* libshm asks the kernel to wipe some pages in forked children. Clones are to be no children. */
static void keep_on_fork(void)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	unsigned long from = 0, until = 0, a, b;
	char line[512];

	require(maps != NULL);
	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
			from = a;
			until = b;
		} else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " wf")) {
			require(madvise((void *)from, until - from, MADV_KEEPONFORK) == 0);
		}
	}
	fclose(maps);
}

static void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	require(memory != MAP_FAILED);
	return memory;
}

/* --- clones --- */

pid_t scene_clone(struct scene *scene, enum role role, void (*run)(struct scene *scene))
{
	pid_t parent = getpid(), pid = fork();

	require(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			run(scene);
		_exit(0);
	}
	scene->pids[role] = pid;
	if (role == VICTIM)
		scene->victim_pid = pid;
	return pid;
}

bool scene_has_ended(struct scene *scene, enum role role, unsigned milliseconds)
{
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, scene->pids[role], 0),
			      .events = POLLIN };
	int count;

	require(end.fd >= 0);
	count = poll(&end, 1, (int)milliseconds);
	close(end.fd);
	return count == 1;
}

int scene_wait(struct scene *scene, enum role role, unsigned milliseconds)
{
	int status;

	if (waitpid(scene->pids[role], &status, WNOHANG) != scene->pids[role]) {
		if (!scene_has_ended(scene, role, milliseconds)) {
			scene_end_clone(scene, role);
			return -1;
		}
		require(waitpid(scene->pids[role], &status, 0) == scene->pids[role]);
	}
	scene->pids[role] = 0;
	return status;
}

void scene_end_clone(struct scene *scene, enum role role)
{
	if (scene->pids[role] <= 0)
		return;
	kill(scene->pids[role], SIGKILL);
	require(waitpid(scene->pids[role], NULL, 0) == scene->pids[role]);
	scene->pids[role] = 0;
}

const struct operation *scene_operation_named(const char *name, uint32_t variant)
{
	for (unsigned f = 0; f < family_count; f++)
		for (unsigned i = 0; i < families[f]->operation_count; i++) {
			const struct operation *operation = &families[f]->operations[i];

			if (operation->variant == variant && strcmp(operation->name, name) == 0)
				return operation;
		}
	fprintf(stderr, "crash: there is no operation '%s' of variant %u\n", name, variant);
	_exit(EXIT_VOID);
}

static const struct operation *rival_of(const struct scene *scene)
{
	const struct operation *operation = scene->operation;

	return operation->rival ? scene_operation_named(operation->rival, operation->variant)
				: operation;
}

const struct operation *scene_operation_of(const struct scene *scene, enum role role)
{
	if (role == EARLIER)
		return rival_of(scene);
	return role == SURVIVOR && scene->other ? scene->other : scene->operation;
}

void scene_perform(struct scene *scene, enum role role)
{
	struct party *party = &scene->parties[role];

	party->ledger->result = scene_operation_of(scene, role)->run(scene, party);
	atomic_store(&party->ledger->is_done, 1);
}

static char process_state(pid_t pid)
{
	char path[40], text[512], *end;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(text, sizeof text, file))
		text[0] = '\0';
	fclose(file);
	end = strrchr(text, ')');
	return end && end[1] ? end[2] : 0;
}

bool scene_is_sleeping(struct scene *scene, enum role role)
{
	return scene->pids[role] > 0 && process_state(scene->pids[role]) == 'S';
}

bool scene_is_asleep(struct scene *scene, enum role role)
{
	struct party *party = &scene->parties[role];
	struct seg *seg = scene->parties[CHECKER].seg;
	uint32_t high = seg_threads_high(seg);

	for (uint32_t thread = 0; thread < high; thread++)
		if (thread_word_client(load_relaxed(&seg->threads[thread].word)) == party->client &&
		    (load_relaxed(&seg->threads[thread].bell) & 1))
			return scene_is_sleeping(scene, role);
	return false;
}

static void fall_asleep(struct scene *scene)
{
	scene->operation->sleep(scene, &scene->parties[SLEEPER]);
	atomic_store(&scene->parties[SLEEPER].ledger->is_done, 1);
}

static void start_sleeper(struct scene *scene)
{
	int64_t until = clock_now_ns() + ASLEEP_MS * INT64_C(1000000);
	struct timespec nap = { .tv_nsec = 30000 };

	scene_clone(scene, SLEEPER, fall_asleep);
	while (!scene_is_asleep(scene, SLEEPER)) {
		require(clock_now_ns() < until);
		nanosleep(&nap, NULL);
	}
	scene->sleeper_bell = judge_bell(scene, SLEEPER);
}

static void unblock(struct scene *scene)
{
	scene->operation->unblock(scene, &scene->parties[SURVIVOR]);
	atomic_store(&scene->parties[SURVIVOR].ledger->is_done, 1);
}

/* Is its bell another one than when it slept? */
static bool was_rung(struct scene *scene, enum role role, uint32_t asleep)
{
	return judge_bell(scene, role) != asleep;
}

void scene_unblock(struct scene *scene)
{
	uint32_t bell = judge_bell(scene, VICTIM);

	scene_clone(scene, SURVIVOR, unblock);
	require(scene_wait(scene, SURVIVOR, ASLEEP_MS) == 0);
	if (was_rung(scene, VICTIM, bell) ||
	    (scene->context->has_sleeper && was_rung(scene, SLEEPER, scene->sleeper_bell)))
		return;
	complain(scene, "who brings what it waits for does not wake it");
	atomic_fetch_add(&totals->failures, 1);
}

void scene_rewind(struct scene *scene)
{
	for (enum role role = 0; role < ROLES; role++)
		scene_end_clone(scene, role);
	image_restore(scene->image);
	memcpy(scene->ledgers, scene->ledgers + ROLES, ROLES * sizeof *scene->ledgers);
	if (scene->context->has_sleeper)
		start_sleeper(scene);
}

/* --- judging --- */

static void judge(struct scene *scene)
{
	_exit(judge_scene(scene) ? 0 : 1);
}

/* Every party goes on in the copy; what they note is not for the others. */
static void judge_in_copy(struct scene *scene)
{
	static struct ledger ledgers[ROLES];

	memcpy(ledgers, scene->ledgers, sizeof ledgers);
	scene->is_copy = true;
	for (enum role role = 0; role < ROLES; role++) {
		struct party *party = &scene->parties[role];

		require(mmap(party->seg->base, party->seg->size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_FIXED, scene->copy_fd, 0) == party->seg->base);
		party->ledger = &ledgers[role];
	}
	scene->ledgers = ledgers;
	judge(scene);
}

static bool await_judgement(struct scene *scene)
{
	int status = scene_wait(scene, CHECKER, JUDGE_MS);

	if (status == 0)
		return true;
	if (status == -1)
		complain(scene, "the recovery or what followed it hangs");
	else if (WIFSIGNALED(status))
		complain(scene, "signal %d in the recovery or what followed it", WTERMSIG(status));
	atomic_fetch_add(&totals->failures, 1);
	return false;
}

bool scene_judge_copy(struct scene *scene)
{
	image_write(scene->current, scene->copy_fd, scene->copy);
	scene_clone(scene, CHECKER, judge_in_copy);
	return await_judgement(scene);
}

bool scene_judge_real(struct scene *scene)
{
	scene_clone(scene, CHECKER, judge);
	return await_judgement(scene);
}

/* --- beginning --- */

static void make_copy(struct scene *scene)
{
	struct party *party = &scene->parties[CHECKER];

	scene->copy_fd = memfd_create("libshm:crash:copy", MFD_CLOEXEC);
	require(scene->copy_fd >= 0 && ftruncate(scene->copy_fd, (off_t)party->seg->size) == 0);
	scene->copy = mmap(NULL, party->seg->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   scene->copy_fd, 0);
	require(scene->copy != MAP_FAILED);
}

static void begin_image(struct scene *scene)
{
	struct party *party = &scene->parties[CHECKER];

	memcpy(scene->ledgers + ROLES, scene->ledgers, ROLES * sizeof *scene->ledgers);
	image_free(scene->image);
	scene->image = image_make(party->seg->fd, party->seg->base, party->seg->size);
}

static void begin_parties(struct scene *scene)
{
	int fd = make_memory();

	/* As the scene begins, and once more to rewind to. */
	scene->ledgers = share(2 * ROLES * sizeof *scene->ledgers);
	for (enum role role = 0; role < ROLES; role++) {
		map_party(&scene->parties[role], fd, &scene->ledgers[role]);
		if (role != VICTIM || !scene->operation->family->victim_attaches)
			attach_party(&scene->parties[role]);
	}
	close(fd);
}

static void arrange(struct scene *scene, const struct operation *operation, enum role role)
{
	if (operation->arrange)
		operation->arrange(scene, &scene->parties[role]);
}

void scene_begin(struct scene *scene, const struct operation *operation,
		 const struct context *context, const struct operation *other)
{
	const struct park_ops *engine;

	*scene = (struct scene){ .operation = operation,
				 .context = context,
				 .other = other,
				 .at = "stepped",
				 .timeout = context->is_tight ? MP_NOW : MP_FOREVER };
	scene->is_dead[VICTIM] = true;
	scene->is_dead[EARLIER] = context->earlier != NO_EARLIER;
	if (other)
		scene->timeout = MP_MSEC(30); /* the victim may die without what it waits for */
	require(probe_engine(&engine) == 0); /* once, not in each clone */
	require(breakpoint_begin());
	begin_parties(scene);
	operation->family->begin(scene);
	if (context->begin)
		context->begin(scene);
	if (context->earlier != NO_EARLIER)
		arrange(scene, rival_of(scene), EARLIER);
	arrange(scene, operation, VICTIM);
	if (other)
		arrange(scene, other, SURVIVOR);
	keep_on_fork();
	make_copy(scene);
	begin_image(scene);
	if (context->earlier != NO_EARLIER) {
		earlier_stands(scene);
		begin_image(scene);
	}
	if (context->has_sleeper)
		start_sleeper(scene);
}
