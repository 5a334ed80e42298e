/* SPDX-License-Identifier: MIT
 * Why somebody does not use io_uring: REASON(number, NAME, "what tools print"). The numbers stand
 * in shared memory and in mpd's answers; they are never used again. */
REASON(0, NONE, "")
REASON(1, ASKED, "MP_WAIT_ENGINE asks for futex")
REASON(2, FORBIDDEN, "io_uring is forbidden (a seccomp filter or kernel.io_uring_disabled)")
REASON(3, MISSING, "the kernel, or a seccomp filter in its place, knows no io_uring")
REASON(4, KILLS, "a seccomp filter kills who uses io_uring")
REASON(5, NO_WORDS, "io_uring cannot wait for words here (Linux 6.7 can)")
REASON(6, UNTRUE, "io_uring did not pass its self-test")
REASON(7, NO_RING, "no ring could be made (descriptors, memory)")
REASON(8, NO_NAME, "MP_WAIT_ENGINE names no engine")
