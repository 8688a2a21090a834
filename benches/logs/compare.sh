#!/bin/sh
# How long portledger, GoAccess and ripgrep take for the same access log, in time of the processor.
#
#   cargo build --release
#   benches/logs/compare.sh [LINES] [FOLDER]     ten million lines in a folder of /tmp by default
#
# GOACCESS=no leaves it out, which takes minutes for so many; PACKED=no leaves out packed files; BEFORE=PROGRAM measures
# another build of portledger in turn with this one.
#
# Every program reads the file once before it is measured, so that it comes from memory. What is printed is
# the least of three runs: seconds of the processor (user and system), millions of lines and GB a second, and the most
# memory that it had at once.
set -eu
lines=${1:-10000000}
folder=${2:-$(mktemp -d)}
root=$(cd "$(dirname "$0")/../.." && pwd)
portledger=${PORTLEDGER_BIN:-$root/target/release/portledger}
log=$folder/access.log

[ -s "$log" ] || (cd "$root" && cargo bench -q -p portledger-servers --bench lines -- write "$lines" "$log")
bytes=$(stat -c %s "$log")
echo "$(nproc) cores, $lines lines, $bytes bytes"

# What `times` tells of a shell's children is in its second line: 0m1.23s 0m0.45s. Their memory is counted by a shell
# that reads it every twentieth of a second, in a run of its own: the kernel keeps the most there was until the end.
measure() {
    name=$1
    shift
    if ! command -v "$1" >/dev/null; then
        echo "SKIPPED $name: no program $1"
        return
    fi
    memory=0
    "$@" <"$log" >/dev/null 2>&1 &
    while now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$!/status" 2>/dev/null) && [ -n "$now" ]; do
        memory=$now
        sleep 0.05
    done
    wait $! || true
    best=
    for _ in 1 2 3; do
        seconds=$(bash -c '"$@" >/dev/null 2>&1; times' measure "$@" <"$log" | tail -n 1 |
            awk '{ for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sum += t[1] * 60 + t[2] } print sum }')
        best=$(printf '%s\n%s\n' "$seconds" "${best:-$seconds}" | sort -g | head -n 1)
    done
    awk -v name="$name" -v seconds="$best" -v lines="$lines" -v bytes="$bytes" -v memory="$memory" 'BEGIN {
        printf "%-38s %7.2f s  %6.2f million lines/s  %5.2f GB/s  %5.1f MiB\n",
            name, seconds, lines / seconds / 1e6, bytes / seconds / 1e9, memory / 1024 }'
}

# One of portledger's commands, before and now.
portledger() {
    what=$1
    shift
    [ -z "${BEFORE:-}" ] || measure "before: $what" "$BEFORE" "$@"
    measure "portledger $what" "$portledger" "$@"
}

format=--format=nginx-combined-port
measure "wc -l" wc -l "$log"
measure "rg, one address" rg -c -F ' 203.0.113.7 ' "$log"
measure "rg, an expression with the port" rg -c '^(\S+) - \S+ \[([^]]+)\] "[^"]*" \d+ \d+ "[^"]*" "[^"]*" (\d+)$' "$log"
portledger "sightings --count" sightings --count $format "$log"
portledger "sightings" sightings $format "$log"
portledger "sightings --json" sightings --json $format "$log"
portledger "strip" strip $format "$log"
[ "${GOACCESS:-yes}" = no ] ||
    measure "goaccess, COMBINED, JSON report" goaccess --no-global-config --log-format=COMBINED -o "$folder/report.json" "$log"
for packer in gzip zstd xz bzip2; do
    if command -v $packer >/dev/null && [ "${PACKED:-yes}" = yes ]; then
        $packer -c "$log" >"$log.$packer"
        measure "$packer -dc" $packer -dc "$log.$packer"
        portledger "sightings --count, $packer" sightings --count $format "$log.$packer"
        rm "$log.$packer"
    fi
done
[ -n "${2:-}" ] || rm -r "$folder"
