#!/bin/sh
# SPDX-License-Identifier: MIT
# headers.sh ROOT LANGUAGE STANDARD COMPILER...: each public header compiles alone. The first of the
# compilers that is there is used; exit 77 if there is none.
root=$1
language=$2
standard=$3
shift 3
for compiler in "$@"; do
	command -v "$compiler" >/dev/null 2>&1 && break
	compiler=
done
if [ -z "$compiler" ]; then
	echo "no compiler for $language"
	exit 77
fi
wrong=0
cd "$root/libshm/include" || exit 2
for header in libshm.h libshm/*.h; do
	printf '#include <%s>\n#include <%s>\n' "$header" "$header" |
		"$compiler" -x "$language" -std="$standard" -pedantic-errors -Wall -Wextra -Werror \
			-fsyntax-only -I. - || {
		echo "$header does not compile alone as $standard"
		wrong=1
	}
done
exit $wrong
