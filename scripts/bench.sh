#!/bin/sh
# Measures mcp-vitals and its peers in one run, compares with benches/budgets.toml, and counts the
# instructions of our hot paths. Exits non-zero over budget.
#
#   scripts/bench.sh            the whole run, about eight minutes
#   scripts/bench.sh --quick    few short rounds: totals are checked, figures are rough
#   scripts/bench.sh --help     further options are handed on to `peers`
set -eu

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
bin=$target/release

cargo build --release --package mcp-vitals-peers --bins

case " $* " in *" --help "* | *" -h "* | *" --list "*) exec "$bin/peers" "$@" ;; esac

# The two threads of a figure must both be on a core. Where we may, go before other work.
first=
if nice -n -5 true 2>/dev/null && [ "$(nice -n -5 nice 2>/dev/null)" -lt "$(nice)" ]; then
    first='nice -n -5'
fi

status=0
$first "$bin/peers" --json "$target/peers.json" --check benches/budgets.toml "$@" || status=$?

# Instructions of so many calls. Only `counted` is looked at: what goes before it includes the
# calibration of a clock, which is never the same.
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*hotpaths*counted*' \
        "$bin/hotpaths" "$1" "$2" 2>&1 | awk '/Collected/ { print $NF }'
}

if command -v valgrind >/dev/null 2>&1; then
    printf '\n%-18s %s\n' 'hot path' 'instructions a call'
    # By the difference between N and 2 N calls, which leaves out what isn't repeated.
    counts=$("$bin/hotpaths" --list benches/budgets.toml | while read -r path calls most; do
        once=$(instructions "$path" "$calls")
        twice=$(instructions "$path" $((calls * 2)))
        awk -v path="$path" -v once="$once" -v twice="$twice" -v calls="$calls" -v most="$most" \
            'BEGIN {
                count = (twice - once) / calls
                verdict = most == "-" ? "" : "  <= " most (count <= most + 0 ? "  ok" : "  OVER")
                printf "%-18s %.1f%s\n", path, count, verdict
            }'
    done)
    printf '%s\n' "$counts"
    case $counts in *OVER*) status=1 ;; esac
else
    printf '\nvalgrind is not installed: no instruction counts\n'
fi

exit "$status"
