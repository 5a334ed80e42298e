/* SPDX-License-Identifier: MIT
 *
 * The control protocol between libshm and mpd: messages as a table. SOCK_SEQPACKET on a Unix
 * socket, one message a packet, one answer to each request, in order.
 * Knows: bytes on the wire. Does not know: sockets (wire.h), what mpd does with them.
 *
 * A client that sends anything else is dropped. Sizes are exact; reserved bytes are zero. A failed
 * request is answered in full size too: its body is zero or says why, no descriptor comes.
 *
 * Versions. The head, the number of HELLO and the fields that hello and welcome begin with stay as
 * they are in every version; a later one appends to the two. mpd reads a HELLO of any version, at
 * least as long as that of version 1, and answers one of another version than its own with -EPROTO,
 * its own version in the head, its own welcome and no descriptor; then it hangs up. So whoever
 * greets learns who is there, and both can say so.
 */
#ifndef LIBSHM_PROTO_H
#define LIBSHM_PROTO_H

#include "layout.h"

#define PROTO_MAGIC UINT32_C(0x3144504d) /* "MPD1" */
#define PROTO_VERSION 1
#define PROTO_HELLO_MAX 512 /* the longest HELLO that any version may send, head included */
#define PROTO_MESSAGE_MAX 65536
#define PROTO_FDS_MAX 4

struct proto_head {
	uint32_t magic;
	uint16_t version;
	uint16_t type;   /* enum proto_type */
	uint32_t bytes;  /* of the whole packet */
	uint32_t serial; /* the answer carries the request's */
	int32_t status;  /* answers: 0 or -errno */
	uint32_t reserved;
};

/* MESSAGE(number, NAME, request struct, answer struct, "what it does") */
#define PROTO_MESSAGES                                                                             \
	MESSAGE(1, HELLO, proto_hello, proto_welcome, "who mpd is; brings the roster")             \
	MESSAGE(2, OPEN, proto_open, proto_opened, "segment by name; brings its descriptor")       \
	MESSAGE(3, FORMATTED, proto_segment, proto_empty, "the segment I had to format is ready")  \
	MESSAGE(4, ATTACHED, proto_attached, proto_empty, "watch me as this client slot")          \
	MESSAGE(5, DETACHED, proto_attached, proto_empty, "that slot is no longer mine")           \
	MESSAGE(6, UNLINK, proto_open, proto_empty, "remove a name")                               \
	MESSAGE(7, LIST, proto_empty, proto_list, "all segments I may see")                        \
	MESSAGE(8, OBSERVE, proto_segment, proto_opened, "read-only descriptor of a segment")

enum proto_type {
#define MESSAGE(number, name, request, answer, text) PROTO_##name = number,
	PROTO_MESSAGES
#undef MESSAGE
};

struct proto_empty {
	uint64_t reserved;
};

struct proto_hello {
	uint32_t pid; /* as the client sees itself; mpd believes SO_PEERCRED */
	uint32_t flags; /* 1: an observer, never keeps mpd alive */
	uint64_t signature;
};

struct proto_welcome { /* + roster descriptor, not for observers; complete on -EPROTO too */
	uint32_t pid;
	uint32_t is_system;
	uint64_t started_ns; /* monotonic */
	uint64_t restarts;
	uint64_t signature;
	char version[16];
	char engine[6];
	uint16_t engine_reason; /* why not io_uring: tbl/reasons.h */
};

struct proto_open {
	char name[NAME_BYTES];
	uint64_t size_bytes;
	uint32_t max_clients;
	uint32_t max_threads;
	uint32_t mode;
	int32_t gid;
	uint32_t flags; /* enum mp_open_flags */
	uint32_t owner; /* whose: uid + 1; 0: one's own, or one that is shared (mpd/access.c) */
};

/* OPEN: descriptor to map. If must_format is 1 this client formats it with that plan and says
 * FORMATTED; mpd answers other OPENs of the name only then (or names a new formatter when it dies).
 * -EPROTO, without a descriptor: the segment is not of the wanted shape; the body tells which is.
 * -ESTALE to FORMATTED or ATTACHED: mpd was killed meanwhile, the segment is gone; open it anew. */
struct proto_opened {
	uint64_t segment; /* mpd's number of it */
	uint64_t generation;
	uint64_t size_bytes;
	uint32_t max_clients;
	uint32_t max_threads;
	uint32_t must_format;
	uint32_t mode;
};

enum proto_quota {
	QUOTA_NONE, /* mpd's own tables are full */
#define QUOTA(name, field, option, fallback, text) QUOTA_##name,
#include "tbl/quotas.h"
#undef QUOTA
	QUOTA_COUNT,
};

/* In place of the body when an OPEN was refused with -EPERM, -EINVAL or -EDQUOT, or a HELLO with
 * -EDQUOT. */
enum proto_reason {
	REASON_NONE,
	REASON_MODE,    /* uid's segment: its gid and mode let you look and not attach */
	REASON_HIDDEN,  /* uid has nothing of that name for you */
	REASON_GROUP,   /* you are not in the group gid */
	REASON_SEVERAL, /* uid and other_uid offer one of that name */
	REASON_QUOTA,   /* enum proto_quota: so much is used, so much is allowed */
};

struct proto_refused {
	uint32_t reason; /* enum proto_reason */
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	uint32_t other_uid;
	uint32_t quota;
	uint64_t used;
	uint64_t allowed;
};
static_assert(sizeof(struct proto_refused) == sizeof(struct proto_opened), "one for the other");
static_assert(sizeof(struct proto_refused) <= sizeof(struct proto_welcome), "and there too");

struct proto_segment {
	uint64_t segment;
};

struct proto_attached {
	uint64_t segment;
	uint32_t client;
	uint32_t generation;
};

struct proto_listed {
	uint64_t segment;
	uint64_t generation;
	uint64_t size_bytes;
	uint32_t clients;
	uint32_t flags;
	uint32_t uid;
	uint32_t mode;
	char name[NAME_BYTES];
};

struct proto_list {
	uint32_t count;
	uint32_t reserved;
	struct proto_listed rows[]; /* at most (PROTO_MESSAGE_MAX - 64) / sizeof */
};

#endif
