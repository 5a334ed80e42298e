#!/bin/sh
# SPDX-License-Identifier: MIT
# order.sh ROOT: only atom.h names memory orders, fences and the compiler's own atomics.
cd "$1" || exit 2
if grep -rnE --include='*.[ch]' 'memory_order_|atomic_(thread|signal)_fence|__atomic_|__sync_|stdatomic' \
	libshm mpd mptop | grep -v '^libshm/atom\.h:'; then
	echo 'use the accesses of atom.h instead'
	exit 1
fi
