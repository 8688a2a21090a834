#!/bin/sh
# How long portledger, GoAccess and ripgrep take for the same access log, in time of the processor.
#
#   cargo build --release
#   benches/logs/compare.sh [LINES] [FOLDER]     ten million lines in a folder of /tmp by default
#
# Every program reads the file once before it is measured, so that it comes from memory. What is printed is
# the least of three runs: seconds of the processor (user and system), millions of lines and GB a second.
set -eu
lines=${1:-10000000}
folder=${2:-$(mktemp -d)}
root=$(cd "$(dirname "$0")/../.." && pwd)
portledger=${PORTLEDGER_BIN:-$root/target/release/portledger}
log=$folder/access.log

[ -s "$log" ] || (cd "$root" && cargo bench -q -p portledger-servers --bench lines -- write "$lines" "$log")
bytes=$(stat -c %s "$log")
echo "$(nproc) cores, $lines lines, $bytes bytes"

# The children's time, as the shell's `times` tells it, is in its second line: 0m1.23s 0m0.45s.
measure() {
    name=$1
    shift
    if ! command -v "$1" >/dev/null; then
        echo "SKIPPED $name: no program $1"
        return
    fi
    "$@" <"$log" >/dev/null 2>&1 || true
    best=
    for _ in 1 2 3; do
        seconds=$(bash -c '"$@" >/dev/null 2>&1; times' measure "$@" <"$log" | tail -n 1 |
            awk '{ for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sum += t[1] * 60 + t[2] } print sum }')
        best=$(printf '%s\n%s\n' "$seconds" "${best:-$seconds}" | sort -g | head -n 1)
    done
    awk -v name="$name" -v seconds="$best" -v lines="$lines" -v bytes="$bytes" 'BEGIN {
        printf "%-34s %7.2f s  %6.2f million lines/s  %5.2f GB/s\n",
            name, seconds, lines / seconds / 1e6, bytes / seconds / 1e9 }'
}

format=--format=nginx-combined-port
measure "wc -l" wc -l "$log"
measure "rg, one address" rg -c -F ' 203.0.113.7 ' "$log"
measure "rg, an expression with the port" rg -c '^(\S+) - \S+ \[([^]]+)\] "[^"]*" \d+ \d+ "[^"]*" "[^"]*" (\d+)$' "$log"
measure "portledger sightings --count" "$portledger" sightings --count $format "$log"
measure "portledger sightings" "$portledger" sightings $format "$log"
measure "portledger sightings --json" "$portledger" sightings --json $format "$log"
measure "portledger strip" "$portledger" strip $format "$log"
measure "goaccess, COMBINED, JSON report" goaccess --no-global-config --log-format=COMBINED -o "$folder/report.json" "$log"
for packer in gzip zstd xz bzip2; do
    if command -v $packer >/dev/null && [ "${PACKED:-yes}" = yes ]; then
        $packer -c "$log" >"$log.$packer"
        measure "$packer -dc" $packer -dc "$log.$packer"
        measure "portledger sightings --count, $packer" "$portledger" sightings --count $format "$log.$packer"
        rm "$log.$packer"
    fi
done
[ -n "${2:-}" ] || rm -r "$folder"
