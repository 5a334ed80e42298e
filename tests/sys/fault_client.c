/* SPDX-License-Identifier: MIT
 *
 * See fault_client.h.
 */
#include "fault_client.h"

#include "libshm/slot.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int fault_connect(struct raw *raw)
{
	struct proto_hello hello = { .pid = (uint32_t)getpid(), .signature = layout_signature() };
	struct timeval patience = { .tv_sec = 5 };
	struct sockaddr_un address;
	struct wire_fds fds = { 0 };
	int result;

	*raw = (struct raw){ .socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0),
			     .roster = -1 };
	setsockopt(raw->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	assert_int_equal(wire_address(getenv("MP_ENDPOINT"), &address), 0);
	result = wire_connect(raw->socket, &address);
	if (result == 0)
		result = raw_ask(raw, PROTO_HELLO, &hello, sizeof hello, &raw->welcome,
				 sizeof raw->welcome, &fds);
	if (result == 0)
		raw->roster = fds.fd[0];
	else
		wire_close_fds(&fds);
	return result;
}

int fault_ask_attached(struct raw *raw, const struct raw_segment *segment, enum proto_type type)
{
	struct proto_attached attached = { segment->opened.segment, segment->client,
					   segment->generation };

	return raw_ask(raw, type, &attached, sizeof attached, NULL, 0, NULL);
}

int fault_format(struct raw *raw, const struct raw_segment *segment, const char *name)
{
	struct proto_segment formatted = { segment->opened.segment };
	struct seg_geometry plan;

	assert_int_equal(seg_plan(segment->opened.size_bytes, segment->opened.max_clients,
				  segment->opened.max_threads, &plan), 0);
	assert_int_equal(seg_format(segment->fd, name, segment->opened.generation, &plan), 0);
	return raw_ask(raw, PROTO_FORMATTED, &formatted, sizeof formatted, NULL, 0, NULL);
}

int fault_take_part(struct raw *raw, struct raw_segment *segment)
{
	assert_int_equal(seg_map(segment->fd, false, &segment->seg), 0);
	assert_int_equal(slot_claim_client(segment->seg, raw_lock_byte(raw), "raw", 0,
					   &segment->client, &segment->generation), 0);
	return fault_ask_attached(raw, segment, PROTO_ATTACHED);
}

void fault_leave_slot(const struct raw_segment *segment)
{
	slot_mark_dead(segment->seg, segment->client, segment->generation);
	slot_free_client(segment->seg, segment->client, segment->generation);
}

int fault_attach_and_leave(const char *name, uint64_t size_bytes, struct proto_opened *ret_opened)
{
	struct raw_segment segment = { .fd = -1 };
	struct raw raw;
	int result = fault_connect(&raw);

	if (result == 0)
		result = raw_open(&raw, name, size_bytes, 0, &segment);
	if (result == 0 && segment.opened.must_format)
		result = fault_format(&raw, &segment, name);
	if (result == 0) {
		result = fault_take_part(&raw, &segment);
		fault_leave_slot(&segment);
		if (result == 0)
			result = fault_ask_attached(&raw, &segment, PROTO_DETACHED);
	}
	raw_close(&raw);
	*ret_opened = segment.opened;
	if (segment.fd >= 0)
		raw_forget(&segment);
	return result;
}
