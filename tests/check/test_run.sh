#!/bin/sh
# SPDX-License-Identifier: MIT
# test_run.sh ROOT: what ./run does about missing packages, and with words it does not know. The
# package manager, sudo and id are stand-ins that write down how they were called.
# shellcheck disable=SC2317 # functions are called through check()
root=$1
place=$(mktemp -d "${TMPDIR:-/tmp}/libshm-run-XXXXXX") || exit 1
trap 'rm -rf "$place"' EXIT
number=0
failed=0

# stand_in NAME BODY
stand_in() {
	printf '#!/bin/sh\necho "%s $*" >>"%s/calls"\n%s\n' "$1" "$place" "$2" >"$place/bin/$1"
	chmod +x "$place/bin/$1"
}

# A machine where meson is missing until apt-get has installed it.
new_machine() {
	rm -rf "${place:?}/bin" "$place/calls" "$place/installed" "$place/tries" "$place/output"
	mkdir "$place/bin"
	: >"$place/calls"
	stand_in id "echo $1"
	stand_in dpkg-query "for name; do :; done
		[ \"\$name\" != meson ] || [ -e $place/installed ] || exit 1
		echo installed"
	stand_in apt-get "case \$1 in install) : >$place/installed ;; esac"
	stand_in sudo "$2"
}

run() {
	PATH=$place/bin:$PATH BUILD_DIR=$place/build "$root/run" "$@" </dev/null >"$place/output" 2>&1
}

called() {
	grep -qE "$1" "$place/calls"
}

said() {
	grep -qE "$1" "$place/output"
}

root_installs_what_is_missing() {
	new_machine 0 'exit 1'
	run deps || return 1
	said 'missing packages: meson' || return 1
	called '^apt-get install -y --no-install-recommends meson$'
}

root_updates_the_lists_and_tries_again_when_it_fails() {
	new_machine 0 'exit 1'
	stand_in apt-get "case \$1 in
		install) [ -e $place/tries ] || { : >$place/tries; exit 100; } ;;
		esac"
	run deps || return 1
	called '^apt-get update' && [ "$(grep -c '^apt-get install' "$place/calls")" = 2 ]
}

root_fails_when_nothing_helps() {
	new_machine 0 'exit 1'
	stand_in apt-get 'echo no network; exit 100'
	run deps && return 1
	said 'no network' && said 'the whole log:'
}

user_with_sudo_uses_it() {
	# shellcheck disable=SC2016 # for the stand-in
	new_machine 1000 'case $1 in -n) exit 0 ;; *) exec "$@" ;; esac'
	run deps || return 1
	called '^sudo env DEBIAN_FRONTEND=noninteractive apt-get install'
}

user_without_sudo_gets_the_line_and_exit_3() {
	new_machine 1000 'exit 1'
	run deps
	[ $? = 3 ] || return 1
	said 'sudo apt-get install -y --no-install-recommends meson' && ! called '^apt-get'
}

nothing_missing_says_nothing() {
	new_machine 1000 'exit 1'
	: >"$place/installed"
	run deps || return 1
	[ ! -s "$place/output" ] && ! called '^(apt-get|sudo)'
}

unknown_words_exit_2() {
	new_machine 0 'exit 1'
	: >"$place/installed"
	run frobnicate
	[ $? = 2 ] || return 1
	run test --frobnicate
	[ $? = 2 ] || return 1
	run install --prefix
	[ $? = 2 ]
}

help_names_every_command() {
	new_machine 0 'exit 1'
	run help || return 1
	for command in deps build test demo bench top install clean ci; do
		said "^  $command\\b" || return 1
	done
}

works_from_another_folder_without_locale_and_terminal() {
	(cd / && env -i PATH="$PATH" BUILD_DIR="$place/build" "$root/run" help >"$place/output" 2>&1)
}

check() {
	number=$((number + 1))
	if "$1"; then
		echo "ok $number - $1"
	else
		sed 's/^/# /' "$place/calls" "$place/output"
		echo "not ok $number - $1"
		failed=1
	fi
}

echo 1..9
check root_installs_what_is_missing
check root_updates_the_lists_and_tries_again_when_it_fails
check root_fails_when_nothing_helps
check user_with_sudo_uses_it
check user_without_sudo_gets_the_line_and_exit_3
check nothing_missing_says_nothing
check unknown_words_exit_2
check help_names_every_command
check works_from_another_folder_without_locale_and_terminal
exit $failed
