#!/bin/sh
# SPDX-License-Identifier: MIT
# refs.sh ROOT: only shmref.h and seg.c turn an offset into a pointer.
cd "$1" || exit 2
if grep -rnE --include='*.[ch]' -e '(->|\.)base[[:space:]]*(\+|\[)' -e '\+[[:space:]]*[a-z_>.-]*(->|\.)base\b' \
	libshm mpd mptop | grep -vE '^libshm/(shmref\.h|seg\.c):'; then
	echo 'use shm_at() instead'
	exit 1
fi
