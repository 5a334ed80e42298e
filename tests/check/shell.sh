#!/bin/sh
# SPDX-License-Identifier: MIT
# shell.sh ROOT: every shell script passes shellcheck. Exit 77 without it.
cd "$1" || exit 2
if ! command -v shellcheck >/dev/null 2>&1; then
	echo 'shellcheck is not installed'
	exit 77
fi
find tests -name '*.sh' -exec shellcheck run .ci/run {} +
