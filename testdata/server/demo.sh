#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The story of one fix: a server leaks, is patched while clients use it, and is
# never restarted. Run it with `make demo`; it fails if anything is not as told.
set -eu

sources=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$sources/../.." && pwd)
work=$(mktemp -d)
server='' load=''
PATH=$root/bin:$PATH

finish() {
	[[ -z $load ]] || kill "$load" 2>/dev/null || true
	[[ -z $server ]] || kill "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT

chapter() { printf '\n\n%s\n%s\n' "$1" "${1//?/-}"; }
say() { printf '%s\n' "$@"; }
run() { # COMMAND ...: shows it, then runs it
	printf '\n  $ %s\n' "$*"
	"$@" 2>&1 | sed 's/^/    /'
	return "${PIPESTATUS[0]}"
}
fail() {
	printf '\nDEMO FAILED: %s\n' "$*" >&2
	exit 1
}
ask() { # QUESTION ANSWER: the server must give this answer
	local answer
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf '%s\n' "$1" >&3
	IFS= read -r -t 5 answer <&3 || answer='(none)'
	exec 3>&-
	printf '\n  > %s\n  < %s\n' "$1" "$answer"
	[[ $answer == "$2" ]] || fail "the answer should have been: $2"
}
born() { # prints when the server was started, in clock ticks since boot
	cut -d ' ' -f 22 "/proc/$server/stat" || fail "the server is dead"
}

usual=('GET greeting 0 12' 'OK hello, world')
attack='GET hours 0 44'
leaked='OK open from 9 to 5admin-token=7f3a-DO-NOT-SHOW'

(cd "$root" && go build -o "$work/load" ./cmd/load)
cd "$work"
cp "$sources/orig.c" "$sources/fixed.c" .
flags=(-O2 -g -ffunction-sections -fdata-sections -pthread)

chapter 'A server in production'
say 'Built as usual, apart from a section for each function, and started:'
run gcc "${flags[@]}" -c orig.c -o orig.o
run gcc -pthread -Wl,--build-id orig.o -o server
./server >port &
server=$!
until [[ -s port ]]; do sleep 0.05; done
port=$(<port)
birth=$(born)
threads=("/proc/$server/task/"*)
say '' "It runs as pid $server with ${#threads[@]} threads, and answers:"
ask "${usual[@]}"

chapter 'The bug'
say 'The note is 16 bytes long. Who asks for 44 gets what lies behind it, too:'
ask "$attack" "$leaked"

chapter 'The fix, in CI'
say 'The source is fixed and compiled with the same flags:' ''
diff -u --label orig.c --label fixed.c orig.c fixed.c | sed 's/^/    /' || true
run gcc "${flags[@]}" -c fixed.c -o fixed.o
say '' 'The two objects are compared, what changed is bound to the image that was' \
	'shipped, and the result is signed:'
run ulpatch-build keygen -o ci --no-password
run ulpatch-build diff --image server --orig orig.o --fixed fixed.o --id DEMO-2026-1 --key ci.key -o fix.ulp
run ulpatch-build inspect --trust ci.pub fix.ulp

chapter 'On the host'
say 'First, what 16 clients see in two seconds of an ordinary day:' ''
./load -address "127.0.0.1:$port" -duration 2s >ordinary 2>&1 || fail "a client saw an error: $(<ordinary)"
say "    $(<ordinary)"
say '' 'They go on asking, and the patch is applied under their hands:'
./load -address "127.0.0.1:$port" >seen 2>&1 &
load=$!
sleep 1
run ulpatch-apply apply --pid "$server" --trust ci.pub fix.ulp
ask "$attack" 'ERR out of range'
ask "${usual[@]}"
say '' 'The leak is closed. The process itself remembers what was done to it:'
run ulpatch-apply list --pid "$server"
sleep 1
kill "$load"
wait "$load" || fail "a client saw an error: $(<seen)"
load=''
say '' 'The clients saw:' '' "    $(<seen)"

chapter 'And back'
run ulpatch-apply revert --pid "$server" DEMO-2026-1
say '' 'The old code is in place again, and so is its bug:'
ask "$attack" "$leaked"
ask "${usual[@]}"
[[ $(born) == "$birth" ]] || fail "the server was restarted"

chapter 'In short'
say "Pid $server was patched and unpatched while it served; it was never restarted." \
	"What its clients saw, before and meanwhile:" '' "    $(<ordinary)" "    $(<seen)"
