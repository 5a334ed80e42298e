#!/bin/sh
# SPDX-License-Identifier: MIT
# bench.sh PROGRAM [OPTION...]: run a benchmark with an mpd of its own, and wait until that left.
place=$(mktemp -d "${TMPDIR:-/tmp}/libshm-bench-XXXXXX") || exit 1
trap 'rm -rf "$place"' EXIT
trap 'exit 1' INT TERM HUP
MP_ENDPOINT=$place/mpd.sock
export MP_ENDPOINT
"$@" || exit
for _ in 1 2 3 4 5 6 7 8 9 10; do
	[ -e "$MP_ENDPOINT" ] || exit 0
	sleep 1
done
echo 'mpd has not left' >&2
exit 1
