#!/bin/sh
# SPDX-License-Identifier: MIT
# spelling.sh ROOT: codespell finds nothing. Exit 77 without it.
cd "$1" || exit 2
if ! command -v codespell >/dev/null 2>&1; then
	echo 'codespell is not installed'
	exit 77
fi
codespell --ignore-words tests/check/spelling.txt run .ci README.md \
	docs libshm mpd mptop tests || exit 1
