#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh ROOT: what ./run install puts down is whole: a program outside the tree builds with
# pkg-config alone, runs twice against the installed mpd, and nothing is left behind.
# shellcheck disable=SC2317 # functions are called through check()
root=$1
place=$(mktemp -d "${TMPDIR:-/tmp}/libshm-install-XXXXXX") || exit 1
prefix=$place/prefix
number=0
failed=0

# The installed mpd must be found without help, and no other must be talked to.
unset MP_ENDPOINT MP_MPD DESTDIR
XDG_RUNTIME_DIR=$place/runtime
export XDG_RUNTIME_DIR
mkdir -m 700 "$XDG_RUNTIME_DIR"

# Processes whose program is the one under test.
ours() {
	for link in /proc/[0-9]*/exe; do
		case $(readlink "$link" 2>/dev/null) in
		"$prefix"/* | "$place"/first*)
			link=${link%/exe}
			echo "${link#/proc/}"
			;;
		esac
	done
}

finish() {
	for process in $(ours); do
		kill -9 "$process"
	done
	rm -rf "$place"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# check WHAT COMMAND...: one line of TAP; the command's output only if it fails.
check() {
	what=$1
	number=$((number + 1))
	shift
	if "$@" >"$place/check.log" 2>&1; then
		echo "ok $number - $what"
	else
		sed 's/^/# /' "$place/check.log"
		echo "not ok $number - $what"
		failed=1
	fi
}

flags() {
	PKG_CONFIG_PATH=$(find "$prefix" -name pkgconfig -type d) pkg-config "$@" libshm
}

library_folder() {
	flags --variable=libdir
}

is_laid_out() {
	for file in "$(library_folder)/libshm.so.0" "$(library_folder)/libshm.so" \
		"$(library_folder)/libshm.a" "$prefix/include/libshm.h" \
		"$prefix/include/libshm/queue.h" "$prefix/libexec/libshm/mpd" "$prefix/bin/mptop" \
		"$prefix/bin/mpctl"; do
		[ -e "$file" ] || {
			echo "$file is missing"
			return 1
		}
	done
}

# What systemd would start is there, and systemd, where it is, finds no fault.
units_are_whole() {
	for unit in system/libshm-mpd.service system/libshm-mpd.socket \
		user/libshm-mpd.service user/libshm-mpd.socket; do
		unit=$prefix/lib/systemd/$unit
		[ -e "$unit" ] || {
			echo "$unit is missing"
			return 1
		}
		case $unit in *.socket) continue ;; esac
		program=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")
		[ -x "$program" ] || {
			echo "$unit starts '$program', which is none"
			return 1
		}
		"$program" --help >/dev/null || return 1
	done
	[ -e "$prefix/lib/sysusers.d/libshm.conf" ] || return 1
	command -v systemd-analyze >/dev/null || return 0
	systemd-analyze verify --man=no "$prefix"/lib/systemd/system/libshm-mpd.* &&
		systemd-analyze verify --user --man=no "$prefix"/lib/systemd/user/libshm-mpd.*
}

# compile NAME LINK-FLAG...
compile() {
	name=$1
	shift
	# shellcheck disable=SC2046 # lists of flags
	${CC:-cc} -std=c11 -pedantic -Wall -Wextra -Werror $(flags --cflags) -o "$place/$name" \
		"$root/tests/install/first.c" "$@"
}

compile_shared() {
	# shellcheck disable=SC2046 # lists of flags
	compile first-shared $(flags --libs)
}

compile_static() {
	# shellcheck disable=SC2046 # lists of flags
	compile first-static -Wl,-Bstatic $(flags --libs) -Wl,-Bdynamic $(flags --libs --static)
}

gets_a_thousand() {
	seq -f 'got %.0f' 0 999 >"$place/wanted"
	LD_LIBRARY_PATH=$(library_folder) timeout 60 "$place/$1" >"$place/got" || return 1
	cmp "$place/wanted" "$place/got"
}

mptop_looks() {
	timeout 20 "$prefix/bin/mptop" --once
}

mpctl_works() {
	"$prefix/bin/mpctl" put installed/jobs hello &&
		[ "$("$prefix/bin/mpctl" get installed/jobs)" = hello ] &&
		"$prefix/bin/mpctl" rm installed
}

nothing_is_left() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ -n "$(ours)" ] || break
		sleep 1
	done
	for process in $(ours); do
		tr '\0' ' ' <"/proc/$process/cmdline"
		echo 'still runs'
		return 1
	done
	left=$(find "$XDG_RUNTIME_DIR" ! -type d)
	echo "$left"
	[ -z "$left" ]
}

echo 1..11
check 'it installs' env BUILD_DIR="$place/build" "$root/run" install --prefix "$prefix"
check 'every file is in its place' is_laid_out
check 'the units start what is installed' units_are_whole
check 'the first program builds with pkg-config' compile_shared
check 'it gets a thousand messages' gets_a_thousand first-shared
check 'it does so again' gets_a_thousand first-shared
check 'the first program builds with the static library' compile_static
check 'that one gets a thousand messages too' gets_a_thousand first-static
check 'the installed mptop looks once' mptop_looks
check 'the installed mpctl puts and gets' mpctl_works
check 'no process and no file is left' nothing_is_left
exit $failed
